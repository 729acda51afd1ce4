"""Shoeboxes, masks, sums and flags beside dials.integrate, with the same models and the same sigmas."""

from __future__ import annotations

import numpy as np
import pytest
from commands import run_command

from xdp.integration.plan.matching import match
from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.refl import read_reflections

pytestmark = pytest.mark.peer

SAME = ["background.algorithm=simple", "background.simple.model.algorithm=constant3d", "debug.output=True",
        "debug.separate_files=False", "output.output_unintegrated_reflections=True", "sigma_b=0.046", "sigma_m=0.075"]


@pytest.fixture(scope="module")
def both(refined_rot_dev, tmp_path_factory, dials):
    """rot_dev integrated by DIALS and by us: two tables, row by row the same reflections."""
    folder = tmp_path_factory.mktemp("integrate_peer")
    refined = [str(refined_rot_dev / name) for name in ("refined.expt", "refined.refl")]
    dials.command("dials.integrate", *refined, "nproc=1", "block.size=100", *SAME, cwd=folder)
    run_command(folder, "integrate", *refined, "hot_pixels.mask=False", *SAME, experiments="ours.expt",
                reflections="ours.refl", log="d.log", phil="d.phil")
    theirs, mine = read_reflections(folder / "integrated.refl"), read_reflections(folder / "ours.refl")
    pairs = match(theirs, mine)
    assert len(pairs.predicted) > 0.999 * len(theirs)
    theirs, mine = theirs.select(pairs.predicted), mine.select(pairs.observed)
    # DIALS leaves boxes that end beyond the detector without pixels
    has_pixels = np.diff(theirs["shoebox"].offsets) > 0
    return theirs.select(has_pixels), mine.select(has_pixels)


def test_boxes_counts_and_masks_are_equal(both):
    theirs, ours = both
    same = np.all(theirs["bbox"] == ours["bbox"], axis=1)
    assert same.mean() > 0.999
    a, b = theirs["shoebox"].select(same), ours["shoebox"].select(same)
    assert np.array_equal(a.data, b.data)
    kinds = np.uint8(MaskCode.VALID | MaskCode.FOREGROUND | MaskCode.BACKGROUND)
    # corners that lie on the very edge of the foreground
    assert np.count_nonzero((a.mask & kinds) != (b.mask & kinds)) < 1e-5 * len(a.mask)


def test_numbers_of_foreground_pixels_are_equal(both):
    theirs, ours = both
    for name in ("num_pixels.foreground", "num_pixels.valid", "num_pixels.background"):
        assert np.mean(theirs[name] == ours[name]) > 0.995


def test_sums_differ_by_the_background_only(both):
    theirs, ours = both
    # backgrounds without the neighbours' foreground differ from DIALS' where there are neighbours
    alone = theirs["num_pixels.background_used"] == ours["num_pixels.background_used"]
    alone &= theirs.flags(Flag.INTEGRATED_SUM) & (theirs["num_pixels.foreground"] == ours["num_pixels.foreground"])
    assert alone.mean() > 0.6
    for name in ("intensity.sum.value", "intensity.sum.variance", "background.sum.value", "background.sum.variance"):
        assert ours[name][alone] == pytest.approx(theirs[name][alone], rel=1e-4, abs=0.01)  # DIALS sums in float32
    gross = [t["intensity.sum.value"] + t["background.sum.value"] for t in both]
    every = theirs.flags(Flag.INTEGRATED_SUM) & ours.flags(Flag.INTEGRATED_SUM)
    every &= theirs["num_pixels.foreground"] == ours["num_pixels.foreground"]
    assert gross[1][every] == pytest.approx(gross[0][every], rel=1e-4, abs=0.01)
    means = [t["background.mean"][every] for t in both]
    assert np.median(means[1] / np.maximum(means[0], 1e-9)) == pytest.approx(1.0, abs=0.02)


def test_centroids_are_equal(both):
    theirs, ours = both
    strong = theirs.flags(Flag.INTEGRATED_SUM) & (theirs["intensity.sum.value"] > 200)
    away = np.abs(theirs["xyzobs.px.value"][strong] - ours["xyzobs.px.value"][strong])
    assert np.quantile(away, 0.99) < 0.01
    assert np.median(away) < 1e-4


def test_flags_are_equal(both):
    theirs, ours = both
    for flag in (Flag.INTEGRATED_SUM, Flag.FAILED_DURING_SUMMATION, Flag.OVERLOADED, Flag.DONT_INTEGRATE,
                 Flag.FOREGROUND_INCLUDES_BAD_PIXELS, Flag.BACKGROUND_INCLUDES_BAD_PIXELS, Flag.REFERENCE_SPOT,
                 Flag.FAILED_DURING_BACKGROUND_MODELLING):
        assert np.mean(theirs.flags(flag) != ours.flags(flag)) < 0.002, flag


def test_intensities_agree(both):
    theirs, ours = both
    use = (theirs["partiality"] > 0.99) & (ours["partiality"] > 0.99)
    ratios = {}
    for kind, flag in (("sum", Flag.INTEGRATED_SUM), ("prf", Flag.INTEGRATED_PRF)):
        chosen = use & theirs.flags(flag) & ours.flags(flag)
        a, b = (t[f"intensity.{kind}.value"][chosen] for t in both)
        sigma = np.sqrt(theirs[f"intensity.{kind}.variance"][chosen])
        ratios[kind] = np.median((b / a)[a > 5 * sigma])
        low, high = np.quantile((b - a) / sigma, [0.25, 0.75])
        assert (high - low) / 1.349 < 0.3
    assert ratios["sum"] == pytest.approx(1.0, abs=0.002)
    assert ratios["prf"] == pytest.approx(1.0, abs=0.005)  # profiles differ, and with them what lies in their tails
    assert np.count_nonzero(ours.any_flags(Flag.INTEGRATED)) >= 0.99 * np.count_nonzero(
        theirs.any_flags(Flag.INTEGRATED))
