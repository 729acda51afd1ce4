"""The vectors of a known cell that are sought: one of each kind, with the rest of the cell beside it."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.experiment.crystal import b_matrix
from xdp.indexing.shots.cell_vectors import make_cell_vectors


def axes_of(*cell: float) -> np.ndarray:
    """Rows a, b, c of a cell, Å and degrees."""
    return np.linalg.inv(b_matrix(cell))


@pytest.mark.parametrize(("cell", "order"), [((96, 96, 96, 90, 90, 90), 24), ((79, 79, 38, 90, 90, 90), 8),
                                             ((93, 93, 130, 90, 90, 120), 12), ((40, 50, 60, 90, 90, 90), 4),
                                             ((50, 65, 90, 90, 105, 90), 2), ((40, 50, 60, 80, 95, 103), 1)])
def test_rotations_are_those_of_the_lattice(cell, order):
    vectors = make_cell_vectors(axes_of(*cell))
    assert len(vectors.rotations) == order
    for rotation in vectors.rotations:
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
        whole = vectors.basis @ rotation.T @ np.linalg.inv(vectors.basis)
        np.testing.assert_allclose(whole, np.round(whole), atol=1e-6)


def test_each_kind_of_vector_stands_once():
    edges = [float(np.linalg.norm(frame[0])) for frame in make_cell_vectors(axes_of(30, 30, 30, 90, 90, 90)).classes]
    np.testing.assert_allclose(edges, 30.0 * np.sqrt([1.0, 2.0, 3.0]))


def test_a_frame_spans_the_cell():
    vectors = make_cell_vectors(axes_of(40, 50, 60, 80, 95, 103))
    for frame in vectors.classes:
        assert abs(np.linalg.det(frame)) == pytest.approx(np.linalg.det(vectors.basis))


def test_symmetry_about_a_vector():
    vectors = make_cell_vectors(axes_of(79, 79, 38, 90, 90, 90))
    short, long = vectors.classes[0][0], vectors.classes[1][0]
    assert (vectors.count_equal_turns(short), vectors.count_equal_turns(long)) == (4, 2)
    assert vectors.is_reversible(short)
    triclinic = make_cell_vectors(axes_of(40, 50, 60, 80, 95, 103))
    assert not triclinic.is_reversible(triclinic.classes[0][0])
