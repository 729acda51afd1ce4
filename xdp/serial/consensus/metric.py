r"""How far two lattices are apart, whatever axes describe them.

Reduced cells jump: a lattice near the border of two kinds of reduction has two reduced cells that look different. The
lengths used here do not. The vectors of a lattice L fall into classes modulo 2L, seven beside that of zero. The
shortest vector of each class has a length that changes smoothly with the lattice, and the seven lengths say what the
lattice is. Other axes only change their order, by one of 168 permutations (the group GL(3, 2), which contains the 24
permutations of a Delaunay-reduced cell's four vectors). The distance of two lattices is the largest relative difference
of the seven lengths, in the order that makes it the smallest.

References
----------
Conway & Sloane (1992) Proc. R. Soc. Lond. A 436, 55, doi:10.1098/rspa.1992.0004 (the seven lengths, "vonorms");
Andrews, Bernstein & Sauter (2019) Acta Cryst. A75, 115, doi:10.1107/S2053273318015413 (distances of Delaunay-reduced
cells and their 24 permutations).
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np

from xdp.indexing.lattice.basis import reduce_bases
from xdp.indexing.lattice.symmetry import list_unimodular

_CHUNK = 20000  # pairs at a time: their 168 permutations take some 100 MB


@cache
def _list_coset_vectors() -> list[np.ndarray]:
    """For each class modulo 2L the vectors that can be the shortest one of a reduced cell, as indices."""
    vectors = [v for v in itertools.product((-1, 0, 1), repeat=3) if v > (0, 0, 0)]
    return [np.array([v for v in vectors if tuple(abs(x) for x in v) == parity]) for parity in _list_parities()]


@cache
def _list_parities() -> list[tuple[int, int, int]]:
    """The seven classes: indices modulo 2."""
    return [(x, y, z) for x, y, z in itertools.product((0, 1), repeat=3) if x or y or z]


@cache
def list_permutations() -> np.ndarray:
    """List how changes of axes permute the seven lengths, (168, 7) of int.

    Examples
    --------
    >>> list_permutations().shape
    (168, 7)
    """
    parities = np.array(_list_parities())
    place: dict[tuple[int, ...], int] = {p: k for k, p in enumerate(_list_parities())}
    moved = {tuple(place[tuple(int(x) for x in row)] for row in parities @ m % 2)
             for m in (list_unimodular() % 2)}
    return np.array(sorted(moved))


def compute_lengths(bases: np.ndarray) -> np.ndarray:
    """Compute the seven lengths of lattices, in an order that depends on the axes.

    Parameters
    ----------
    bases : (t, 3, 3)
        Rows a, b, c of primitive cells in Å, reduced or not.

    Returns
    -------
    (t, 7)
        Å.

    Examples
    --------
    >>> import numpy as np
    >>> compute_lengths(np.diag([3.0, 4.0, 12.0])[None]).tolist()
    [[12.0, 4.0, 12.649110640673518, 3.0, 12.36931687685298, 5.0, 13.0]]
    """
    reduced = reduce_bases(bases)
    return np.stack([np.linalg.norm(v @ reduced, axis=2).min(axis=1) for v in _list_coset_vectors()], axis=1)


def measure_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Measure the distances of lattices, pair by pair.

    Parameters
    ----------
    first, second : (t, 7)
        Their seven lengths.

    Returns
    -------
    (t,)
        The largest relative difference of lengths, at the best permutation: 0.01 means 1 %.

    Examples
    --------
    The same lattice in other axes, and one that is 1 % larger:

    >>> import numpy as np
    >>> cell = np.array([[10.0, 0, 0], [1.0, 20.0, 0], [2.0, 3.0, 30.0]])
    >>> other = np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]]) @ cell
    >>> lengths = compute_lengths(np.stack([cell, other, 1.01 * other]))
    >>> measure_distances(lengths[[0, 0]], lengths[1:]).round(4).tolist()
    [0.0, 0.01]
    """
    result = np.empty(len(first))
    for start in range(0, len(first), _CHUNK):
        part = slice(start, start + _CHUNK)
        x, y = np.log(first[part]), np.log(second[part])
        result[part] = np.abs(x[:, None] - y[:, list_permutations()]).max(axis=2).min(axis=1)
    return np.expm1(result)


def match_cell_axes(basis: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Choose other axes of a lattice so that the cell is as near as possible to a given one.

    Parameters
    ----------
    basis : (3, 3)
        Rows a, b, c in Å; reduced, or within one step of it.
    target : (3, 3)
        The cell to come near to, reduced; only its shape matters.

    Returns
    -------
    (3, 3)
        Axes of the same lattice, right-handed.

    Examples
    --------
    >>> import numpy as np
    >>> np.linalg.norm(match_cell_axes(np.diag([10.0, 20.0, 30.0]), np.diag([30.0, 20.0, 10.0])), axis=1).tolist()
    [30.0, 20.0, 10.0]
    """
    choices = list_unimodular() @ basis
    gram = choices @ np.swapaxes(choices, 1, 2)
    wanted = target @ target.T
    size = np.sqrt(np.diag(wanted))
    # each product relative to the lengths of its two axes
    misfit = np.abs(gram - wanted) / np.outer(size, size)
    return choices[int(np.argmin(np.sum(misfit**2, axis=(1, 2))))]
