"""What commands do with the files they are given, apart from reading them."""

from __future__ import annotations

from typing import Literal

from xdp.options.model import Options, option


class InputOptions(Options):
    """The files that are read."""

    identifiers: Literal["check", "ignore"] = option(
        "check", "Whether reflections must be of the experiments that they are given with. check: their identifiers "
        "must be the same, in any order; ignore: reflections belong to the experiments by their numbers, as after a "
        "second import of the same images.")
