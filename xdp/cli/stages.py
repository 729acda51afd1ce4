"""The top parameters of the stage commands: what each writes, and the stage's own options."""

from __future__ import annotations

from xdp.indexing.options import Indexing
from xdp.options.model import Options, option
from xdp.refinement.options import Refinement


class IndexOutput(Options):
    """What `xdp index` writes."""

    experiments: str = option("indexed.expt", "The models.")
    reflections: str = option("indexed.refl", "The reflections.")
    log: str | None = option("xdp.index.log", "The log file.")


class IndexOptions(Options):
    """Parameters of `xdp index`."""

    indexing: Indexing = option(Indexing(), "Indexing.")
    refinement: Refinement = option(Refinement(), "Refinement while indexing.", expert=1)
    output: IndexOutput = option(IndexOutput(), "Output files.")


class RefineOutput(Options):
    """What `xdp refine` writes."""

    experiments: str = option("refined.expt", "The models.")
    reflections: str = option("refined.refl", "The reflections.")
    log: str | None = option("xdp.refine.log", "The log file.")


class RefineOptions(Options):
    """Parameters of `xdp refine`."""

    refinement: Refinement = option(Refinement(), "Refinement.")
    output: RefineOutput = option(RefineOutput(), "Output files.")
