"""Keys of results: a result of an interrupted run is used again if everything that it depends on is the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdp.images.stamps import stamp_images
from xdp.integration.measure import Plan
from xdp.integration.options import IntegrateOptions
from xdp.integration.plan.blocks import Block
from xdp.work.keys import make_key, stamp_file

LAYOUT = 7
"""Raised whenever the files of results change their layout."""

# Parameters that no result of a task depends on: what is done with the table afterwards, where tasks run, and how
# blocks are made, since a block itself is part of its key.
_IRRELEVANT: dict[str, Any] = {"output": True, "significance_filter": True, "cluster": True,
                               "integration": {"mp", "block"}}


def make_block_keys(plan: Plan, blocks: Sequence[Block]) -> list[str]:
    """Make the key of each block.

    A key is a digest of the program's version, what tasks look at of the predicted reflections with their boxes (and so
    of all models) and which of them are integrated, the parameters that matter, the files of masks, corrections and the
    background's model, and the image files: of each file its path, size and time of change (ns). All images count for
    each block, since hot pixels and reference profiles come from all. So does the number of subsets, which says what
    reflections a block has.

    Parameters
    ----------
    plan : Plan
    blocks : sequence of Block

    Returns
    -------
    list of str
    """
    table = dict(plan.keep_task_columns().table.items())
    models = [[m.known.detector, m.known.beam, m.known.imageset.params] for m in (sweep.model for sweep in plan.sweeps)]
    images = [stamp_images(source.sweep.model, source.frames.lookup) for source in plan.sources]
    options = plan.options.model_dump(mode="json", exclude=_IRRELEVANT)
    common = make_key(LAYOUT, table, plan.radius, plan.chosen, plan.background, options, models, images,
                      stamp_background_files(plan.background, plan.options), max(block.subset for block in blocks))
    return [make_key(common, block) for block in blocks]


def stamp_background_files(algorithm: str, options: IntegrateOptions) -> list[list]:
    """Stamp the files that a background algorithm reads: path, size and time of change.

    Parameters
    ----------
    algorithm : str
        The background algorithm; only ``gmodel`` reads a file.
    options : IntegrateOptions

    Returns
    -------
    list
        Empty where it reads none.
    """
    model = options.integration.background.gmodel.model
    return [stamp_file(model)] if algorithm == "gmodel" and model is not None else []


def make_division_key(blocks: Sequence[Block]) -> str:
    """Make a key of how the frames are divided into blocks.

    Boxes of the first pass are sorted by the blocks that own them, so that they serve the same division only; results
    of later passes depend on their own block alone.
    """
    return "-" + make_key(list(blocks))[:8]
