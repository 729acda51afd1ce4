"""Parameters of :func:`xdp.images.masks.pixel_masks.generate_mask`: names and defaults as in DIALS."""

from __future__ import annotations

from xdp.options import Options, SpaceGroup, UnitCell, option


class Untrusted(Options):
    """A region of one panel that is not used; without any shape it is the whole panel."""

    panel: int | None = option(None, "The panel number, from 0; None is panel 0. If no shape is given (circle, "
                               "rectangle, polygon, pixel), the whole panel is masked.", ge=0,
                               phil="int(allow_none=True)")
    circle: tuple[int, int, int] | None = option(None, "An untrusted circle (xc, yc, r), pixels")
    rectangle: tuple[int, int, int, int] | None = option(
        None, "An untrusted rectangle (x0, x1, y0, y1), pixels; x1 and y1 are not included")
    polygon: tuple[int, ...] | None = option(
        None, "The pixel coordinates (fast, slow) of the corners of an untrusted polygon: pixels whose centres lie "
        "inside are not used.", ge=0)
    pixel: tuple[int, int] | None = option(None, "An untrusted pixel (y, x), that is (slow, fast)", ge=0)


class IceRings(Options):
    """Powder rings to be masked."""

    filter: bool = option(False, "Mask the powder rings of a crystalline powder, by default of hexagonal ice")
    unit_cell: UnitCell = option((4.498, 4.498, 7.338, 90.0, 90.0, 120.0),
                                 "The unit cell to generate d-spacings for powder rings.", expert=1)
    space_group: SpaceGroup = option("194", "The space group used to generate d-spacings for powder rings.", expert=1)
    width: float | None = option(0.002, "The width of an ice ring (in 1/d^2).", expert=1, ge=0)
    d_min: float | None = option(None, "The finest ring to be masked, Angstrom (otherwise the panel's finest corner)",
                                 expert=1, ge=0)


class MaskOptions(Options):
    """What is masked by position: border, resolution, regions, powder rings."""

    border: int | None = option(0, "The border around the edge of each panel that is not used, pixels.", ge=0,
                                phil="int(allow_none=True)")
    d_min: float | None = option(None, "The high resolution limit in Angstrom for a pixel to be used.", ge=0)
    d_max: float | None = option(None, "The low resolution limit in Angstrom for a pixel to be used.", ge=0)
    disable_parallax_correction: bool = option(
        False, "Set to True to use a simple pixel-to-mm mapping, without the correction for parallax, when resolution "
        "masks are generated.")
    resolution_range: tuple[tuple[float, float], ...] = option(
        (), "An untrusted resolution range, Angstrom, both ends included; may be given several times.", multiple=True)
    untrusted: tuple[Untrusted, ...] = option((), "Regions that are not used; may be given several times.",
                                              multiple=True)
    ice_rings: IceRings = option(IceRings(), "Powder rings that are not used.")
