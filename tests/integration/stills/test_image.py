"""One still: crystals that share its pixels, samples and filters, failures that leave the others alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from integration_data import options

from xdp.experiment.experiment import ExperimentList
from xdp.integration.integrate import integrate
from xdp.integration.plan.sweeps import find_sweeps
from xdp.integration.shoeboxes.frames import FrameSource
from xdp.integration.stills.image import StillFrame, integrate_image
from xdp.reflections.flags import Flag

pytestmark = pytest.mark.kernels

ELLIPSOID = "profile.algorithm=ellipsoid"


def integrate_shot(shots, number, *words, spots=True, excluded=(), keep_boxes=False):
    """Integrate one image of the shots with the crystals on it."""
    sweep = find_sweeps(shots.experiments)[number]
    own = [shots.reference.select(shots.reference["id"] == i) if spots else None for i in sweep.ids]
    return integrate_image(FrameSource(sweep, excluded=excluded), own, options(*words), "glm", keep_boxes=keep_boxes)


def test_ellipsoids_on_each_other_are_summed_and_flagged_unless_filtered(shots):
    found = shots.integrate(ELLIPSOID, which=slice(1, 3)).reflections
    lie_on = (found["shares"] & 1) != 0
    np.testing.assert_array_equal(found.flags(Flag.OVERLAPPED_FG), lie_on)
    assert lie_on.any()
    spots = shots.reference.select((shots.reference["id"] >= 1) & (shots.reference["id"] < 3))
    spots["id"] = spots["id"] - np.int32(1)
    chosen = ExperimentList(list(shots.experiments)[1:3])
    filtered = integrate(chosen, spots, options(ELLIPSOID, "foreground_foreground.enable=True")).reflections
    assert len(filtered) == np.count_nonzero(~lie_on)


def test_two_crystals_in_one_shot_are_integrated_together_and_share_its_pixels(shots):
    both, alone = shots.integrate(which=slice(1, 3)), shots.integrate(which=slice(1, 2))
    assert len(both.experiments) == 2
    assert both.reflections["shares"].any()
    mine = both.reflections.select(both.reflections["id"] == 0)
    kept = {tuple(h): v for h, v in zip(alone.reflections["miller_index"].tolist(),
                                        alone.reflections["intensity.sum.value"],
                                        strict=True)}
    common = [(kept[tuple(h)], v, s) for h, v, s in zip(mine["miller_index"].tolist(), mine["intensity.sum.value"],
                                                        mine["shares"], strict=True) if tuple(h) in kept]
    free = np.array([(a, b) for a, b, s in common if not s])
    # background pixels under neighbours are left out, so that free reflections agree, but not exactly
    assert np.corrcoef(free.T)[0, 1] > 0.999


def test_filters_samples_and_gain(shots):
    usual = shots.integrate(which=slice(0, 1)).reflections
    sample = shots.integrate("integrate_all_reflections=False", "minimum_sample_size=1", "maximum_sample_size=50",
                             "output_unintegrated_reflections=True", which=slice(0, 1)).reflections
    assert len(sample) == 50
    apart = shots.integrate("max_shoebox_overlap=0.2", which=slice(0, 1)).reflections
    assert len(apart) < len(usual)
    gain = shots.integrate("detector_gain=4", which=slice(0, 1)).reflections
    np.testing.assert_allclose(gain["intensity.sum.variance"], 4.0 * usual["intensity.sum.variance"])
    ice = shots.integrate("filter.ice_rings=True", which=slice(0, 1)).reflections
    assert ice.flags(Flag.IN_POWDER_RING).any()
    assert not usual.flags(Flag.IN_POWDER_RING).any()


def test_a_crystal_that_fails_leaves_the_other_on_the_image_alone(shots):
    whole = integrate_shot(shots, 1)
    assert [number for number, _ in whole.experiments] == [1, 2]
    sweep = find_sweeps(shots.experiments)[1]
    bare = tuple(replace(e, profile=None) for e in sweep.experiments)
    source = FrameSource(replace(sweep, experiments=bare))
    own = shots.reference.select(shots.reference["id"] == 2)
    found = integrate_image(source, [None, own], options(), "glm")
    assert [number for number, _ in found.experiments] == [2]
    assert [number for number, _ in found.failures] == [1]
    assert "no profile model" in found.failures[0][1]
    assert set(found.table["id"].tolist()) == {2}


def test_an_excluded_image_gives_nothing_and_no_failure(shots):
    found = integrate_shot(shots, 0, excluded=(0,))
    assert (found.experiments, found.table, found.failures) == ((), None, ())


def test_boxes_are_kept_where_they_are_asked_for(shots):
    found = integrate_shot(shots, 0, keep_boxes=True)
    assert len(found.boxes) == len(found.table)
    assert integrate_shot(shots, 0).boxes is None


def test_boxes_are_cut_out_of_the_decoded_frame(shots):
    source = FrameSource(find_sweeps(shots.experiments)[2])
    frame = StillFrame(source)
    boxes = frame.cut(np.array([0]), np.array([[10, 14, 20, 22]]))
    counts = np.load(shots.folder / "shots.npy")[2]
    np.testing.assert_array_equal(boxes.data.reshape(2, 4), counts[20:22, 10:14])
    assert frame.read(frame.z + 1) is None
