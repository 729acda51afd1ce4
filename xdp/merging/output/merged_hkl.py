"""Merged intensities as CrystFEL's list of reflections, with its two halves beside it."""

from __future__ import annotations

import os

import numpy as np

from xdp.errors import XdpError
from xdp.merging.merged import MergedIntensities
from xdp.merging.output.crystfel_hkl import HklList, write_hkl_list
from xdp.space_groups import UntabulatedGroup


def write_merged_hkl(path: str | os.PathLike, merged: MergedIntensities) -> None:
    """Write mean intensities, with Friedel mates together, and where they are known those of the halves.

    Parameters
    ----------
    path : path
        The halves are beside it, as ``FILE1`` and ``FILE2``, as partialator names them.
    merged : MergedIntensities

    Raises
    ------
    XdpError
        If the axes are untabulated: CrystFEL has no name for such a group.
    """
    group = merged.space_group
    if isinstance(group, UntabulatedGroup):
        raise XdpError(f"{os.fspath(path)}: a list of CrystFEL wants a tabulated space group, not "
                       f"{group.short_name()}: reindex the data to a standard setting (xdp reindex)")
    columns = merged.columns
    n = columns["N"].astype(np.int64)
    # a half may lack reflections that the whole set has
    for ending, label in (("", "IMEAN"), ("1", "IHALF1"), ("2", "IHALF2")):
        if label not in columns:
            continue
        value, sigma = columns[label], columns[f"SIG{label}"]
        known = np.isfinite(value) & np.isfinite(sigma)
        write_hkl_list(f"{os.fspath(path)}{ending}",
                       HklList(merged.hkl[known].astype(np.int64), value[known], sigma[known], n[known],
                               group.laue_str()))
