"""Results of stills as plain arrays, and back: the form in which the work folder keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xdp.experiment import Crystal
from xdp.integration.plan.sweeps import Sweep
from xdp.integration.stills.image import ImageResult
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.work.store import Arrays

_BOXES = ("panel", "bbox", "offsets", "data", "mask", "background")
"""The arrays of shoeboxes."""


def pack_bag(bag: Sequence[ImageResult]) -> Arrays:
    """Pack the results of some stills into named arrays.

    Parameters
    ----------
    bag : sequence of ImageResult

    Returns
    -------
    dict of str to array
        ``heads`` (JSON text: crystals, profile models and failures of each still), ``NUMBER.column.NAME`` and
        ``NUMBER.boxes.NAME``.
    """
    arrays: Arrays = {}
    heads = []
    for i, result in enumerate(bag):
        # of an experiment only crystal and profile can have changed; the rest is in the input
        heads.append({
            "experiments": [[number, e.known.crystal.to_dict(), e.profile] for number, e in result.experiments],
            "failures": list(result.failures), "has_table": result.table is not None,
            "has_boxes": result.boxes is not None})
        if result.table is not None:
            arrays |= {f"{i}.column.{name}": column for name, column in result.table.items()}
        if result.boxes is not None:
            arrays |= {f"{i}.boxes.{name}": getattr(result.boxes, name) for name in _BOXES}
    # text as an array of bytes, so that the file holds arrays only and reading it runs no code
    arrays["heads"] = np.frombuffer(json.dumps(heads).encode(), np.uint8)
    return arrays


def unpack_bag(arrays: Arrays, sweeps: Sequence[Sweep]) -> list[ImageResult]:
    """Restore the results of :func:`pack_bag`.

    Parameters
    ----------
    arrays : dict of str to array
    sweeps : sequence of Sweep
        The same stills, whose experiments give all models that are not in the arrays.

    Returns
    -------
    list of ImageResult
    """
    heads = json.loads(arrays["heads"].tobytes())
    bag = []
    for i, (head, sweep) in enumerate(zip(heads, sweeps, strict=True)):
        own = dict(zip(sweep.ids, sweep.experiments, strict=True))
        experiments = tuple((number, replace(own[number], crystal=Crystal.from_dict(crystal), profile=profile))
                            for number, crystal, profile in head["experiments"])
        columns = _select_prefix(arrays, f"{i}.column.")
        boxes = Shoeboxes(**_select_prefix(arrays, f"{i}.boxes.")) if head["has_boxes"] else None
        bag.append(ImageResult(experiments, ReflectionTable(columns) if head["has_table"] else None,
                               tuple((int(number), why) for number, why in head["failures"]), boxes))
    return bag


def _select_prefix(arrays: Arrays, prefix: str) -> Arrays:
    """Select the arrays whose names begin with `prefix`, by the rest of their names."""
    return {name[len(prefix):]: array for name, array in arrays.items() if name.startswith(prefix)}
