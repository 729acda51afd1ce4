"""Intensities that stills are merged against: MTZ, mmCIF, or CrystFEL's .hkl."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.crystal import b_matrix
from xdp.integration.partiality.reference import ReferenceIntensities
from xdp.merging.output.crystfel_hkl import read_hkl_list
from xdp.space_groups import AnySpaceGroup
from xdp.symmetry.reference import read_reference_intensities

_CELL_TOLERANCE = 0.03
"""Part by which axes may differ from those of the reference. A choice: that of lattices' cells."""


def read_stills_reference(path: str | os.PathLike, group: AnySpaceGroup, cell: Sequence[float]) -> ReferenceIntensities:
    """Read a reference.

    Parameters
    ----------
    path : path
        ``.hkl`` of CrystFEL; else MTZ or mmCIF.
    group : gemmi.SpaceGroup or UntabulatedGroup
        Of the lattices.
    cell : sequence of 6 float
        Their cell, Å and degrees.

    Returns
    -------
    ReferenceIntensities

    Raises
    ------
    XdpError
        If the file cannot be read, has no intensities, or is of another cell.
    """
    b = b_matrix(cell)
    if os.fspath(path).endswith(".hkl"):
        listed = read_hkl_list(path)
        hkl, value, sigma = listed.hkl, listed.intensity, listed.sigma
    else:
        found = read_reference_intensities(path)
        theirs, ours = np.asarray(found.cell), np.asarray(cell)
        if np.any(np.abs(theirs[:3] / ours[:3] - 1.0) > _CELL_TOLERANCE):
            raise XdpError(f"stills.reference={os.fspath(path)}: its cell {theirs.round(2).tolist()} is not that of "
                           f"the lattices, {ours.round(2).tolist()}")
        hkl, value, sigma = found.hkl, found.intensity, found.sigma
    good = np.isfinite(value) & np.isfinite(sigma) & (sigma > 0.0)
    if not good.any():
        raise XdpError(f"stills.reference={os.fspath(path)}: no intensities with standard deviations")
    return ReferenceIntensities.build(group, b.T @ b, hkl[good], value[good], np.square(sigma[good]))
