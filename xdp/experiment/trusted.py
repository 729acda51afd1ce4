"""Two conventions of the trusted range, and how one is told from the other.

In memory both ends are inclusive, as in DIALS since 3.13 (dxtbx 3.12): a pixel is trusted where low <= count <= high.
Before, both ends were excluded: low < count < high, so counting detectors had a low end of -1. Counts are whole
numbers, so exclusive (-1, 65536) and inclusive (0, 65535) trust the same pixels.

An ``.expt`` file does not say which it means. A low end of -1 shows the old convention: no count is -1, and no X-ray
format of later DIALS writes it. Our own files carry a mark where the reader would otherwise be wrong.
"""

from __future__ import annotations

import dataclasses
import math

from xdp.errors import OptionError
from xdp.experiment.detector import Detector, Panel

#: Name of the old convention in options: what Debian's DIALS 3.12 with dxtbx 3.11 reads and writes.
OLD_DIALS = "dials-3.12"

#: What the mark in our files says.
EXCLUSIVE, INCLUSIVE = "exclusive", "inclusive"


def inclusive_range(exclusive: tuple[float, ...]) -> tuple[float, float]:
    """The lowest and highest whole number between two ends that are not trusted themselves.

    Examples
    --------
    >>> inclusive_range((-1.0, 65536.0))
    (0.0, 65535.0)
    """
    low, high = exclusive  # floor + 1, not ceil: a whole end is excluded as well
    return _whole(math.floor, low) + 1.0, _whole(math.ceil, high) - 1.0


def exclusive_range(inclusive: tuple[float, ...]) -> tuple[float, float]:
    """The nearest whole numbers outside two ends that are trusted themselves.

    Examples
    --------
    >>> exclusive_range((0.0, 65535.0))
    (-1.0, 65536.0)
    """
    low, high = inclusive
    return _whole(math.ceil, low) - 1.0, _whole(math.floor, high) + 1.0


def looks_exclusive(detector: Detector) -> bool:
    """Whether a detector as read from a file has the old convention: a low end of exactly -1 on some panel."""
    return any(panel.trusted_range[0] == -1.0 < panel.trusted_range[1] for panel in detector)


def to_inclusive(detector: Detector) -> Detector:
    """The detector, its panels' exclusive ranges made inclusive."""
    return _with_ranges(detector, inclusive_range)


def to_exclusive(detector: Detector) -> Detector:
    """The detector, its panels' inclusive ranges made exclusive."""
    return _with_ranges(detector, exclusive_range)


def check_compatibility(compatibility: str | None) -> None:
    """Check the name of a convention.

    Raises
    ------
    OptionError
        If `compatibility` is neither None nor :data:`OLD_DIALS`.
    """
    if compatibility not in (None, OLD_DIALS):
        raise OptionError(f"compatibility must be None or '{OLD_DIALS}', got {compatibility!r}")


def _with_ranges(detector: Detector, convert) -> Detector:  # type: ignore[no-untyped-def]
    def changed(panel: Panel) -> Panel:
        return dataclasses.replace(panel, trusted_range=convert(panel.trusted_range))

    return dataclasses.replace(detector, panels=tuple(changed(panel) for panel in detector))


def _whole(rounding, value: float) -> float:  # type: ignore[no-untyped-def]
    """Rounded to a whole number; infinity stays."""
    return float(rounding(value)) if math.isfinite(value) else value
