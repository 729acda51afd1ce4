"""Batch numbers and orientations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.experiment import ExperimentList
from xdp.experiment.goniometer import Goniometer, axis_angle_matrix
from xdp.exporting.batches import batch_offsets, cambridge_frame, make_batches


@pytest.mark.parametrize(("ranges", "offsets"), [
    ([(1, 10)], [0]),
    ([(0, 9)], [1]),                                # no batch 0
    ([(1, 10), (21, 30)], [0, 0]),                  # apart: both keep their numbers
    ([(1, 10), (11, 20)], [0, 90]),                 # neighbours: the second from 101
    ([(1, 10), (1, 10), (1, 10)], [0, 100, 200]),
    ([(1, 199), (1, 5)], [0, 200]),
    ([(1, 200), (1, 5)], [0, 300]),
    ([(0, 0), (0, 0)], [1, 101]),                   # stills
])
def test_offsets_keep_batches_apart(ranges, offsets):
    assert batch_offsets(ranges) == offsets


def test_numbers_follow_the_frames(make_experiments):
    batches = make_batches(make_experiments(2))
    assert [b.first for b in batches] == [1, 101]
    np.testing.assert_array_equal(batches[1].numbers(np.array([0.0, 0.99, 1.0, 9.5, 10.0, 10.4])),
                                  [101, 101, 102, 110, 110, 110])


def test_offsets_of_scans_are_kept_where_they_differ(make_experiments):
    first, second = make_experiments(2)
    moved = [first, replace(second, scan=replace(second.scan, batch_offset=1000))]
    assert [b.first for b in make_batches(ExperimentList(moved))] == [1, 1001]
    clash = [first, replace(second, scan=replace(second.scan, batch_offset=5))]
    with pytest.raises(XdpError, match="batch_offset"):
        make_batches(ExperimentList(clash))


def test_the_axis_is_z_and_the_beam_near_x(make_experiments):
    experiment = replace(make_experiments()[0], goniometer=Goniometer((0.8, 0.1, -0.3)))
    frame = cambridge_frame(experiment)
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(frame) == pytest.approx(1.0)
    axis, beam = frame @ experiment.goniometer.rotation_axis_lab, frame @ experiment.beam.unit_s0
    np.testing.assert_allclose(axis, [0, 0, 1], atol=1e-12)
    assert beam[1] == pytest.approx(0.0, abs=1e-12)
    assert beam[0] > 0.5


def test_an_axis_along_the_beam_is_an_error(make_experiments):
    experiment = replace(make_experiments()[0], goniometer=Goniometer((0.0, 0.0, 1.0)))
    with pytest.raises(XdpError, match="along the beam"):
        cambridge_frame(experiment)


def reciprocal(cell):
    """Lengths of a*, b*, c* of a cell."""
    a, b, c = cell[:3]
    ca, cb, cg = np.cos(np.deg2rad(cell[3:]))
    volume = a * b * c * np.sqrt(1 - ca**2 - cb**2 - cg**2 + 2 * ca * cb * cg)
    return [p * q * np.sqrt(1 - c_**2) / volume for p, q, c_ in ((b, c, ca), (c, a, cb), (a, b, cg))]


def test_u_is_a_rotation_that_carries_a_star_from_x(make_experiments):
    """In Busing and Levy's setting a* lies along x of the crystal, so the first column of U is its direction."""
    experiment = make_experiments(unit_cell=(40.0, 50.0, 61.0, 81.0, 97.0, 104.0), hall=" P 1")[0]
    found = make_batches([experiment])[0]
    u = found.orientations[4]
    np.testing.assert_allclose(u @ u.T, np.eye(3), atol=1e-12)
    a_star = cambridge_frame(experiment) @ experiment.crystal.A[:, 0]
    np.testing.assert_allclose(u[:, 0] * reciprocal(found.cells[4])[0], a_star, atol=1e-12)
    assert len(found) == 10
    np.testing.assert_allclose(found.phi[3], [1.5, 2.0])


def test_varying_crystals_are_taken_in_the_middle_of_images(make_experiments):
    experiment = make_experiments()[0]
    a = experiment.crystal.A
    points = [axis_angle_matrix((1, 2, 3), 0.1 * i) @ a * (1 + 0.001 * i) for i in range(11)]
    crystal = replace(experiment.crystal, A_at_scan_points=tuple(tuple(p.ravel()) for p in points))
    varying = replace(experiment, crystal=crystal)
    found, static = make_batches([varying])[0], make_batches([varying], force_static=True)[0]
    # Cell edges are 1 / (1 + 0.001 i) of the first, and image 7 has the mean of points 7 and 8.
    assert found.cells[7][0] == pytest.approx(crystal.unit_cell[0] / 1.0075, rel=1e-9)
    turn = found.orientations[7] @ static.orientations[7].T
    assert np.degrees(np.arccos((np.trace(turn) - 1) / 2)) == pytest.approx(0.75, abs=1e-6)
    np.testing.assert_allclose(static.cells, np.tile(crystal.unit_cell, (10, 1)))


def test_a_still_is_one_batch(make_experiments):
    still = replace(make_experiments()[0], scan=None, goniometer=None)
    found = make_batches([still])[0]
    assert (len(found), found.first) == (1, 1)
    assert not found.phi.any()
    assert not found.axis.any()
