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


class IntensityInputOptions(InputOptions):
    """The files that are read, intensities of other programs among them."""

    polarization_fraction: float | None = option(
        None, "Part of the beam that is polarised in the plane, 0 to 1 (XDS' FRACTION_OF_POLARIZATION, about 0.99 at "
        "synchrotrons), for INTEGRATE.HKL, which XDS corrects for an unpolarised beam; None: 0.5.", ge=0, le=1)
