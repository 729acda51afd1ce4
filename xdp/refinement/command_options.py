"""The top parameters of `xdp refine`: what it writes, and the options of refinement."""

from __future__ import annotations

from xdp.options.inputs import InputOptions
from xdp.options.model import Options, option
from xdp.refinement.options import Refinement


class RefineOutput(Options):
    """What `xdp refine` writes."""

    experiments: str = option("refined.expt", "The models.", file="output", in_place=True)
    reflections: str = option("refined.refl", "The reflections.", file="output", in_place=True)
    include_unused_reflections: bool = option(True, "Write reflections that were not used in refinement too.")
    log: str | None = option(
        "xdp.refine.log", "File for the messages that are also on the screen; None: no file.", file="output")


class RefineOptions(Options):
    """Parameters of `xdp refine`."""

    n_static_macrocycles: int = option(
        1, "How often static refinement is repeated, each time with a new choice of outliers.", ge=1)
    refinement: Refinement = option(Refinement(), "Refinement.")
    input: InputOptions = option(InputOptions(), "Files that are read.")
    output: RefineOutput = option(RefineOutput(), "Files that are written.")
