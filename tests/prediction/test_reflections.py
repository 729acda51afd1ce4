from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.experiment import Experiment, Goniometer, Scan
from xdp.prediction._kernels_passages import find_passages
from xdp.prediction.rays import make_goniometer_rotations, rotate_vectors
from xdp.prediction.reflections import intersect_detector, predict_rotation, predict_stills
from xdp.reflections import Flag
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan

pytestmark = pytest.mark.kernels
TURNED = Goniometer.multi_axis([(1, 0, 0), (0.6, 0.8, 0), (0.1, 0.9, 0.2)], [30.0, 20.0, 10.0],
                               ["phi", "kappa", "omega"], 1)


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return Experiment("x", make_beam(), make_detector((300, 260), distance=70.0), make_goniometer(), make_scan(10),
                      make_crystal())


@pytest.mark.parametrize("goniometer", [make_goniometer(), TURNED], ids=["single", "kappa"])
@pytest.mark.parametrize("scan", [make_scan(10), Scan((5, 8), (100.0, -0.7))], ids=["forward", "backward"])
def test_every_prediction_diffracts_at_its_angle(experiment, goniometer, scan):
    experiment = dataclasses.replace(experiment, goniometer=goniometer, scan=scan)
    table = predict_rotation(experiment, 3.0)
    assert len(table) > 20
    x, y, phi = table["xyzcal.mm"].T
    turned = make_goniometer_rotations(goniometer, phi)
    q = np.einsum("nij,nj->ni", turned, table["miller_index"] @ experiment.crystal.A.T)
    np.testing.assert_allclose(table["s1"], experiment.beam.s0 + q, atol=1e-10)
    np.testing.assert_allclose(np.linalg.norm(table["s1"], axis=1), 1 / experiment.beam.wavelength, rtol=1e-10)
    lab = np.column_stack([x, y, np.ones(len(x))]) @ experiment.detector.d_matrix(0).T
    np.testing.assert_allclose(np.cross(lab, table["s1"]), 0.0, atol=1e-8)
    z = table["xyzcal.px"][:, 2]
    assert z.min() >= scan.array_range[0]
    assert z.max() <= scan.array_range[1]
    assert table.flags(Flag.PREDICTED).all()


def test_entering_points_move_into_the_sphere(experiment):
    table = predict_rotation(experiment, 3.0)
    points = table["miller_index"] @ experiment.crystal.A.T
    later = experiment.beam.s0 + rotate_vectors(points, [1.0, 0, 0], table["xyzcal.mm"][:, 2] + 1e-6)
    shrinks = np.linalg.norm(later, axis=1) < 1 / experiment.beam.wavelength
    np.testing.assert_array_equal(shrinks, table["entering"])
    assert 0 < shrinks.sum() < len(shrinks)


def test_a_whole_turn_has_each_reflection_at_most_twice(experiment):
    turn = dataclasses.replace(experiment, scan=make_scan(72, 5.0))
    table = predict_rotation(turn, 4.0)
    _, counts = np.unique(table["miller_index"], axis=0, return_counts=True)
    assert set(counts.tolist()) <= {1, 2}
    two_turns = predict_rotation(dataclasses.replace(experiment, scan=make_scan(144, 5.0)), 4.0)
    assert len(two_turns) == 2 * len(table)


def test_a_margin_adds_what_lies_beside_the_scan(experiment):
    inside, wide = predict_rotation(experiment, 3.0), predict_rotation(experiment, 3.0, margin=1.0)
    z = wide["xyzcal.px"][:, 2]
    assert ((z >= 0) & (z <= 10)).sum() == len(inside) < len(wide)
    assert z.min() > -2.0 - 1e-9


def test_given_indices_are_predicted_alone(experiment):
    some = predict_rotation(experiment, 3.0)["miller_index"][:7]
    table = predict_rotation(experiment, indices=some)
    assert set(map(tuple, table["miller_index"].tolist())) == set(map(tuple, some.tolist()))


def slow_passages(points, axis, s0, begin, end) -> list[tuple[int, float]]:
    """Twin: point by point, the two angles and all turns."""
    found = []
    for i, point in enumerate(points):
        along = point @ axis * axis
        a, b = (point - along) @ s0, np.cross(axis, point) @ s0
        c = -0.5 * point @ point - along @ s0
        if np.hypot(a, b) == 0.0 or abs(c) > np.hypot(a, b):
            continue
        angles = np.arctan2(b, a) + np.array([-1.0, 1.0]) * np.arccos(c / np.hypot(a, b))
        for turn in range(-6, 7):
            found += [(i, phi) for phi in (angles + 2.0 * np.pi * turn).tolist() if begin <= phi <= end]
    return found


def passages(points, axis, s0, begin, end, capacity=20_000):
    """Of points with whole coordinates, by the kernel."""
    rows, angles, rays = np.zeros(capacity, np.int64), np.zeros(capacity), np.zeros((capacity, 3))
    hkl = np.ascontiguousarray(points, np.int32)
    n = find_passages(hkl, 0.1 * np.eye(3), axis, s0, begin, end, rows, angles, rays)
    return n, rows[:n], angles[:n], rays[:n]


@pytest.mark.parametrize(("begin", "end"), [(0.2, 0.7), (-7.0, -4.0), (3.0, 6.2), (-0.1, 14.0), (2.0, 2.001)])
def test_passages_equal_their_twin(begin, end):
    axis, s0 = np.array([0.6, 0.0, 0.8]), np.array([0.1, 0.2, -0.9])
    points = np.random.default_rng(6).integers(-12, 13, (800, 3))
    n, rows, angles, rays = passages(points, axis, s0, begin, end)
    expected = sorted(slow_passages(0.1 * points, axis, s0, begin, end))
    assert n == len(expected)
    order = np.lexsort((angles, rows))
    np.testing.assert_array_equal(rows[order], [i for i, _ in expected])
    # whole turns are added to angles of a few radians
    np.testing.assert_allclose(angles[order], [phi for _, phi in expected], atol=1e-13)
    turned = np.array([rotate_vectors(0.1 * points[i], axis, phi) for i, phi in zip(rows, angles, strict=True)])
    np.testing.assert_allclose(rays, s0 + turned.reshape(-1, 3), atol=1e-14)
    if n > 3:
        assert passages(points, axis, s0, begin, end, capacity=3)[0] == n


def test_points_out_of_reach_never_pass():
    # On the axis, farther than the sphere's diameter, and one that passes twice.
    n, rows, _, rays = passages([[3, 0, 0], [0, 0, 25], [0, 5, 1]], np.array([1.0, 0, 0]), np.array([0.0, 0.0, -1.0]),
                                0.0, 2.0 * np.pi)
    assert n == 2
    assert rows.tolist() == [2, 2]
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1.0, rtol=1e-14)


def test_stills_are_brought_onto_the_sphere_by_the_least_turn(experiment):
    table = predict_stills(experiment, 3.0, max_delta_psi=0.3)
    assert len(table) > 10
    s0, q = experiment.beam.s0, table["miller_index"] @ experiment.crystal.A.T
    np.testing.assert_allclose(np.linalg.norm(table["s1"], axis=1), 1 / experiment.beam.wavelength, rtol=1e-10)
    turned = table["s1"] - s0
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), np.linalg.norm(q, axis=1), rtol=1e-10)
    cosine = (turned * q).sum(axis=1) / np.square(q).sum(axis=1)
    # An arc cosine near 1 is good to 1e-7 rad.
    np.testing.assert_allclose(np.arccos(np.minimum(cosine, 1.0)), np.abs(table["delpsical.rad"]), atol=1e-6)
    assert np.abs(table["delpsical.rad"]).max() <= np.deg2rad(0.3)


def test_rays_that_miss_have_no_panel(experiment):
    panel, xy = intersect_detector(experiment.detector, np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [5.0, 0.0, -1.0]]))
    assert panel.tolist() == [0, -1, -1]
    assert np.isnan(xy[1:]).all()


def test_what_cannot_be_predicted_is_refused(experiment):
    with pytest.raises(ValueError, match="rotating crystal"):
        predict_rotation(dataclasses.replace(experiment, crystal=None), 3.0)
    with pytest.raises(ValueError, match="rotating crystal"):
        predict_rotation(dataclasses.replace(experiment, scan=Scan((1, 1))), 3.0)
    with pytest.raises(ValueError, match="crystal"):
        predict_stills(dataclasses.replace(experiment, crystal=None))


def test_nothing_in_reach_is_an_empty_table(experiment):
    assert len(predict_rotation(experiment, 100.0)) == 0
    assert predict_rotation(experiment, 100.0)["s1"].shape == (0, 3)
