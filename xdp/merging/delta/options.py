"""Parameters of `xdp compute_delta_cchalf`. Names, types and defaults are those of dials.compute_delta_cchalf."""

from __future__ import annotations

from typing import Literal

from xdp.options.inputs import InputOptions
from xdp.options.model import Options, option


class DeltaOutput(Options):
    """What `xdp compute_delta_cchalf` writes."""

    experiments: str = option("filtered.expt", "The models that are left.", file="output")
    reflections: str = option("filtered.refl", "The reflections that are left.", file="output")
    table: str = option("delta_cchalf.dat", "A row for each part: its number, and CC1/2 less that without it.",
                        file="output")
    json_: str | None = option(None, "File for the numbers of the table; None: no file.", file="output")
    log: str | None = option("xdp.compute_delta_cchalf.log",
                             "File for the messages that are also on the screen; None: no file.", file="output")


class DeltaCcHalfOptions(Options):
    """Parameters of `xdp compute_delta_cchalf`."""

    mode: Literal["dataset", "image_group"] = option(
        "dataset", "What is left out in turn. dataset: each data set; image_group: each group of images.")
    group_size: int = option(10, "Images of a group.", ge=1)
    nbins: int = option(10, "Shells of resolution, with equally many reflections.", ge=1)
    dmin: float | None = option(None, "Leave out reflections finer than this, Å.", ge=0)
    dmax: float | None = option(None, "Leave out reflections coarser than this, Å.", ge=0)
    stdcutoff: float = option(
        4.0, "A part is left out if its delta is so many standard deviations below the mean of all.", gt=0)
    input: InputOptions = option(InputOptions(), "Files that are read.")
    output: DeltaOutput = option(DeltaOutput(), "Files that are written.")
