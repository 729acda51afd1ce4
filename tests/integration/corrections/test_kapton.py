from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.integration.corrections.absorption_options import KaptonOptions
from xdp.integration.corrections.kapton import (
    Tape,
    compute_box_path,
    compute_infinite_tape_path,
    compute_kapton_attenuation,
    make_tape,
    make_varied_tapes,
)

TAPE = Tape(0.05, 0.03, 0.7, np.deg2rad(4.0))


def rays(n=300, seed=1):
    """Unit rays into the forward hemisphere."""
    found = np.random.default_rng(seed).normal(size=(n, 3))
    found[:, 2] = -np.abs(found[:, 2]) - 0.02
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def walked(tape, direction, side, upstream):
    """Twin: length of a ray inside the tape, in small steps; None where it leaves through the end of the long side."""
    t = np.arange(0.0, 8.0, 2e-4)
    points = t[:, None] * direction
    c, s = np.cos(tape.angle), np.sin(tape.angle)
    depth, along = side * (points @ [c, s, 0.0]), points @ [-s, c, 0.0]
    inside = (depth > tape.height) & (depth < tape.height + tape.thickness) & (-points[:, 2] < tape.half_width)
    if upstream:
        inside &= points[:, 2] < tape.half_width
        if np.any(inside & (np.abs(along) > 9.99 * tape.half_width)):
            return None
    return 2e-4 * np.count_nonzero(inside)


@pytest.mark.parametrize(("path", "side", "upstream"),
                         [(compute_infinite_tape_path, 1, False), (compute_box_path, -1, True)])
def test_paths_are_those_of_a_walk_along_the_ray(path, side, upstream):
    directions = rays()
    found = path(TAPE, directions)
    expected = [walked(TAPE, direction, side, upstream) for direction in directions]
    kept = [i for i, length in enumerate(expected) if length is not None]
    assert 40 < np.count_nonzero(found) < 200
    # Two ends of a step each.
    np.testing.assert_allclose(found[kept], [expected[i] for i in kept], atol=5e-4)


def test_a_ray_along_the_tape_leaves_through_its_edge():
    tape = Tape(0.05, 0.03, 0.7, 0.0)
    slope = 0.06 / 0.7
    ray = np.array([[slope, 0.0, -1.0]]) / np.hypot(slope, 1.0)
    # At the edge's plane, 0.7 mm downstream, the ray is 0.06 mm out: a third into the tape, since 0.05 mm.
    assert compute_infinite_tape_path(tape, ray)[0] == pytest.approx(np.hypot(0.06, 0.7) * (0.01 / 0.06))
    assert compute_box_path(tape, ray * [-1, 1, 1])[0] == pytest.approx(np.hypot(0.06, 0.7) * (0.01 / 0.06))
    for path in (compute_infinite_tape_path, compute_box_path):
        assert path(tape, np.array([[0.0, 0.0, -1.0]]))[0] == 0.0


def test_attenuation_passes_through_the_published_points():
    for energy, microns in ((6.0, 482.643), (9.01, 1703.49), (13.0, 5152.69)):
        assert compute_kapton_attenuation(12.39841984 / energy) == pytest.approx(1e3 / microns, rel=1e-6)
    # Between points, against one that was left out; beyond, the cube of the energy roughly.
    assert compute_kapton_attenuation(12.39841984 / 8.24) == pytest.approx(1.0 / 1.29167, rel=3e-4)
    ratio = compute_kapton_attenuation(12.39841984 / 20.0) / compute_kapton_attenuation(12.39841984 / 13.0)
    assert ratio == pytest.approx((13 / 20) ** 3, rel=0.12)


def test_each_value_of_the_tape_is_read_and_varied():
    options = KaptonOptions(xtal_height_above_kapton_mm={"value": 0.03, "sigma": 0.1},
                            rotation_angle_deg={"value": 2.0, "sigma": 0.5},
                            kapton_half_width_mm={"value": 1.5, "sigma": 0.25},
                            kapton_thickness_mm={"value": 0.05, "sigma": 0.01})
    tape = make_tape(options)
    assert tape == (0.03, 0.05, 1.5, np.deg2rad(2.0))
    low_height, high_height, *others = make_varied_tapes(options)
    assert (low_height.height, high_height.height) == (0.001, pytest.approx(0.13))
    assert [(t.thickness, t.half_width, float(np.rad2deg(t.angle))) for t in others] == [
        pytest.approx(v) for v in [(0.04, 1.5, 2.0), (0.06, 1.5, 2.0), (0.05, 1.25, 2.0), (0.05, 1.75, 2.0),
                                   (0.05, 1.5, 1.5), (0.05, 1.5, 2.5)]]


@pytest.mark.parametrize(("name", "values", "message"), [
    ("kapton_thickness_mm", {"value": 0.0}, "kapton_thickness_mm.value must be a number above 0, got 0"),
    ("xtal_height_above_kapton_mm", {"value": None}, "value must be a number above 0, got None"),
    ("rotation_angle_deg", {"sigma": -1.0}, "rotation_angle_deg.sigma must be at least 0, got -1"),
    ("kapton_half_width_mm", {"sigma": None}, "kapton_half_width_mm.sigma must be at least 0, got None")])
def test_values_that_make_no_tape_are_refused(name, values, message):
    with pytest.raises(OptionError, match=message.replace(".", r"\.")):
        make_varied_tapes(KaptonOptions(**{name: values}))
