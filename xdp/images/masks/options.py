"""Parameters of :func:`xdp.images.masks.generate_mask.generate_mask`: names and defaults as in DIALS."""

from __future__ import annotations

from xdp.options import Options, SpaceGroup, UnitCell, option


class Untrusted(Options):
    """A region of one panel that is masked; without any shape it is the whole panel."""

    panel: int | None = option(
        None, "Panel that the shape is on, from 0 (None: 0). Without a shape the whole panel is masked.", ge=0,
        phil="int(allow_none=True)")
    circle: tuple[int, int, int] | None = option(
        None, "x,y,r: pixels closer than r to (x, y) are masked; pixels, fast and slow.")
    rectangle: tuple[int, int, int, int] | None = option(
        None, "x0,x1,y0,y1: pixels x0 to x1 - 1 (fast) and y0 to y1 - 1 (slow) are masked.")
    polygon: tuple[int, ...] | None = option(
        None, "Corners x1,y1,x2,y2,... in pixels (fast, slow); pixels with their centre inside are masked.", ge=0)
    pixel: tuple[int, int] | None = option(None, "y,x: this one pixel (slow, fast) is masked.", ge=0)


class IceRings(Options):
    """Powder rings to be masked."""

    filter: bool = option(False, "Mask powder rings, of hexagonal ice unless a cell is given.")
    # Hexagonal ice, as in DIALS; rings of other forms of ice need their own cell.
    unit_cell: UnitCell = option(
        (4.498, 4.498, 7.338, 90.0, 90.0, 120.0), "Cell of the powder, Å and degrees.", expert=1)
    space_group: SpaceGroup = option(
        "194", "Space group of the powder, number or symbol: rings that it extinguishes are not masked.", expert=1)
    width: float | None = option(0.002, "Width of each masked ring, in 1/d², Å⁻².", expert=1, ge=0)
    d_min: float | None = option(
        None, "Finest ring that is masked, Å; None: down to the panel's finest corner.", expert=1, ge=0)


class MaskOptions(Options):
    """What is masked by position: border, resolution, regions, powder rings."""

    border: int | None = option(
        0, "Pixels along the edges of each panel that are masked.", ge=0, phil="int(allow_none=True)")
    d_min: float | None = option(None, "Pixels of finer resolution than this are masked, Å.", ge=0)
    d_max: float | None = option(None, "Pixels of coarser resolution than this are masked, Å.", ge=0)
    disable_parallax_correction: bool = option(
        False, "Take the resolution of a pixel from its place alone, without the depth at which the sensor absorbs.")
    resolution_range: tuple[tuple[float, float], ...] = option(
        (), "Two resolutions, Å; pixels between them, both included, are masked.", multiple=True)
    untrusted: tuple[Untrusted, ...] = option(
        (), "Regions that are masked: shapes on a panel, or whole panels.", multiple=True)
    ice_rings: IceRings = option(IceRings(), "Powder rings that are masked.")
