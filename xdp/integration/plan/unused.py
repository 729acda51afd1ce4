"""Parameters that a kind of data does not need, named where they are given nevertheless."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from typing import Any

from xdp.integration.options import IntegrateOptions
from xdp.options import Options

log = logging.getLogger(__name__)

#: Parameters, or scopes of them. A still has no blocks of frames, no rotation (zeta, sigma_m, padding) and no profiles:
#: of valid_foreground_threshold it knows the flag dont_integrate only, on reflections that are not given. Hot pixels
#: are told by the frames of a scan.
_NOT_FOR_STILLS = (
    "sampling.reflections_per_degree", "integration.block", "integration.debug.reference",
    "integration.profile.fitting", "integration.profile.valid_foreground_threshold", "integration.profile.validation",
    "integration.filter.min_zeta", "integration.mp.multiprocessing", "integration.hot_pixels",
    "profile.gaussian_rs.scan_varying", "profile.gaussian_rs.min_spots.per_degree",
    "profile.gaussian_rs.sigma_m_algorithm", "profile.gaussian_rs.filter", "profile.gaussian_rs.fitting",
    "prediction.margin", "prediction.force_static", "prediction.padding")
_NOT_FOR_ROTATION = ("integration.summation.detector_gain", "integration.partiality", "profile.ellipsoid")


def find_unused_parameters(options: IntegrateOptions, *, stills: bool) -> list[str]:
    """The names of the parameters that are not at their defaults, but change nothing for stills, or for rotation data.

    Which of two algorithms a parameter belongs to does not matter here: that is the choice of who gives it.
    """
    default = IntegrateOptions()
    return [name for path in (_NOT_FOR_STILLS if stills else _NOT_FOR_ROTATION)
            for name in _find_changed(_get_value(options, path), _get_value(default, path), path)]


def warn_of_unused(options: IntegrateOptions, *, stills: bool) -> None:
    """Log one warning with the names of :func:`find_unused_parameters`.

    Parameters
    ----------
    options : IntegrateOptions
    stills : bool
        Whether the data are stills; else they are rotation data.
    """
    names = find_unused_parameters(options, stills=stills)
    if names:
        log.warning("For %s these parameters have no effect: %s", "stills" if stills else "rotation data",
                    ", ".join(names))


def _get_value(options: Options, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), options)


def _find_changed(value: Any, default: Any, path: str) -> Iterator[str]:
    """The paths at which two values differ."""
    if value == default:
        return
    if not isinstance(value, Options):
        yield path
        return
    for name in type(value).model_fields:
        yield from _find_changed(getattr(value, name), getattr(default, name), f"{path}.{name}")
