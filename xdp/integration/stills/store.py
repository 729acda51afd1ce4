"""Results of stills in files, for runs that go on after an interruption."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from xdp.experiment import Crystal
from xdp.integration.plan.sweeps import Sweep
from xdp.integration.stills.image import ImageResult
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.work.store import load_arrays, save_arrays

_BOXES = ("panel", "bbox", "offsets", "data", "mask", "background")


def save_bag(path: Path, bag: Sequence[ImageResult]) -> None:
    """Write the results of some stills to one file."""
    arrays: dict[str, np.ndarray] = {}
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
    save_arrays(path, arrays)


def load_bag(path: Path, sweeps: Sequence[Sweep]) -> list[ImageResult] | None:
    """The results of :func:`save_bag` for the same stills; None where there are none, or they are damaged."""
    arrays = load_arrays(path)
    if arrays is None or "heads" not in arrays:
        return None
    heads = json.loads(arrays["heads"].tobytes())
    if len(heads) != len(sweeps):
        return None
    bag = []
    for i, (head, sweep) in enumerate(zip(heads, sweeps, strict=True)):
        own = dict(zip(sweep.ids, sweep.experiments, strict=True))
        experiments = tuple((number, replace(own[number], crystal=Crystal.from_dict(crystal), profile=profile))
                            for number, crystal, profile in head["experiments"])
        columns = _part(arrays, f"{i}.column.")
        boxes = Shoeboxes(**_part(arrays, f"{i}.boxes.")) if head["has_boxes"] else None
        bag.append(ImageResult(experiments, ReflectionTable(columns) if head["has_table"] else None,
                               tuple((int(number), why) for number, why in head["failures"]), boxes))
    return bag


def _part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name[len(prefix):]: array for name, array in arrays.items() if name.startswith(prefix)}
