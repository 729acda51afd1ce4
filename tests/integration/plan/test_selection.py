"""Parts of a scan, and experiments counted anew."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.experiment import Experiment, ExperimentList, ImageSet
from xdp.integration.plan.selection import renumber_experiments, split_for_scan_ranges
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan


def experiments():
    images = ImageSet("ImageSequence", template="x_####.h5", single_file_indices=tuple(range(20)))
    crystal = make_crystal()
    points = tuple((float(i),) * 9 for i in range(21))
    crystal = dataclasses.replace(crystal, A_at_scan_points=points)
    return ExperimentList([Experiment("a", make_beam(), make_detector(), make_goniometer(), make_scan(20, 0.5, 10.0),
                                      crystal, images)])


def spots(z):
    xyz = np.column_stack([np.zeros((len(z), 2)), z])
    return ReflectionTable({"xyzobs.px.value": xyz, "id": np.zeros(len(z), np.int32)}, {0: "a"})


def test_ranges_cut_scan_images_crystal_and_spots():
    made, reference = split_for_scan_ranges(experiments(), spots([0.5, 4.5, 9.5, 15.5]), [(4, 10), (12, 20)])
    assert [e.scan.image_range for e in made] == [(5, 10), (13, 20)]
    assert [e.scan.oscillation for e in made] == [(12.0, 0.5), (16.0, 0.5)]
    assert made[0].imageset.single_file_indices == (4, 5, 6, 7, 8, 9)
    assert [p[0] for p in made[1].crystal.A_at_scan_points] == list(range(12, 21))
    assert len(made[0].scan.exposure_time) == 6
    assert reference["id"].tolist() == [0, 0, 1]
    assert reference.identifiers == {0: "a-4-10", 1: "a-12-20"}


def test_ranges_cut_varying_beam_goniometer_and_profile():
    whole = experiments()[0]
    points, turns = [[0.0, 0.0, float(i)] for i in range(21)], [[float(i)] * 9 for i in range(21)]
    profile = {"__id__": "gaussian_rs", "n_sigma": 3.0, "sigma_b": [0.01 * i for i in range(20)], "sigma_m": [0.1] * 20}
    varying = dataclasses.replace(
        whole, profile=profile, beam=dataclasses.replace(whole.beam, extra={"s0_at_scan_points": points}),
        goniometer=dataclasses.replace(whole.goniometer, extra={"setting_rotation_at_scan_points": turns}))
    made, _ = split_for_scan_ranges(ExperimentList([varying]), None, [(4, 10)])
    assert made[0].beam.extra["s0_at_scan_points"] == points[4:11]
    assert made[0].goniometer.extra["setting_rotation_at_scan_points"] == turns[4:11]
    assert made[0].profile == profile | {"sigma_b": profile["sigma_b"][4:10], "sigma_m": [0.1] * 6}
    static = dataclasses.replace(whole, profile=profile | {"sigma_b": 0.1, "sigma_m": 0.2})
    made, _ = split_for_scan_ranges(ExperimentList([static]), None, [(4, 10)])
    assert made[0].profile == static.profile
    assert made[0].beam is static.beam


def test_one_range_keeps_the_identifier():
    made, reference = split_for_scan_ranges(experiments(), spots([1.5]), [(0, 5)])
    assert made[0].identifier == "a"
    assert reference.identifiers == {0: "a"}


@pytest.mark.parametrize(("span", "words"), [((5, 5), "must rise"), ((7, 5), "must rise"), ((-1, 5), "within 0,20"),
                                             ((3, 21), "within 0,20")])
def test_bad_ranges_are_refused(span, words):
    with pytest.raises(OptionError, match=words):
        split_for_scan_ranges(experiments(), None, [span])


def test_several_image_sets_are_refused():
    two = ExperimentList([*experiments(), *experiments()])
    with pytest.raises(OptionError, match="single image set"):
        split_for_scan_ranges(two, None, [(0, 5)])


def test_kept_experiments_are_counted_anew():
    table = ReflectionTable({"id": np.array([0, 2, 1, 2, -1], np.int32)}, {0: "a", 1: "b", 2: "c"})
    found = renumber_experiments(table, np.array([True, False, True]))
    assert found["id"].tolist() == [0, 1, 1]
    assert found.identifiers == {0: "a", 1: "c"}
