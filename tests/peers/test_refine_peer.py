"""Refinement beside dials.refine, each on the other's files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from dials_client import QUICK_INDEX

from xdp.cli.inputs import read_pairs
from xdp.cli.main import main
from xdp.experiment import read_experiments
from xdp.experiment.cell_errors import cell_uncertainties
from xdp.logs import stop_log
from xdp.reflections.flags import Flag
from xdp.reflections.refl import read_reflections

pytestmark = pytest.mark.peer

SCRIPT = """
import sys
import numpy as np
from dxtbx.model.experiment_list import ExperimentListFactory
crystal = ExperimentListFactory.from_json_file(sys.argv[1], check_format=False)[0].crystal
np.savez("out.npz", esd=np.array(crystal.get_cell_parameter_sd()), points=crystal.num_scan_points)
"""


@pytest.fixture(scope="module")
def indexed(shared_data, tmp_path_factory, dials) -> Path:
    """rot_dev indexed by DIALS."""
    folder = tmp_path_factory.mktemp("refine_peer")
    dials.command("dials.import", shared_data / "rot_dev" / "rot_dev_master.h5", cwd=folder)
    dials.command("dials.find_spots", "imported.expt", cwd=folder)
    dials.command("dials.index", "imported.expt", "strong.refl", "space_group=P43212", QUICK_INDEX, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def refined(indexed, dials) -> Path:
    """The same refined by both, static: refined by DIALS in dials.expt, by us in ours.expt."""
    dials.command("dials.refine", "indexed.expt", "indexed.refl", "scan_varying=False",
                  "output.experiments=dials.expt", "output.reflections=dials.refl", cwd=indexed)
    words = [f"output.{kind}={indexed / name}" for kind, name in
             (("experiments", "ours.expt"), ("reflections", "ours.refl"), ("log", "ours.log"))]
    assert main(["refine", str(indexed / "indexed.expt"), str(indexed / "indexed.refl"), "scan_varying=False",
                 *words]) == 0
    stop_log()
    return indexed


def rmsd(table) -> np.ndarray:
    """Of the reflections used, px and frames."""
    used = table.flags(Flag.USED_IN_REFINEMENT)
    return np.sqrt(np.mean((table["xyzcal.px"] - table["xyzobs.px.value"])[used] ** 2, axis=0))


def test_same_rmsds_cell_and_uncertainties(refined):
    ours, theirs = (read_reflections(refined / f"{name}.refl") for name in ("ours", "dials"))
    np.testing.assert_allclose(rmsd(ours), rmsd(theirs), rtol=0.02)
    a, b = (read_experiments(refined / f"{name}.expt")[0].crystal for name in ("ours", "dials"))
    errors = cell_uncertainties(b)[[0, 2]]
    # the same data, but for some outliers: closer than the uncertainties, which are the same to a tenth
    assert np.all(np.abs(np.asarray(a.unit_cell) - b.unit_cell)[[0, 2]] < errors)
    np.testing.assert_allclose(cell_uncertainties(a)[[0, 2]], errors, rtol=0.1)


def test_dials_goes_on_with_our_models(refined, dials):
    shown = dials.command("dials.show", "ours.expt", cwd=refined)
    assert re.search(r"Unit cell: 79\.3\d+\(\d+\)", shown)
    dials.command("dials.refine", "ours.expt", "ours.refl", "output.experiments=again.expt",
                  "output.reflections=again.refl", cwd=refined)
    np.testing.assert_allclose(rmsd(read_reflections(refined / "again.refl")),
                               rmsd(read_reflections(refined / "ours.refl")),
                               rtol=0.02)
    dials.command("dials.refine_bravais_settings", "ours.expt", "ours.refl", cwd=refined)
    assert (refined / "bravais_summary.json").exists()
    dials.command("dials.integrate", "ours.expt", "ours.refl", "nproc=1", "profile.fitting=False", cwd=refined)
    integrated = read_reflections(refined / "integrated.refl")
    assert integrated.flags(Flag.INTEGRATED_SUM).sum() > 15000


def test_dials_reads_varying_crystals_and_uncertainties(refined, dials):
    words = [f"output.{kind}={refined / name}" for kind, name in
             (("experiments", "varying.expt"), ("reflections", "varying.refl"), ("log", "varying.log"))]
    assert main(["refine", str(refined / "indexed.expt"), str(refined / "indexed.refl"), "scan_varying=True",
                 *words]) == 0
    stop_log()
    found = dials.script(SCRIPT, "varying.expt", cwd=refined)
    crystal = read_experiments(refined / "varying.expt")[0].crystal
    assert int(found["points"]) == 61 == len(crystal.A_at_scan_points)
    experiments, _ = read_pairs([str(refined / "varying.expt"), str(refined / "varying.refl")], "refine")
    assert experiments[0].crystal == crystal
