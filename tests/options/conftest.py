"""A small model with one parameter of every kind, shaped as the one of find_spots."""

from __future__ import annotations

from typing import Literal

import pytest

from xdp.options import AUTO, Auto, FilePath, Options, SpaceGroup, UnitCell, option


class Untrusted(Options):
    panel: int | None = option(None, "The panel number")
    circle: tuple[int, int, int] | None = option(None, "A circle (xc, yc, r)")
    rectangle: tuple[int, int, int, int] | None = option(None, "A rectangle")
    polygon: tuple[int, ...] | None = option(None, "Corners", ge=0)


class Gradient(Options):
    filter: bool = option(False, "")
    cutoff: float = option(4.0, "The steepest slope", ge=0)


class Ice(Options):
    filter: bool = option(False, "")
    unit_cell: UnitCell = option((4.498, 4.498, 7.338, 90.0, 90.0, 120.0), "The cell", expert=1)
    space_group: SpaceGroup = option("194", "The space group", expert=1)
    d_min: float | None = option(None, "The finest ring, Angstrom", ge=0, expert=1)


class Filter(Options):
    min_spot_size: int | Auto | None = option(
        AUTO, "Spots of fewer pixels are dropped, since noise makes a pair of strong pixels now and then.", ge=1
    )
    max_spot_size: int = option(1000, "The maximum number", ge=1)
    fraction: float | None = option(0.25, "At most this", ge=0, le=1)
    gradient: Gradient = option(Gradient(), "Sloping background", expert=2)
    d_min: float | None = option(None, "The high resolution limit, Angstrom", ge=0)
    resolution_range: tuple[tuple[float, float], ...] = option((), "Untrusted ranges", multiple=True)
    untrusted: tuple[Untrusted, ...] = option((), "Untrusted regions", multiple=True)
    ice_rings: Ice = option(Ice(), "Powder rings")


class Finder(Options):
    scan_range: tuple[tuple[int, int], ...] = option((), "Ranges of images", multiple=True)
    mask: FilePath | None = option(None, "A file", file="input")
    filter: Filter = option(Filter(), "What is kept")
    algorithm: Literal["dispersion", "dispersion_extended"] = option("dispersion_extended", "The choice")
    columns: tuple[Literal["one", "two", "three"], ...] = option(("one",), "Several words")
    names: tuple[str, ...] | None = option(None, "Free words")
    lambda_: float = option(1.0, "A name that Python keeps for itself", gt=0, lt=100)


class Output(Options):
    reflections: str = option("strong.refl", "The file of spots", file="output")
    shoeboxes: bool = option(True, "Save the pixel values")
    log: str | None = option("it's.log", "The log", file="output")


class FindOptions(Options):
    output: Output = option(Output(), "")
    spotfinder: Finder = option(Finder(), "Parameters of spot finding")


@pytest.fixture(scope="session")
def find_options() -> type[Options]:
    """A model with one parameter of every kind."""
    return FindOptions
