"""Powder patterns: sum and maximum of the hits and of the misses, kept as a run goes."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from xdp.files import atomic_output

KINDS = ("hits", "misses")
"""Groups of the file."""


class PowderSums:
    """Sum and maximum of some shots.

    Sums of whole counts are exact in float64 up to 2**53; others are added in the order of the shots, in batches that
    do not depend on workers.

    Attributes
    ----------
    n : int
        Shots.
    total : list of (slow, fast) float64
        One array a panel; None before the first shot.
    highest : list of (slow, fast) float32
        The same.
    """

    def __init__(self) -> None:
        self.n = 0
        self.total: list[np.ndarray] | None = None
        self.highest: list[np.ndarray] | None = None

    def add(self, panels: Sequence[np.ndarray], valid: Sequence[np.ndarray] | None = None) -> None:
        """Add a shot.

        Parameters
        ----------
        panels : sequence of (slow, fast) array
        valid : sequence of (slow, fast) bool, optional
            Other pixels count as 0.
        """
        images = [panel if valid is None else np.where(valid[i], panel, 0) for i, panel in enumerate(panels)]
        if self.total is None or self.highest is None:
            self.n, self.total = 1, [image.astype(np.float64) for image in images]
            self.highest = [image.astype(np.float32) for image in images]
            return
        self.n += 1
        for total, highest, image in zip(self.total, self.highest, images, strict=True):
            total += image
            np.maximum(highest, image, out=highest, casting="same_kind" if image.dtype.kind == "f" else "unsafe")

    def join(self, other: PowderSums) -> None:
        """Add the shots of another sum; shots of another shape are left out.

        Parameters
        ----------
        other : PowderSums
        """
        if other.total is None or other.highest is None:
            return
        if self.total is None or self.highest is None:
            self.n, self.total, self.highest = other.n, other.total, other.highest
            return
        if [a.shape for a in self.total] != [a.shape for a in other.total]:
            return
        self.n += other.n
        for mine, theirs in zip(self.total, other.total, strict=True):
            mine += theirs
        for mine, theirs in zip(self.highest, other.highest, strict=True):
            np.maximum(mine, theirs, out=mine)


def write_powder(path: str | os.PathLike, sums: Sequence[PowderSums]) -> None:
    """Write powder patterns to an HDF5 file, whole or not at all.

    Parameters
    ----------
    path : path
    sums : sequence of PowderSums
        Of the hits and of the misses. Panels of one shape make one array (panel, slow, fast), ``sum`` and ``maximum``
        in the groups ``hits`` and ``misses``; others are ``sum_000`` and so on. A group's ``n_shots`` says how many.
    """
    import h5py

    with atomic_output(path) as part, h5py.File(part, "w", locking=False) as file:
        for kind, powder in zip(KINDS, sums, strict=True):
            group = file.create_group(kind)
            group.attrs["n_shots"] = powder.n
            for name, arrays in (("sum", powder.total), ("maximum", powder.highest)):
                if arrays is None:
                    continue
                if len({array.shape for array in arrays}) == 1:
                    group.create_dataset(name, data=np.stack(arrays), compression="gzip", compression_opts=1)
                    continue
                for number, array in enumerate(arrays):
                    group.create_dataset(f"{name}_{number:03d}", data=array, compression="gzip", compression_opts=1)
