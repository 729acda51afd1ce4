"""Strong pixels of a search's frames: masks, corrections and limits come together."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from sweeps import add_spot, background, crossing_spots, options, sweep

from xdp.errors import FormatError, XdpError
from xdp.experiment import Detector, ExperimentList
from xdp.images.corrections import read_corrections
from xdp.images.masks.pickles import write_map_pickle, write_mask_pickle
from xdp.spotfinding.find import find_spots
from xdp.spotfinding.run.frames import FrameFinder
from xdp.spotfinding.run.searches import plan_searches


def finder(experiments, *words) -> FrameFinder:
    chosen = options(*words)
    return FrameFinder(plan_searches(experiments)[0], chosen.spotfinder, chosen.maximum_trusted_value)


def changed(experiments, **panel) -> ExperimentList:
    one, = experiments
    panels = tuple(dataclasses.replace(p, **panel) for p in one.detector)
    return ExperimentList([dataclasses.replace(one, detector=Detector(panels))])


def test_pixels_carry_z_panel_position_and_value(tmp_path):
    counts = background(3, n_panels=2)
    add_spot(counts, 1, 20, 30, panel=1)
    strong = finder(sweep(tmp_path, counts, first_image=8)).find(1)
    assert set(strong.pixels.frame.tolist()) == {8}
    assert set(strong.pixels.panel.tolist()) == {1}
    np.testing.assert_array_equal(strong.pixels.value, counts[1, 1, strong.pixels.slow, strong.pixels.fast])


def test_a_pickled_finder_finds_the_same(tmp_path):
    one = finder(sweep(tmp_path, crossing_spots(4, 2)))
    first = one.find(2)
    again = pickle.loads(pickle.dumps(one)).find(2)
    for a, b in zip(first.pixels, again.pixels, strict=True):
        np.testing.assert_array_equal(a, b)


def test_masks_of_file_rectangles_lookup_and_parameters_join(tmp_path):
    experiments = changed(sweep(tmp_path, background(1)), mask=((0, 0, 3, 3),))
    lookup, own = np.ones((64, 72), bool), np.ones((64, 72), bool)
    lookup[10, 10], own[20, 20] = False, False
    write_mask_pickle(tmp_path / "lookup.mask", [lookup])
    write_mask_pickle(tmp_path / "own.mask", [own])
    one, = experiments
    experiments = ExperimentList([dataclasses.replace(
        one, imageset=dataclasses.replace(one.imageset, mask=str(tmp_path / "own.mask")))])
    valid, = finder(experiments, f"lookup.mask={tmp_path / 'lookup.mask'}", "untrusted.pixel=30,30").valid_pixels()
    assert {(10, 10), (20, 20), (30, 30), (0, 0), (2, 2)} <= set(map(tuple, np.argwhere(~valid).tolist()))
    assert (~valid).sum() == 3 + 9


def test_gain_and_pedestal_of_panels_and_of_maps_correct_alike(tmp_path):
    counts = (crossing_spots(4, 1) * 3 + 10).astype(np.uint16)
    raw = find_spots(sweep(tmp_path, (counts - 10) // 3)).reflections
    by_panel = find_spots(changed(sweep(tmp_path, counts), gain=3.0, pedestal=10.0)).reflections
    one, = sweep(tmp_path, counts)
    write_map_pickle(tmp_path / "gain", [np.full((64, 72), 3.0)])
    write_map_pickle(tmp_path / "pedestal", [np.full((64, 72), 10.0)])
    maps = dataclasses.replace(one.imageset, gain=str(tmp_path / "gain"), pedestal=str(tmp_path / "pedestal"))
    by_map = find_spots(ExperimentList([dataclasses.replace(one, imageset=maps)])).reflections
    assert by_panel == by_map == raw
    assert len(raw) > 5


def test_a_gain_of_zero_means_unknown_and_maps_must_fit(tmp_path):
    one, = sweep(tmp_path, background(1, n_panels=2))
    unknown = dataclasses.replace(one, detector=Detector(tuple(
        dataclasses.replace(p, gain=g) for p, g in zip(one.detector, (0.0, 2.0), strict=True))))
    assert read_corrections(unknown) == ([None, None], [None, None])
    write_map_pickle(tmp_path / "gain", [np.ones((64, 72))])
    wrong = dataclasses.replace(one, imageset=dataclasses.replace(one.imageset, gain=str(tmp_path / "gain")))
    with pytest.raises(FormatError, match="2 panel"):
        read_corrections(wrong)


def test_mean_background_is_that_of_usable_weak_pixels(tmp_path):
    counts = background(2, n_panels=2)
    add_spot(counts, 0, 20, 30)
    found = finder(sweep(tmp_path, counts), "compute_mean_background=True", "border=5").find(0)
    weak = counts[0, :, 5:-5, 5:-5].astype(float)
    first = np.ma.masked_array(weak[0], np.zeros(weak[0].shape))
    first[14:17, 24:27] = np.ma.masked
    assert found.background == pytest.approx((first.mean() + weak[1].mean()) / 2, rel=1e-12)
    assert np.isnan(finder(sweep(tmp_path, counts)).find(0).background)


def test_limit_of_strong_pixels_names_the_image(tmp_path):
    counts = background(2)
    add_spot(counts, 1, 20, 30)
    with pytest.raises(XdpError, match="image 6: 9 strong pixels"):
        finder(sweep(tmp_path, counts, first_image=5), "max_strong_pixel_fraction=0.0001").find(1)
