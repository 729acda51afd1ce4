"""Bases of a lattice: reduced, right-handed, compared with others. Rows are the vectors a, b, c in Å."""

from __future__ import annotations

import itertools

import numpy as np

_SAME = 0.05  # how far a basis may be from whole numbers in another one that spans the same lattice
_MOST_STEPS = 100  # of a reduction: a limit against endless changes by rounding
_SHORTER = 1.0 - 1e-12  # a vector is replaced by one that is shorter by more than rounding


def reduce_basis(basis: np.ndarray) -> np.ndarray:
    """Find the three shortest vectors that span the same lattice.

    Pairwise reduction is followed by a trial of all small combinations. In three dimensions this ends in a
    Minkowski-reduced basis, whose edges are the successive minima (Semaev 2001, LNCS 2146, 181).

    Parameters
    ----------
    basis : (3, 3)
        Rows a, b, c in Å.

    Returns
    -------
    (3, 3)
        Shortest first, right-handed.

    Examples
    --------
    >>> import numpy as np
    >>> reduce_basis(np.array([[10.0, 0, 0], [20.0, 12.0, 0], [0, 0, 5.0]])).tolist()
    [[0.0, 0.0, 5.0], [10.0, 0.0, 0.0], [0.0, 12.0, 0.0]]
    """
    v = np.array(basis, dtype=np.float64)
    for _ in range(_MOST_STEPS):
        v = v[np.argsort(np.sum(v * v, axis=1), kind="stable")]
        # the third vector less the nearest points of the plane of the other two
        trial = v[2] - _list_plane_points(v)
        best = trial[np.argmin(np.sum(trial * trial, axis=1))]
        if best @ best < (v[2] @ v[2]) * _SHORTER:
            v[2] = best
            continue
        shift = np.round((v[1] @ v[0]) / (v[0] @ v[0]))
        if shift == 0.0:
            break
        v[1] = v[1] - shift * v[0]
    return v if np.linalg.det(v) > 0 else -v


def _list_plane_points(v: np.ndarray) -> np.ndarray:
    """Lattice points of the plane of the two shorter vectors around the projection of the third."""
    plane = v[:2]
    centre = np.round(np.linalg.lstsq(plane.T, v[2], rcond=None)[0])
    around = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=2)))
    return (centre + around) @ plane


def reduce_bases(bases: np.ndarray) -> np.ndarray:
    """Reduce many bases at a time, each as :func:`reduce_basis` does.

    Parameters
    ----------
    bases : (t, 3, 3)
        Rows a, b, c in Å.

    Returns
    -------
    (t, 3, 3)
        Shortest vectors first, right-handed.

    Examples
    --------
    >>> import numpy as np
    >>> reduce_bases(np.array([[[10.0, 0, 0], [20.0, 12.0, 0], [0, 0, 5.0]]])).tolist()
    [[[0.0, 0.0, 5.0], [10.0, 0.0, 0.0], [0.0, 12.0, 0.0]]]
    """
    done = np.array(bases, dtype=np.float64)
    around = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=2)))
    open_rows = np.arange(len(done))  # those that the last step changed
    for _ in range(_MOST_STEPS):
        if not len(open_rows):
            break
        v = done[open_rows]
        v = np.take_along_axis(v, np.argsort(np.sum(v * v, axis=2), axis=1, kind="stable")[:, :, None], axis=1)
        plane = v[:, :2]
        gram = plane @ np.swapaxes(plane, 1, 2)
        centre = np.round(np.linalg.solve(gram, plane @ v[:, 2, :, None])[:, :, 0])
        trial = v[:, 2, None] - (centre[:, None] + around) @ plane
        sizes = np.sum(trial * trial, axis=2)
        each, best = np.arange(len(v)), np.argmin(sizes, axis=1)
        is_shorter = sizes[each, best] < np.sum(v[:, 2] * v[:, 2], axis=1) * _SHORTER
        v[is_shorter, 2] = trial[each, best][is_shorter]
        shift = np.where(is_shorter, 0.0, np.round(gram[:, 0, 1] / gram[:, 0, 0]))
        v[:, 1] -= shift[:, None] * v[:, 0]
        done[open_rows] = v
        open_rows = open_rows[is_shorter | (shift != 0.0)]
    return np.where((np.linalg.det(done) > 0)[:, None, None], done, -done)


def are_multiples(long: np.ndarray, short: np.ndarray, tolerance: float = 0.05) -> np.ndarray:
    """Which vectors are (nearly) integer multiples, two or more, of a shorter one.

    Parameters
    ----------
    long : (n, 3)
        Vectors in Å.
    short : (3,)
        The shorter one.
    tolerance : float
        How far a multiple may be off, as a fraction of its length.

    Returns
    -------
    (n,) of bool

    Examples
    --------
    >>> import numpy as np
    >>> long = np.array([[20.0, 0.1, 0.0], [15.0, 0.0, 0.0], [10.0, 0.0, 0.0]])
    >>> are_multiples(long, np.array([10.0, 0.0, 0.0])).tolist()
    [True, False, False]
    """
    n = np.round(long @ short / float(short @ short))
    off = np.linalg.norm(long - n[:, None] * short, axis=1)
    return (np.abs(n) >= 2) & (off < tolerance * np.linalg.norm(long, axis=1))


def span_same_lattice(bases: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Which of `bases` (t, 3, 3) span nearly the lattice of `basis` (3, 3), bool (t,).

    Examples
    --------
    >>> import numpy as np
    >>> basis = np.diag([10.0, 20.0, 30.0])
    >>> span_same_lattice(np.stack([basis[[1, 0, 2]], np.diag([20.0, 20.0, 30.0])]), basis).tolist()
    [True, False]
    """
    transform = bases @ np.linalg.inv(basis)
    whole = np.round(transform)
    return (np.abs(transform - whole).max(axis=(1, 2)) < _SAME) & (np.abs(np.abs(np.linalg.det(whole)) - 1.0) < 1e-6)


def measure_misorientation(first: np.ndarray, second: np.ndarray) -> float:
    """Measure the angle in degrees of the rotation that takes one setting matrix A (3, 3) closest to another.

    Examples
    --------
    >>> import numpy as np
    >>> quarter_turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> round(measure_misorientation(np.diag([0.1, 0.2, 0.3]), quarter_turn @ np.diag([0.1, 0.2, 0.3])), 6)
    90.0
    """
    # the rotation nearest to A2 A1^-1 in the least-squares sense (Kabsch 1976, Acta Cryst. A32, 922)
    u, _, vt = np.linalg.svd(second @ np.linalg.inv(first))
    turn = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    return float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1.0) / 2.0, -1.0, 1.0))))
