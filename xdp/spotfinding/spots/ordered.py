"""Spots with the key that orders them, and how they are kept on disk between the steps of a search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

_BOX = "shoebox."
"""Before the names of a shoebox's arrays: no column of a table holds a dot after this word."""


@dataclass(frozen=True)
class MeasuredSpots:
    """Measured spots.

    Attributes
    ----------
    table : ReflectionTable
        Their columns.
    first : (n, 4) int32
        First strong pixel of each: frame, panel, slow, fast; the canonical order is that of these rows.
    """

    table: ReflectionTable
    first: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def select(self, which: np.ndarray) -> MeasuredSpots:
        """The spots that a mask or an index array picks, in its order."""
        return MeasuredSpots(self.table.select(which), self.first[which])

    def sorted(self) -> MeasuredSpots:
        """In canonical order."""
        if not len(self):
            return self
        # one number a row, since four keys would be sorted four times; 64 bits hold any detector and scan
        first = self.first.astype(np.int64) - self.first.min(axis=0)
        key = np.zeros(len(first), np.int64)
        for column, extent in zip(first.T, first.max(axis=0) + 1, strict=True):
            key = key * extent + column
        # Spots come in a few runs that are in order: a stable sort merges these.
        return self if np.all(key[:-1] <= key[1:]) else self.select(np.argsort(key, kind="stable"))

    @classmethod
    def concatenate(cls, parts: Iterable[MeasuredSpots]) -> MeasuredSpots:
        """All spots, one part after the other."""
        parts = list(parts)
        return cls(ReflectionTable.concatenate([p.table for p in parts]), np.concatenate([p.first for p in parts]))


def pack_table(table: ReflectionTable) -> dict[str, np.ndarray]:
    """Take a table apart into plain arrays by name.

    Parameters
    ----------
    table : ReflectionTable

    Returns
    -------
    dict of ndarray
        The columns; of shoeboxes, as ``shoebox.NAME``, those arrays that the other columns do not hold.
    """
    arrays = {name: column for name, column in table.items() if name != "shoebox"}
    if "shoebox" in table:
        boxes = table["shoebox"]
        arrays |= {_BOX + name: getattr(boxes, name) for name in ("offsets", "data", "mask")}
    return arrays


def unpack_table(arrays: Mapping[str, np.ndarray]) -> ReflectionTable:
    """Put a table together that :func:`pack_table` took apart.

    Parameters
    ----------
    arrays : mapping of str to ndarray

    Returns
    -------
    ReflectionTable
    """
    columns: dict = {name: arrays[name] for name in arrays if not name.startswith(_BOX)}
    if _BOX + "offsets" in arrays:
        columns["shoebox"] = unpack_boxes(arrays)
    return ReflectionTable(columns)


def unpack_boxes(arrays: Mapping[str, np.ndarray]) -> Shoeboxes:
    """The shoeboxes of :func:`pack_table`."""
    return Shoeboxes(arrays["panel"], arrays["bbox"], *(arrays[_BOX + n] for n in ("offsets", "data", "mask")))
