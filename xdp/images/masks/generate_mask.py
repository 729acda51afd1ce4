"""The mask that parameters describe: border, shapes, limits and ranges of resolution, powder rings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import OptionError
from xdp.images.masks.resolution import compute_ice_ring_ranges, mask_resolution
from xdp.images.masks.shapes import mask_border, mask_circle, mask_pixel, mask_polygon, mask_rectangle

if TYPE_CHECKING:
    from xdp.experiment import Beam, Detector
    from xdp.images.masks.options import MaskOptions, Untrusted

_COARSEST = 1e9
"""Å; the upper end of what d_max masks, the number that DIALS uses. A pixel right on the beam (infinite d) stays."""


def generate_mask(detector: Detector, beam: Beam, options: MaskOptions) -> list[np.ndarray]:
    """Make a mask by parameters: border, shapes, resolution limits and ranges, powder rings.

    Parameters
    ----------
    detector : Detector
        Whose panels are masked.
    beam : Beam
        From which resolution is counted.
    options : MaskOptions
        What is masked.

    Returns
    -------
    list of (slow, fast) bool
        One a panel, True where the pixel is good.

    Raises
    ------
    OptionError
        If a region lies on no panel, outside of its panel or is empty, or d_min and d_max leave no pixel.

    Examples
    --------
    >>> from xdp.experiment import Beam, Detector, Panel
    >>> from xdp.images.masks.options import MaskOptions
    >>> panel = Panel(fast_axis=(1.0, 0.0, 0.0), slow_axis=(0.0, -1.0, 0.0), origin=(-1.0, 1.0, -100.0),
    ...               image_size=(20, 10), pixel_size=(0.1, 0.1))
    >>> mask, = generate_mask(Detector((panel,)), Beam((0.0, 0.0, 1.0), 1.0), MaskOptions(border=2))
    >>> mask.shape, int(mask.sum())
    ((10, 20), 96)
    """
    _check_panels(options.untrusted, len(detector))
    if options.d_min and options.d_max and options.d_min >= options.d_max:
        raise OptionError(f"d_min must be below d_max={options.d_max:g}, got {options.d_min:g}: no pixel would be left")
    return [_mask_panel(detector, beam, i, options) for i in range(len(detector))]


def _check_panels(regions: Iterable[Untrusted], n_panels: int) -> None:
    """Refuse regions on panels that are not there."""
    for region in regions:
        if not 0 <= (region.panel or 0) < n_panels:
            raise OptionError(f"untrusted.panel must be below {n_panels}, the number of panels, got {region.panel}")


def _mask_panel(detector: Detector, beam: Beam, index: int, options: MaskOptions) -> np.ndarray:
    """The mask of one panel."""
    mask = np.ones(detector.panel_shapes[index], bool)
    mask_border(mask, options.border or 0)
    for region in options.untrusted:
        if (region.panel or 0) == index:
            _mask_region(mask, region)
    ranges = _list_resolution_ranges(detector, beam, index, options)
    # The map of resolution costs more than all else here: it is made only where something is masked by it.
    if ranges:
        from xdp.experiment.pixels import resolution_map

        d = resolution_map(detector, beam, index, disable_parallax_correction=options.disable_parallax_correction)
        mask_resolution(mask, d, ranges)
    return mask


def _mask_region(mask: np.ndarray, region: Untrusted) -> None:
    """Mask the shapes of one untrusted region; one without any shape is the whole panel, as in DIALS 3.12."""
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


def _list_resolution_ranges(
    detector: Detector, beam: Beam, index: int, options: MaskOptions
) -> list[tuple[float, float]]:
    """All ranges of resolution (Å) to be masked on one panel."""
    # All ranges together, so that the map of resolution is looked at once.
    ranges = [(min(r), max(r)) for r in options.resolution_range if r is not None]
    if options.d_min is not None:
        ranges.append((0.0, options.d_min))
    if options.d_max is not None:
        ranges.append((options.d_max, max(options.d_max + 1, _COARSEST)))
    if options.ice_rings.filter:
        ranges += compute_ice_ring_ranges(options.ice_rings, _find_finest_corner(detector, beam, index))
    return ranges


def _find_finest_corner(detector: Detector, beam: Beam, index: int) -> float:
    """The finest resolution (Å) at a panel's four corners."""
    from xdp.experiment.pixels import resolution

    # Resolution is finest at a corner of a flat panel: no need to look at all pixels.
    slow, fast = detector.panel_shapes[index]
    corners = np.array([(0, 0), (fast, 0), (0, slow), (fast, slow)], float)
    return float(np.min(resolution(detector, beam, index, corners)))
