"""What the tasks of an integration share: the plan, the blocks of frames, and what earlier passes found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xdp.experiment import Experiment
from xdp.integration.background.slopes.fit import BackgroundShape
from xdp.integration.hot_pixels.detect import BadPixels
from xdp.integration.measure import Plan
from xdp.integration.plan.blocks import Block
from xdp.integration.profiles.reference import ProfileGrid, ReferenceProfiles
from xdp.work.store import ResultStore


@dataclass(frozen=True)
class BlockWork:
    """What all tasks share.

    Attributes
    ----------
    plan : Plan
    blocks : tuple of Block
    owner : (n,) int64
        The block that owns each reflection; -1 where it is not integrated.
    names : tuple of str
        Key of each block, in the names of its results.
    sample : (n,) bool or None
        Reflections that the scatter of shapes is estimated from; None: it is given.
    cut : str
        Key of how the frames are divided into blocks: the first pass sorts boxes by the blocks that own them.
    store : ResultStore
    bad : tuple of BadPixels
        Hot and dead pixels of each sweep, once they are known.
    shapes : tuple of BackgroundShape or None
        The shape of each sweep's background, once it is known; None where backgrounds stay level.
    grids : dict of int to ProfileGrid
        For each experiment whose profiles are fitted.
    partition : (n,) int64 or None
        Group of each reference reflection, where profiles are validated.
    profiles : dict of int to ReferenceProfiles
        The finished profiles of each experiment, once they are known.
    held_out : dict of (int, int) to ReferenceProfiles
        By experiment and group, profiles that were made without that group of references.
    """

    plan: Plan
    blocks: tuple[Block, ...]
    owner: np.ndarray
    names: tuple[str, ...]
    store: ResultStore
    bad: tuple[BadPixels, ...] = ()
    shapes: tuple[BackgroundShape | None, ...] = ()
    grids: Mapping[int, ProfileGrid] = field(default_factory=dict)
    partition: np.ndarray | None = None
    profiles: Mapping[int, ReferenceProfiles] = field(default_factory=dict)
    held_out: Mapping[tuple[int, int], ReferenceProfiles] = field(default_factory=dict)
    cut: str = ""
    sample: np.ndarray | None = None

    @property
    def pass_results(self) -> dict[str, Any]:
        """The fields that one pass fills in for those after it."""
        return {"bad": self.bad, "shapes": self.shapes, "profiles": self.profiles, "held_out": self.held_out}

    def name_result(self, kind: str, number: int) -> str:
        """Name a block's result.

        Parameters
        ----------
        kind : str
            ``boxes``, ``sums`` or ``fits``.
        number : int
            The block.
        """
        return f"{kind}-{self.names[number]}{self.cut if kind == 'boxes' else ''}"

    def find_rows(self, block: Block) -> np.ndarray:
        """Find the reflections to integrate whose boxes reach into the frames of a block.

        Parameters
        ----------
        block : Block

        Returns
        -------
        (n,) int64
            Rows of the plan's table, ascending; with subsets (``n_subset_split``) those of the block's subset.
        """
        table = self.plan.table
        # frames from block.first to block.last - 1
        rows = self.plan.sweeps[block.sweep].rows(table["id"], table["bbox"], block.first, block.last)
        # reflections that are not integrated are predicted only as neighbours: no box is cut for them
        rows = rows[self.owner[rows] >= 0]
        n_subsets = self.plan.options.integration.mp.multiprocessing.n_subset_split or 1
        return rows[rows % n_subsets == block.subset]


def list_experiments(plan: Plan) -> list[Experiment]:
    """List the experiments of a plan in the order of their numbers.

    Parameters
    ----------
    plan : Plan
        Its sweeps hold the experiments, each with its number.
    """
    found = {i: e for sweep in plan.sweeps for i, e in zip(sweep.ids, sweep.experiments, strict=True)}
    return [found[i] for i in sorted(found)]
