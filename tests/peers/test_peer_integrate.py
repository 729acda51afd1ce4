"""Intensities at defaults beside dials.integrate, what dials.scale makes of both, and DIALS' commands on our files."""

from __future__ import annotations

import numpy as np
import pytest
from commands import run_command

from xdp.integration.plan.matching import match
from xdp.reflections.flags import Flag
from xdp.reflections.refl import read_reflections, write_reflections

pytestmark = pytest.mark.peer

SIGMAS = ["sigma_b=0.046376", "sigma_m=0.075286"]  # as dials.integrate finds them for rot_dev in P43212

# r_meas, CC1/2, <I/sigma>, completeness and observations: overall, then shell by shell
MERGE = """
import sys
import numpy as np
from cctbx import crystal, miller
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList
from iotbx.merging_statistics import dataset_statistics
table = flex.reflection_table.from_file(sys.argv[1])
model = ExperimentList.from_file(sys.argv[2], check_format=False)[0].crystal
bad = table.get_flags(table.flags.bad_for_scaling, all=False)
table = table.select(~bad & (table["inverse_scale_factor"] > 0))
scale = table["inverse_scale_factor"]
symmetry = crystal.symmetry(unit_cell=model.get_unit_cell(), space_group=model.get_space_group())
indices = miller.set(symmetry, table["miller_index"], anomalous_flag=False)
array = miller.array(indices, table["intensity.scale.value"] / scale)
array.set_observation_type_xray_intensity()
array = array.customized_copy(sigmas=flex.sqrt(table["intensity.scale.variance"]) / scale)
found = dataset_statistics(array, d_min=1.8, n_bins=8, anomalous=False, use_internal_variance=False,
                           eliminate_sys_absent=False, assert_is_not_unique_set_under_symmetry=False)
rows = [(s.r_meas, s.cc_one_half, s.i_over_sigma_mean, s.completeness, s.n_obs) for s in (found.overall, *found.bins)]
np.savez("out.npz", rows=np.array(rows, float))
"""


@pytest.fixture(scope="module")
def folder(refined_rot_dev, dials):
    """A folder with rot_dev refined by us, then integrated by DIALS (theirs.*) and by us (ours.*)."""
    folder = refined_rot_dev
    dials.command("dials.integrate", "refined.expt", "refined.refl", "nproc=1", *SIGMAS,
                  "output.reflections=theirs.refl", "output.experiments=theirs.expt", cwd=folder)
    run_command(folder, "integrate", "refined.expt", "refined.refl", "hot_pixels.mask=False", *SIGMAS,
                experiments="ours.expt", reflections="ours.refl", log="d.log", phil="d.phil")
    return folder


@pytest.fixture(scope="module")
def both(folder):
    """DIALS' table and ours, row by row the same reflections."""
    theirs, ours = read_reflections(folder / "theirs.refl"), read_reflections(folder / "ours.refl")
    pairs = match(theirs, ours)
    assert len(pairs.predicted) > 0.999 * len(theirs)
    return theirs.select(pairs.predicted), ours.select(pairs.observed)


def whole(both, *flags):
    """Which of the pairs are recorded completely, and bear the flags in both tables."""
    chosen = (both[0]["partiality"] > 0.99) & (both[1]["partiality"] > 0.99)
    for flag in flags:
        chosen &= both[0].flags(flag) & both[1].flags(flag)
    return chosen


def test_foreground_and_sums_are_those_of_dials(both):
    theirs, ours = both
    use = whole(both, Flag.INTEGRATED_SUM)
    same = theirs["num_pixels.foreground"] == ours["num_pixels.foreground"]
    assert same[use].mean() > 0.995
    gross = [t["intensity.sum.value"] + t["background.sum.value"] for t in both]
    assert gross[1][use & same] == pytest.approx(gross[0][use & same], rel=1e-4, abs=0.01)  # DIALS sums in float32
    background = [t["background.mean"][use] for t in both]
    # Where a neighbour's foreground lies in the background it is left out here: in every sixth reflection.
    assert np.mean(np.abs(background[1] / background[0] - 1) < 0.02) > 0.99


@pytest.mark.parametrize(("kind", "flag"), [("sum", Flag.INTEGRATED_SUM), ("prf", Flag.INTEGRATED_PRF)])
def test_intensities_are_those_of_dials(both, kind, flag):
    use = whole(both, flag)
    theirs, ours = (t[f"intensity.{kind}.value"][use] for t in both)
    sigma = np.sqrt(both[0][f"intensity.{kind}.variance"][use])
    assert np.median((ours / theirs)[theirs > 3 * sigma]) == pytest.approx(1.0, abs=0.002)
    low, high = np.quantile((ours - theirs) / sigma, [0.25, 0.75])
    assert (high - low) / 1.349 < 0.3


def test_scaled_intensities_are_no_worse(dials, folder, both):
    found = {}
    use = both[0].flags(Flag.INTEGRATED_SUM) & both[1].flags(Flag.INTEGRATED_SUM)
    use &= both[0].flags(Flag.INTEGRATED_PRF) & both[1].flags(Flag.INTEGRATED_PRF)
    for name, table in zip(("theirs", "ours"), both, strict=True):
        place = folder / f"scale_{name}"
        place.mkdir()
        write_reflections(place / "common.refl", table.select(use))
        dials.command("dials.scale", "common.refl", folder / f"{name}.expt", "d_min=1.8", cwd=place)
        found[name] = dials.script(MERGE, "scaled.refl", "scaled.expt", cwd=place)["rows"]
    for shell in (0, -1):
        r_meas, cc_half, i_over_sigma, completeness, n = (found["ours"] / found["theirs"])[shell]
        assert r_meas < 1.01
        assert min(cc_half, i_over_sigma, completeness, n) > 0.99


def test_commands_of_dials_take_our_files(dials, folder):
    dials.command("dials.export", "ours.refl", "ours.expt", "mtz.hklout=ours.mtz", cwd=folder)
    assert (folder / "ours.mtz").stat().st_size > 100_000
    dials.command("dials.refine", "ours.expt", "ours.refl", "output.experiments=again.expt",
                  "output.reflections=again.refl", cwd=folder)
    assert len(read_reflections(folder / "again.refl")) == len(read_reflections(folder / "ours.refl"))
    text = dials.command("dials.symmetry", "ours.expt", "ours.refl", cwd=folder)
    assert "Recommended space group: P 4 21 2" in text or "Recommended space group: P 41 21 2" in text
