"""One choice of axes for the lattices of several crystals, as far as their cells say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.experiment.crystal import cell_of
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.lattice.basis import reduce_basis
from xdp.indexing.lattice.symmetry import find_primitive_change, list_unimodular


@dataclass(frozen=True)
class CommonAxes:
    """Changes of axes from each crystal to a lattice that all have.

    Attributes
    ----------
    first : int
        The crystal whose lattice stands for all.
    transforms : tuple of (3, 3) float64 or None
        For each crystal: common primitive axes in terms of its own. None where its cell is another one.
    cells : tuple of tuple of float
        The reduced cell of each crystal, Å and degrees.
    """

    first: int
    transforms: tuple[np.ndarray | None, ...]
    cells: tuple[tuple[float, ...], ...]


def find_common_axes(experiments: ExperimentList, length_tolerance: float, angle_tolerance: float) -> CommonAxes:
    """Find the lattice that most crystals have, and the axes of each crystal on it.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals, on any axes.
    length_tolerance : float
        How far lengths of axes may differ, as a fraction.
    angle_tolerance : float
        How far angles may differ, degrees.

    Returns
    -------
    CommonAxes

    Notes
    -----
    A lattice with symmetry has several choices of axes with the same cell. Which one a crystal gets is arbitrary here:
    only intensities can tell.
    """
    reduced, changes = [], []
    for experiment in experiments:
        crystal = experiment.known.crystal
        primitive = find_primitive_change(crystal.space_group)
        axes = primitive @ crystal.real_space_matrix
        basis = reduce_basis(axes)
        reduced.append(basis)
        changes.append(np.round(basis @ np.linalg.inv(axes)) @ primitive)
    cells = [cell_of(basis) for basis in reduced]
    best, first = None, 0
    # crystals near the middle of the list of volumes are tried as the one that stands for all
    order = np.argsort([abs(np.linalg.det(b)) for b in reduced], kind="stable")
    for k in dict.fromkeys(int(order[int(q * (len(order) - 1))]) for q in (0.5, 0.25, 0.75)):
        found = [match_reduced_axes(basis, reduced[k], length_tolerance, angle_tolerance) for basis in reduced]
        if best is None or sum(m is not None for m in found) > sum(m is not None for m in best):
            best, first = found, k
    assert best is not None
    transforms = tuple(None if match is None else match @ change for match, change in zip(best, changes, strict=True))
    return CommonAxes(first, transforms, tuple(cells))


def match_reduced_axes(basis: np.ndarray, wanted: np.ndarray, length_tolerance: float, angle_tolerance: float
                       ) -> np.ndarray | None:
    """Find the axes of a lattice whose cell is nearest to another one.

    Parameters
    ----------
    basis, wanted : (3, 3) float64
        Rows: reduced axes of both, Å.
    length_tolerance : float
        How far lengths of axes may differ, as a fraction.
    angle_tolerance : float
        How far angles may differ, degrees.

    Returns
    -------
    (3, 3) float64 or None
        The axes in terms of `basis`; None beyond the tolerances.

    Examples
    --------
    >>> match_reduced_axes(np.diag([10.0, 20.0, 30.0]), np.diag([10.1, 20.0, 30.2]), 0.05, 2.0).tolist()
    [[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if np.abs(np.sort(np.linalg.norm(basis, axis=1)) / np.sort(np.linalg.norm(wanted, axis=1)) - 1.0
              ).max() > length_tolerance:
        return None
    choices = list_unimodular()
    moved = choices @ basis
    metric, target = moved @ np.swapaxes(moved, 1, 2), wanted @ wanted.T
    misfit = np.square((metric - target) / np.trace(target)).sum(axis=(1, 2))
    # of equal choices the first one in a fixed order, whatever the last digits
    best = int(np.argmax(misfit <= misfit.min() * (1.0 + 1e-6) + 1e-12))
    cell, other = np.asarray(cell_of(moved[best])), np.asarray(cell_of(wanted))
    if np.abs(cell[:3] / other[:3] - 1.0).max() > length_tolerance or (
            np.abs(cell[3:] - other[3:]).max() > angle_tolerance):
        return None
    return choices[best].astype(np.float64)
