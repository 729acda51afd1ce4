"""Results of stills in files, for runs that go on after an interruption."""

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


def pack_bag(bag: Sequence[ImageResult]) -> Arrays:
    """The results of some stills as named arrays."""
    arrays: Arrays = {}
    heads = []
    for i, result in enumerate(bag):
        heads.append({
            "experiments": [[number, e.known.crystal.to_dict(), e.profile] for number, e in result.experiments],
            "failures": list(result.failures), "has_table": result.table is not None,
            "has_boxes": result.boxes is not None})
        if result.table is not None:
            arrays |= {f"{i}.column.{name}": column for name, column in result.table.items()}
        if result.boxes is not None:
            arrays |= {f"{i}.boxes.{name}": getattr(result.boxes, name) for name in _BOXES}
    arrays["heads"] = np.frombuffer(json.dumps(heads).encode(), np.uint8)
    return arrays


def unpack_bag(arrays: Arrays, sweeps: Sequence[Sweep]) -> list[ImageResult]:
    """The results of :func:`pack_bag` for the same stills."""
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
    return {name[len(prefix):]: array for name, array in arrays.items() if name.startswith(prefix)}
