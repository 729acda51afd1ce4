"""Overlapping reflections are fitted together; neighbours are looked up in square cells."""

from __future__ import annotations

import numpy as np
import pytest
from fitting_data import find_isolated, learn_profiles

from xdp.experiment.pixels import px_to_s1
from xdp.integration.profiles.fit import fit_profiles
from xdp.integration.profiles.overlaps import CELL, sort_into_cells
from xdp.reflections.shoeboxes import Shoeboxes

pytestmark = pytest.mark.kernels


def test_deconvolution_takes_overlapping_reflections_apart(drawn, strong):
    """Every pixel of a box gets the counts of a neighbour 2.5 pixels away, which is predicted too."""
    plain = learn_profiles(drawn, strong, scan_step=20.0, grid_method="single", fit_method="detector_space")
    joint = learn_profiles(drawn, strong, scan_step=20.0, grid_method="single", fit_method="detector_space",
                    deconvolution=True)
    rows = np.flatnonzero(find_isolated(drawn))[:60]
    table, boxes = drawn.table.select(rows), drawn.boxes.select(rows)
    n = np.diff(boxes.offsets)
    shape = np.concatenate([drawn.shape[drawn.boxes.offsets[r]:drawn.boxes.offsets[r + 1]] for r in rows])
    other = np.concatenate([np.roll(s.reshape(-1, 13, 13), 3, axis=2).ravel()
                            for s in np.split(shape, np.cumsum(n)[:-1])])
    moved = table["xyzcal.px"] + [3.0, 0.0, 0.0]
    experiment = drawn.experiment
    turn = px_to_s1(experiment.detector, experiment.beam, 0, moved[:, :2]) - px_to_s1(
        experiment.detector, experiment.beam, 0, table["xyzcal.px"][:, :2])
    beside = table.with_columns(**{"xyzcal.px": moved, "s1": table["s1"] + turn})
    everything = type(table).concatenate([table, beside])
    data = np.random.default_rng(4).poisson(1.0 + 2000.0 * shape + 1000.0 * other)
    boxes = Shoeboxes(boxes.panel, boxes.bbox, boxes.offsets, data, boxes.mask, np.full(len(data), 1.0))
    wrong = fit_profiles(plain, table, boxes)["intensity.prf.value"]
    found = fit_profiles(joint, table, boxes, everything)
    assert np.median(wrong) > 2200.0
    assert np.median(found["intensity.prf.value"]) == pytest.approx(1980.0, rel=0.02)
    pull = (found["intensity.prf.value"] - 1980.0) / np.sqrt(found["intensity.prf.variance"])
    # 60 pulls; the profile of a neighbour 3 pixels off is that of its own place to a few per cent
    assert np.std(pull) < 2.0


def test_cells_hold_the_points_that_lie_in_them():
    rng = np.random.default_rng(1)
    sizes = np.array([[100, 64], [90, 70]])
    panel = rng.integers(0, 2, 200)
    centre = np.column_stack([rng.uniform(-5, 110, 200), rng.uniform(-5, 80, 200), rng.uniform(0, 9, 200)])
    across, down, start, index = sort_into_cells(panel, centre, sizes)
    assert (across, down) == (4, 3)
    assert sorted(index.tolist()) == list(range(200))
    for p, y, x in np.ndindex(2, down, across):
        cell = (p * down + y) * across + x
        # points beyond the panel are in the cells at its edge
        inside = ((panel == p) & (np.clip(centre[:, 0] // CELL, 0, across - 1) == x)
                  & (np.clip(centre[:, 1] // CELL, 0, down - 1) == y))
        assert index[start[cell]:start[cell + 1]].tolist() == np.flatnonzero(inside).tolist()


def test_without_neighbours_the_joint_fit_is_the_single_one(drawn, strong):
    """Isolated reflections: pixels of the box that are a neighbour's, which only the joint fit takes, do not occur."""
    options = {"scan_step": 20.0, "grid_method": "single", "fit_method": "detector_space", "threshold": 0.0}
    rows = np.flatnonzero(find_isolated(drawn))
    table, boxes = drawn.table.select(rows), strong.select(rows)
    one, joint = (fit_profiles(learn_profiles(drawn, strong, **options, deconvolution=both), table, boxes)
                  for both in (False, True))
    # the single fit leaves out pixels with nothing of the profile, and goes on until a change is as small
    ratio = joint["intensity.prf.value"] / one["intensity.prf.value"]
    assert np.abs(ratio - 1.0).max() < 0.01
    spread = joint["intensity.prf.variance"] / one["intensity.prf.variance"]
    assert np.median(spread) == pytest.approx(1.0, abs=0.01)
