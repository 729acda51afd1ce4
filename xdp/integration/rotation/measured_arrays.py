"""Measured reflections as plain arrays, and back: the form in which the store keeps them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xdp.integration.measure import Measured
from xdp.integration.shoeboxes.packing import pack_counts, unpack_counts
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.work.store import Arrays

_BOX_ARRAYS = ("panel", "bbox", "offsets", "mask", "background")
"""The arrays of shoeboxes in a result; the counts are packed besides, since most of them fit into a byte."""


def pack_measured(result: Measured) -> Arrays:
    """Pack a result into plain arrays, for the store.

    Parameters
    ----------
    result : Measured

    Returns
    -------
    dict of str to array
        ``rows``; ``column.NAME``; ``core.NAME`` and ``full.NAME`` of the shoeboxes, with packed counts.
    """
    arrays = {"rows": result.rows} | {f"column.{name}": column for name, column in result.columns.items()}
    for kind, boxes in (("core", result.cores), ("full", result.full)):
        if boxes is not None:
            arrays |= pack_boxes(boxes, kind)
    return arrays


def pack_boxes(boxes: Shoeboxes, kind: str) -> Arrays:
    """Pack shoeboxes into plain arrays: ``KIND.NAME``, with packed counts.

    Parameters
    ----------
    boxes : Shoeboxes
        With masks and backgrounds.
    kind : str
        What their names begin with.
    """
    # most counts are small whole numbers, for which a byte a pixel does
    return ({f"{kind}.{name}": getattr(boxes, name) for name in _BOX_ARRAYS}
            | pack_counts(boxes.data, f"{kind}.data."))


def restore_columns(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Take the columns out of the arrays of a result, without their prefix ``column.``.

    Examples
    --------
    >>> restore_columns({"rows": 1, "column.flags": 2})
    {'flags': 2}
    """
    return {name[7:]: array for name, array in arrays.items() if name.startswith("column.")}


def restore_boxes(arrays: Mapping[str, np.ndarray], kind: str = "core") -> Shoeboxes:
    """Restore shoeboxes from the arrays of a result.

    Parameters
    ----------
    arrays : mapping of str to array
        As of :func:`pack_measured`.
    kind : str
        ``core``: the parts with foreground; ``full``: the whole boxes, where they were kept.
    """
    data = unpack_counts(arrays, f"{kind}.data.")
    return Shoeboxes(data=data, **{name: arrays[f"{kind}.{name}"] for name in _BOX_ARRAYS})
