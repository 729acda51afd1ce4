"""A crystal whose orientation is known: the option ``known_symmetry.A_matrix``."""

from __future__ import annotations

import logging

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.experiment.crystal import Crystal, cell_of
from xdp.indexing.lattice.symmetry import find_primitive_change, find_space_group, impose_symmetry, match_known_symmetry
from xdp.indexing.options import KnownSymmetry
from xdp.indexing.search.cells import score_cell

logger = logging.getLogger(__name__)

_LIKELY = 25.0  # log likelihood ratio that chance does not reach in one trial, as for other cells (search/cells.py)


def make_known_crystal(known: KnownSymmetry) -> Crystal:
    """Make the crystal of the known setting matrix, with the known symmetry.

    The matrix may be on the axes of the space group, as :attr:`Crystal.A <xdp.experiment.crystal.Crystal.A>` of an
    .expt, or on those of a primitive cell. Its metric is averaged over the symmetry.

    Parameters
    ----------
    known : KnownSymmetry
        With ``A_matrix``. A space group and a cell, if there are any, must agree with it within the tolerances.

    Returns
    -------
    Crystal
        In P1, on the axes of the matrix, if nothing else is known.

    Raises
    ------
    OptionError
        If the matrix is left-handed or has no inverse, or does not agree with the rest.

    Examples
    --------
    >>> make_known_crystal(KnownSymmetry(A_matrix=(0.1, 0, 0, 0, 0.1, 0, 0, 0, 0.05), space_group="P4")).unit_cell
    (10.0, 10.0, 20.0, 90.0, 90.0, 90.0)
    """
    matrix = np.asarray(known.A_matrix, dtype=np.float64).reshape(3, 3)
    # its determinant is the reciprocal volume: that of a right-handed cell of some size
    if not np.linalg.det(matrix) > np.finfo(float).tiny or np.linalg.cond(matrix) > 1.0 / np.finfo(float).eps:
        raise OptionError("indexing.known_symmetry.A_matrix must be the setting matrix of a right-handed crystal, with "
                          f"a determinant above 0, got {np.linalg.det(matrix):.3g} 1/Å³; give the nine numbers of "
                          "A = U B row by row, in 1/Å")
    axes = np.linalg.inv(matrix)
    crystals = _take_axes(axes, known) or match_known_symmetry(axes, known)
    if not crystals:
        wanted = ", ".join(str(v) for v in (known.space_group, known.unit_cell) if v is not None)
        cell = " ".join(f"{v:.2f}" for v in cell_of(axes))
        raise OptionError(f"indexing.known_symmetry.A_matrix: its cell {cell} does not agree with {wanted}; correct "
                          "one of them, or widen the tolerances")
    return crystals[0]


def _take_axes(axes: np.ndarray, known: KnownSymmetry) -> list[Crystal]:
    """The crystal on the axes of the matrix, or none if these do not agree with what is known."""
    group = find_space_group(known.space_group or "P 1")
    crystal = impose_symmetry(axes, group)
    targets = [np.asarray(crystal.unit_cell), np.asarray(known.unit_cell or crystal.unit_cell)]
    found = np.asarray(cell_of(axes))
    for target in targets:
        if (np.abs(found[:3] / target[:3] - 1.0).max() > known.relative_length_tolerance
                or np.abs(found[3:] - target[3:]).max() > known.absolute_angle_tolerance):
            return []
    return [crystal]


def check_known_crystal(crystal: Crystal, points: np.ndarray, tolerance: float) -> None:
    """Make sure that a crystal explains spots better than chance would; the log says how many.

    Parameters
    ----------
    crystal : Crystal
        Of the known setting matrix.
    points : (n, 3)
        Reciprocal lattice points of the spots, 1/Å.
    tolerance : float
        A spot is indexed if no index is further than this from a whole number.

    Raises
    ------
    XdpError
        If it does not.
    """
    basis = find_primitive_change(crystal.space_group) @ crystal.real_space_matrix
    cell = score_cell(basis, points, tolerance)
    if cell.score <= _LIKELY:
        raise XdpError(f"indexing: the crystal of known_symmetry.A_matrix indexes {cell.n_indexed} of {cell.n_spots} "
                       "spots, no better than chance: it is another crystal, another angle of the goniometer, or "
                       "another geometry. Leave A_matrix out to search for the lattice")
    logger.info("The crystal of known_symmetry.A_matrix indexes %d of %d spots: no search", cell.n_indexed,
                cell.n_spots)
