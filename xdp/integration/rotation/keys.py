"""Which results of an interrupted run may be used again: a key of everything they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import xdp
from xdp.integration.measure import Plan
from xdp.integration.options import IntegrateOptions
from xdp.integration.plan.blocks import Block
from xdp.work.store import stamp

LAYOUT = 5
"""Raised whenever the files of results change their layout."""

_IRRELEVANT: dict[str, Any] = {"output": True, "significance_filter": True, "cluster": True,
                               "integration": {"mp", "block"}}


def block_keys(plan: Plan, blocks: Sequence[Block]) -> list[str]:
    """The key of each block.

    A key is a digest of the program's version, what tasks look at of the predicted reflections with their boxes (and so
    of all models) and which of them are integrated, the parameters that matter, the files of masks, corrections and the
    background's model, and the image files: of each file its path, size and time of change (ns). All images count for
    each block, since hot pixels and reference profiles come from all. So does the number of subsets, which says what
    reflections a block has.
    """
    digest = hashlib.blake2b(digest_size=32)  # twice as fast as SHA-256, and the table is large
    table = plan.narrowed().table
    for name in sorted(table):
        digest.update(name.encode())
        digest.update(table[name].tobytes())
    for array in (plan.radius, plan.chosen):
        digest.update(b"none" if array is None else array.tobytes())
    common = [LAYOUT, xdp.__version__, digest.hexdigest(), plan.background,
              plan.options.model_dump(mode="json", exclude=_IRRELEVANT), [_images(source) for source in plan.sources],
              [[m.known.detector.to_dict(), m.known.beam.to_dict(), m.known.imageset.params]
               for m in (sweep.model for sweep in plan.sweeps)],
              background_files(plan.background, plan.options), max(block.subset for block in blocks)]
    text = json.dumps(common, sort_keys=True, default=str)
    return [hashlib.sha256(f"{text}{tuple(block)}".encode()).hexdigest()[:32] for block in blocks]


def background_files(algorithm: str, options: IntegrateOptions) -> list[list]:
    """Stamps of the files that a background algorithm reads."""
    model = options.integration.background.gmodel.model
    return [stamp(model)] if algorithm == "gmodel" and model is not None else []


def cut_key(blocks: Sequence[Block]) -> str:
    """A key of how the frames are divided into blocks."""
    return "-" + hashlib.sha256(repr([tuple(block) for block in blocks]).encode()).hexdigest()[:8]


def _images(source: Any) -> list:
    """Stamps of the files that a sweep's frames and masks come from."""
    model = source.sweep.model
    lookup = [source.lookup, model.imageset.mask, model.imageset.gain, model.imageset.pedestal]
    reader = source.reader
    return [[stamp(path) for path in (*dict.fromkeys(reader.files), *filter(None, lookup))], list(reader.indices)]
