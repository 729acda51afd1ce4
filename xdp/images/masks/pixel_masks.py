"""Which pixels may be used: a panel's own mask, files of masks, shapes, resolution ranges, trusted counts.

Masks are Boolean arrays (slow, fast), one a panel, True where the pixel is good. They agree with DIALS' masks pixel for
pixel; where a convention had to be chosen it is DIALS': a circle is measured from whole pixel numbers, a polygon and a
resolution from pixel centres (+0.5), and both ends of a resolution range are masked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import FormatError, OptionError

if TYPE_CHECKING:
    from xdp.experiment import Beam, Detector, Experiment, Panel
    from xdp.images.masks.options import IceRings, MaskOptions, Untrusted
    from xdp.images.reader import Reader


def mask_border(mask: np.ndarray, width: int) -> None:
    """Mask, in place, a frame of `width` pixels along all four edges of `mask` (slow, fast)."""
    if width > 0:
        mask[:width, :] = mask[-width:, :] = False
        mask[:, :width] = mask[:, -width:] = False


def mask_rectangle(mask: np.ndarray, x0: int, x1: int, y0: int, y1: int) -> None:
    """Mask, in place, the pixels x0 <= fast < x1, y0 <= slow < y1.

    Raises
    ------
    OptionError
        If the rectangle is empty or reaches outside of the panel.
    """
    height, width = mask.shape
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise OptionError(f"untrusted.rectangle must be x0,x1,y0,y1 with 0 <= x0 < x1 <= {width} and "
                          f"0 <= y0 < y1 <= {height}, got {x0},{x1},{y0},{y1}")
    mask[y0:y1, x0:x1] = False


def mask_circle(mask: np.ndarray, xc: float, yc: float, radius: float) -> None:
    """Mask, in place, the pixels whose whole numbers (fast, slow) lie closer than `radius` pixels to (xc, yc)."""
    if radius <= 0:
        raise OptionError(f"untrusted.circle must be xc,yc,r with r > 0, got {xc},{yc},{radius}")
    height, width = mask.shape
    x0, x1 = max(math.floor(xc - radius), 0), min(math.ceil(xc + radius), width)
    y0, y1 = max(math.floor(yc - radius), 0), min(math.ceil(yc + radius), height)
    if x0 >= x1 or y0 >= y1:
        raise OptionError(f"untrusted.circle {xc},{yc},{radius} lies outside of the panel of {width} x {height} pixels")
    y, x = np.ogrid[y0:y1, x0:x1]
    mask[y0:y1, x0:x1] &= (x - xc) ** 2 + (y - yc) ** 2 >= radius * radius


def mask_polygon(mask: np.ndarray, corners: Sequence[tuple[float, float]]) -> None:
    """Mask, in place, the pixels whose centres lie inside the polygon, by the even-odd rule.

    Parameters
    ----------
    mask : (slow, fast) bool
        True where good.
    corners : sequence of (fast, slow)
        At least three, in pixels; the last is joined to the first.
    """
    if len(corners) < 3:
        raise OptionError(f"untrusted.polygon needs at least 3 corners (fast, slow pairs), got {len(corners)}")
    height, width = mask.shape
    xs, ys = zip(*corners, strict=True)
    x0, x1 = max(math.floor(min(xs)), 0), min(math.floor(max(xs)) + 1, width)
    y0, y1 = max(math.floor(min(ys)), 0), min(math.floor(max(ys)) + 1, height)
    if x0 >= x1 or y0 >= y1:
        raise OptionError(f"untrusted.polygon lies outside of the panel of {width} x {height} pixels")
    y, x = np.ogrid[y0:y1, x0:x1]
    mask[y0:y1, x0:x1] &= ~_inside(corners, x + 0.5, y + 0.5)


def _inside(corners: Sequence[tuple[float, float]], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points lie inside a polygon: a ray along fast crosses its edges an odd number of times."""
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape), bool)
    for (xa, ya), (xb, yb) in zip(corners, [corners[-1], *corners[:-1]], strict=True):
        if ya != yb:
            inside ^= ((ya > y) != (yb > y)) & (x < (xb - xa) * (y - ya) / (yb - ya) + xa)
    return inside


def mask_pixel(mask: np.ndarray, slow: int, fast: int) -> None:
    """Mask, in place, one pixel."""
    if not (0 <= slow < mask.shape[0] and 0 <= fast < mask.shape[1]):
        raise OptionError(f"untrusted.pixel (slow, fast) must lie inside of {mask.shape}, got {slow},{fast}")
    mask[slow, fast] = False


def mask_resolution(mask: np.ndarray, d: np.ndarray, ranges: Iterable[tuple[float, float]]) -> None:
    """Mask, in place, the pixels whose resolution lies in one of the ranges, both ends included.

    Parameters
    ----------
    mask : (slow, fast) bool
        True where good.
    d : (slow, fast) float64
        Resolution at pixel centres, Å.
    ranges : iterable of (float, float)
        Each pair in any order, Å.
    """
    merged = _merged(ranges)
    if not merged:
        return
    low, high = np.array(merged).T
    for row_mask, row in zip(mask, d, strict=True):  # by rows: no temporary as large as the panel
        nearest = np.searchsorted(low, row, side="right") - 1
        row_mask &= ~((nearest >= 0) & (row <= high[np.maximum(nearest, 0)]))


def _merged(ranges: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Closed intervals, sorted, those that overlap made one."""
    merged: list[tuple[float, float]] = []
    for low, high in sorted((min(r), max(r)) for r in ranges):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def ring_positions(rings: IceRings, d_min: float) -> np.ndarray:
    """Positions 1/d² (Å⁻²) of the powder rings of a cell and space group down to `d_min` Å, ascending."""
    import gemmi

    symbol = str(rings.space_group)
    group = gemmi.find_spacegroup_by_number(int(symbol)) if symbol.isdigit() else gemmi.find_spacegroup_by_name(symbol)
    if group is None:
        raise OptionError(f"ice_rings.space_group must be the number or symbol of a space group, got {symbol}")
    cell = gemmi.UnitCell(*rings.unit_cell)
    return np.unique(1.0 / cell.calculate_d_array(gemmi.make_miller_array(cell, group, d_min)) ** 2)


def ice_ring_ranges(rings: IceRings, d_min: float) -> list[tuple[float, float]]:
    """Resolution ranges (d_min, d_max) in Å around the powder rings of a crystal, by its cell and space group.

    Each ring of spacing d covers 1/d² ± width/2; rings finer than ``rings.d_min``, or `d_min` where that is None, are
    left out.
    """
    half = 0.5 * (rings.width or 0.0)
    inverse = ring_positions(rings, rings.d_min if rings.d_min is not None else d_min)
    with np.errstate(divide="ignore"):
        return list(zip(np.sqrt(1 / (inverse + half)).tolist(),
                        np.sqrt(1 / np.maximum(inverse - half, 0.0)).tolist(), strict=True))


def generate_mask(detector: Detector, beam: Beam, options: MaskOptions) -> list[np.ndarray]:
    """Mask by parameters: border, shapes, resolution limits and ranges, powder rings.

    Returns
    -------
    list of (slow, fast) bool
        One a panel, True where the pixel is good.
    """
    _check_panels(options.untrusted, len(detector))
    if options.d_min and options.d_max and options.d_min >= options.d_max:
        raise OptionError(f"d_min must be below d_max={options.d_max:g}, got {options.d_min:g}: no pixel would be left")
    return [_panel_mask(detector, beam, i, options) for i in range(len(detector))]


def _check_panels(regions: Iterable[Untrusted], n_panels: int) -> None:
    for region in regions:
        if not 0 <= (region.panel or 0) < n_panels:
            raise OptionError(f"untrusted.panel must be below {n_panels}, the number of panels, got {region.panel}")


def _panel_mask(detector: Detector, beam: Beam, index: int, options: MaskOptions) -> np.ndarray:
    """The mask of one panel."""
    mask = np.ones(detector.panel_shapes[index], bool)
    mask_border(mask, options.border or 0)
    for region in options.untrusted:
        if (region.panel or 0) == index:
            _mask_region(mask, region)
    ranges = _resolution_ranges(detector, beam, index, options)
    if ranges:
        from xdp.experiment.pixels import resolution_map

        d = resolution_map(detector, beam, index, disable_parallax_correction=options.disable_parallax_correction)
        mask_resolution(mask, d, ranges)
    return mask


def _mask_region(mask: np.ndarray, region: Untrusted) -> None:
    """Mask one untrusted region's shapes; one without any shape is the whole panel, as in DIALS 3.12."""
    if not (region.circle or region.rectangle or region.polygon or region.pixel):
        mask[:] = False
    if region.circle:
        mask_circle(mask, *region.circle)
    if region.rectangle:
        mask_rectangle(mask, *region.rectangle)
    if region.polygon:
        if len(region.polygon) % 2:
            raise OptionError(f"untrusted.polygon needs pairs of numbers (fast, slow), got {len(region.polygon)}")
        mask_polygon(mask, list(zip(region.polygon[::2], region.polygon[1::2], strict=True)))
    if region.pixel:
        mask_pixel(mask, *region.pixel)


def _resolution_ranges(detector: Detector, beam: Beam, index: int, options: MaskOptions) -> list[tuple[float, float]]:
    """All resolution ranges (Å) to be masked on one panel."""
    ranges = [(min(r), max(r)) for r in options.resolution_range if r is not None]
    if options.d_min is not None:
        ranges.append((0.0, options.d_min))
    if options.d_max is not None:
        ranges.append((options.d_max, max(options.d_max + 1, 1e9)))
    if options.ice_rings.filter:
        ranges += ice_ring_ranges(options.ice_rings, _finest_corner(detector, beam, index))
    return ranges


def _finest_corner(detector: Detector, beam: Beam, index: int) -> float:
    """The finest resolution (Å) at a panel's four corners."""
    from xdp.experiment.pixels import resolution

    slow, fast = detector.panel_shapes[index]
    corners = np.array([(0, 0), (fast, 0), (0, slow), (fast, slow)], float)
    return float(np.min(resolution(detector, beam, index, corners)))


def trusted_limits(panel: Panel, dtype: np.dtype, maximum: float | None = None) -> tuple[float, float]:
    """The lowest and the highest good count of a panel, both included, for images of `dtype`.

    Parameters
    ----------
    panel : Panel
        Whose ``trusted_range`` counts; both its ends are good.
    dtype : dtype
        Of the images: limits of integer images are whole numbers within the dtype's own range.
    maximum : float, optional
        Used instead of the panel's highest trusted count.
    """
    low, high = panel.trusted_range
    if maximum is not None:
        high = maximum
    if np.dtype(dtype).kind not in "iu":
        return float(low), float(high)
    info = np.iinfo(dtype)
    return float(math.ceil(max(low, info.min))), float(math.floor(min(high, info.max)))


def combine(*masks: Sequence[np.ndarray] | None) -> list[np.ndarray] | None:
    """The logical and of masks (lists of panels); None stands for a mask that is True everywhere."""
    given = [m for m in masks if m is not None]
    if not given:
        return None
    return [np.logical_and.reduce(panels) for panels in zip(*given, strict=True)]


def check_shapes(mask: Sequence[np.ndarray], shapes: Sequence[tuple[int, int]], name: str) -> None:
    """Refuse a mask whose panels are not those of the detector.

    Raises
    ------
    FormatError
        Naming the file, what was expected and what came.
    """
    got: list[tuple[int, ...]] = [tuple(m.shape) for m in mask]
    expected: list[tuple[int, ...]] = [tuple(s) for s in shapes]
    if got != expected:
        raise FormatError(f"{name}: a mask of {len(expected)} panel(s) with (slow, fast) = {_few(expected)} was "
                          f"expected, got {len(got)} panel(s) with {_few(got)}")


def _few(shapes: list[tuple[int, ...]]) -> str:
    distinct = list(dict.fromkeys(shapes))
    return ", ".join(map(str, distinct[:3])) + (", ..." if len(distinct) > 3 else "")


def read_mask(path: str, shapes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """A mask file as DIALS pickles it, read without unpickling, checked against the panels' shapes (slow, fast)."""
    from xdp.images.masks.pickles import read_maps

    panels = list(read_maps(path))
    if any(panel.dtype != bool for panel in panels):
        raise FormatError(f"{path}: a mask holds true and false, got {panels[0].dtype}")
    check_shapes(panels, shapes, str(path))
    return panels


def panel_rectangles_mask(detector: Detector) -> list[np.ndarray] | None:
    """The mask of the rectangles stored with the panels (fast0, slow0, fast1, slow1; ends excluded); None if none."""
    if not any(panel.mask for panel in detector):
        return None
    masks = []
    for panel, shape in zip(detector, detector.panel_shapes, strict=True):
        mask = np.ones(shape, bool)
        for x0, y0, x1, y1 in panel.mask:
            mask[max(y0, 0):max(y1, 0), max(x0, 0):max(x1, 0)] = False
        masks.append(mask)
    return masks


def external_mask(experiment: Experiment, reader: Reader | None = None) -> list[np.ndarray] | None:
    """The mask of the file that an experiment's image set names, else the one its image format knows; None if none."""
    imageset = experiment.imageset
    if imageset is not None and imageset.mask:
        return read_mask(imageset.mask, experiment.known.detector.panel_shapes)
    return None if reader is None else reader.static_mask()


def static_mask(experiment: Experiment, reader: Reader | None = None) -> list[np.ndarray] | None:
    """What is masked on all images of an experiment: by its mask file or format, and by rectangles of its panels.

    Parameters
    ----------
    experiment : Experiment
        Whose image set may name a mask file; a file takes the place of the format's own mask, as in DIALS.
    reader : Reader, optional
        Of its images, whose format may know bad pixels.

    Returns
    -------
    list of (slow, fast) bool, or None
        None where every pixel is good.
    """
    return combine(external_mask(experiment, reader), panel_rectangles_mask(experiment.known.detector))


def usable_pixels(experiment: Experiment, reader: Reader, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pixels of one frame that may be used: static mask and trusted range together.

    Parameters
    ----------
    images : sequence of (slow, fast)
        Raw counts of each panel.
    """
    static = static_mask(experiment, reader)
    usable = []
    for i, (panel, image) in enumerate(zip(experiment.known.detector, images, strict=True)):
        low, high = panel.trusted_range
        trusted = (image >= low) & (image <= high)
        usable.append(trusted if static is None else trusted & static[i])
    return usable
