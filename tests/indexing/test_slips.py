"""A crystal that slips in the middle of a sweep is told; one that stands still or turns slowly is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from indexing_data import make_sweep

from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.index import index_sweeps
from xdp.indexing.slips import find_slip
from xdp.refinement.parameters.rotations import make_rotation
from xdp.reflections.table import ReflectionTable
from xdp.simulation.spot_lists import draw_crystal, simulate_spot_list

AXIS = np.array([0.36, 0.48, 0.8])


def turned(crystal: Crystal, degrees: float) -> Crystal:
    axes = crystal.real_space_matrix @ make_rotation(AXIS, np.radians(degrees)).T
    return Crystal(*(tuple(float(v) for v in row) for row in axes), crystal.space_group_hall_symbol)


@pytest.mark.parametrize("angle", [0.4, 0.8])
def test_a_slip_is_told_and_the_split_is_offered(angle: float, caplog: pytest.LogCaptureFixture):
    sweep = make_sweep(width=60.0)
    crystal = draw_crystal("oP", (40.0, 50.0, 60.0, 90.0, 90.0, 90.0), 3)
    parts = []
    for k, degrees in enumerate((0.0, angle)):
        spots = simulate_spot_list([replace(sweep, crystal=turned(crystal, degrees))], np.random.default_rng(k),
                                   n_spots=1000, d_min=2.0, spurious=0.1).table
        is_late = spots["xyzobs.px.value"][:, 2] > 0.6 * sweep.scan.n_frames
        parts.append(spots.select(is_late == bool(k)))
    table = ReflectionTable({c: np.concatenate([p[c] for p in parts]) for c in parts[0]})
    with caplog.at_level("WARNING", logger="xdp"):
        index_sweeps(ExperimentList([sweep]), table)
    text = next(r.getMessage() for r in caplog.records if "slipped" in r.getMessage())
    found, image = float(text.split(" by ")[1].split()[0]), int(text.split(" image ")[1].split(":")[0])
    assert 0.4 * angle < found < 1.1 * angle  # refinement has hidden a part of it in the geometry
    assert abs(image - 0.6 * sweep.scan.n_frames) < 8
    assert f"image_range=1,{image} and image_range={image + 1},{sweep.scan.n_frames}" in text


@pytest.mark.parametrize(("step", "drift"), [(0.0, 0.0), (0.0, 0.6)])
def test_what_stands_still_or_turns_steadily_has_no_slip(step: float, drift: float):
    rng = np.random.default_rng(1)
    setting = np.diag([0.025, 0.02, 0.016])
    hkl, frame = rng.integers(-9, 10, (500, 3)), rng.uniform(0.0, 100.0, 500)
    points = np.stack([make_rotation(AXIS, np.radians(drift * z / 100.0)) @ setting @ h
                       for h, z in zip(hkl, frame, strict=True)]) + rng.normal(0.0, 3e-4, (500, 3))
    assert find_slip(points, hkl, setting, frame) is None
    late = frame > 70.0
    points[late] = points[late] @ make_rotation(AXIS, np.radians(0.5)).T
    slip = find_slip(points, hkl, setting, frame)
    if drift == 0.0:
        assert slip is not None
        assert (slip.angle, slip.frame) == (pytest.approx(0.5, abs=0.05), pytest.approx(70.0, abs=3.0))


def test_few_spots_tell_nothing():
    assert find_slip(np.zeros((30, 3)), np.zeros((30, 3)), np.eye(3), np.zeros(30)) is None
