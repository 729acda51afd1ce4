"""Merged intensities with their statistics: what files of merged data are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.merging.diagnostics.diagnose import Diagnostics
from xdp.merging.statistics import ShellStatistics
from xdp.merging.table_one import TableOne, make_table_one
from xdp.space_groups import AnySpaceGroup


@dataclass(frozen=True, repr=False)
class MergedIntensities:
    """Merged intensities.

    Attributes
    ----------
    hkl : (m, 3) int32
        Indices in the asymmetric unit.
    d : (m,) float64
        Å.
    columns : dict of str to (m,) float64
        Columns of the MTZ file by their labels, in its order; NaN: not measured.
    shells : tuple of ShellStatistics
        By resolution, the last one for all.
    cell : tuple of 6 float
    space_group : gemmi.SpaceGroup or UntabulatedGroup
    wavelength : float
        Å.
    diagnostics : Diagnostics
        Wilson plot, twinning, translations, ice.
    """

    hkl: np.ndarray
    d: np.ndarray
    columns: dict[str, np.ndarray]
    shells: tuple[ShellStatistics, ...]
    cell: tuple[float, ...]
    space_group: AnySpaceGroup
    wavelength: float
    diagnostics: Diagnostics

    @property
    def table_one(self) -> TableOne:
        """The table for a paper; the outer shell is the finest one of `shells`."""
        wilson = self.diagnostics.wilson
        return make_table_one(self.shells[-1], self.shells[-2], space_group=self.space_group.xhm(), cell=self.cell,
                              wavelength=self.wavelength, wilson_b=None if wilson is None else wilson.b,
                              anomalous="I(+)" in self.columns)
