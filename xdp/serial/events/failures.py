"""From an error to the reason that tables count, and checks of shots that could be read."""

from __future__ import annotations

import dataclasses
import errno
import os

import numpy as np

from xdp.errors import DiskError, XdpError
from xdp.serial.events._kernels_pixels import find_extremes
from xdp.serial.events.options import ShotChecks
from xdp.serial.events.shot import Shot, ShotError, ShotFailure

# Words in the messages of our readers, by the reason that they stand for; the first that is found counts.
_WORDS = (
    ("missing file", ("no such file", "is missing", "does not exist")),
    ("truncated", ("truncated", "shorter", "ends before", "too short", "incomplete", "cut off")),
    ("wrong shape", ("as the experiment's detector has", "has shape", "wanted (", "panels of")),
)


def explain_failure(error: Exception, path: str = "") -> ShotFailure:
    """Say why a shot cannot be used, from the error that its reading raised.

    Parameters
    ----------
    error : Exception
        Of any kind: one that is not ours is a defect of ours, or of what it calls, and must not take other shots.
    path : str, optional
        File of the shot.

    Returns
    -------
    ShotFailure

    Examples
    --------
    >>> explain_failure(FileNotFoundError(2, "No such file", "a.cbf")).reason
    'missing file'
    """
    message = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ShotError):
        return ShotFailure(error.reason, message)
    if isinstance(error, DiskError) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return ShotFailure("disk full", message)
    if not isinstance(error, XdpError | OSError):
        return ShotFailure("error", f"{path}: {type(error).__name__}: {message}" if path else message)
    if path and not os.path.exists(path):
        return ShotFailure("missing file", message)
    lowered = message.lower()
    reason = next((reason for reason, words in _WORDS if any(word in lowered for word in words)), "damaged")
    return ShotFailure(reason, message)


def check_shot(shot: Shot, checks: ShotChecks | None = None) -> Shot:
    """Set a shot aside if its values make no sense; its image stays with it.

    Parameters
    ----------
    shot : Shot
        One that failed already is given back as it is.
    checks : ShotChecks, optional
        Which checks are made.

    Returns
    -------
    Shot
        With ``failure`` if a check says so.
    """
    checks = checks or ShotChecks()
    if shot.failure is not None:
        return shot
    failure = _check_values(shot, checks) or _check_pixels(shot, checks)
    return shot if failure is None else dataclasses.replace(shot, failure=failure)


def _check_values(shot: Shot, checks: ShotChecks) -> ShotFailure | None:
    """Photon energy and distance."""
    if checks.energy and not _is_positive(shot.photon_energy):
        return ShotFailure("no energy", f"{shot.id}: its photon energy must be above 0 eV, it is "
                           f"{_show(shot.photon_energy)}; energy=... gives one to all shots")
    if checks.distance and not _is_positive(shot.distance):
        return ShotFailure("no distance", f"{shot.id}: its detector distance must be above 0 mm, it is "
                           f"{_show(shot.distance)}; distance=... gives one to all shots")
    return None


def _is_positive(value: float | None) -> bool:
    """Whether a value is a finite number above 0."""
    return value is not None and bool(np.isfinite(value)) and value > 0.0


def _show(value: float | None) -> str:
    """A value in a message."""
    return "not known" if value is None else f"{value:g}"


def _check_pixels(shot: Shot, checks: ShotChecks) -> ShotFailure | None:
    """The pixels that may be used: finite, not all the same, not all too bright."""
    n_used = n_bright = 0
    lows, highs = [], []
    for i, panel in enumerate(shot.image):
        valid = None if shot.valid is None else shot.valid[i]
        low, high, n = _find_extremes(panel, valid)
        if not n:
            continue
        n_used += n
        # NaN makes both ends NaN: two fast passes tell that all is well.
        if checks.finite and not (np.isfinite(low) and np.isfinite(high)):
            n_bad = int(np.count_nonzero(~np.isfinite(_take_valid(panel, valid))))
            return ShotFailure("not finite", f"{shot.id}: {n_bad} pixels of panel {i} are no finite numbers")
        lows.append(low)
        highs.append(high)
        detector = None if shot.experiment is None else shot.experiment.detector
        if checks.saturated is not None and detector is not None and i < len(detector):
            limit = detector[i].trusted_range[1]
            n_bright += int(np.count_nonzero(_take_valid(panel, valid) > limit)) if high > limit else 0
    if checks.blank and lows and min(lows) == max(highs):
        return ShotFailure("blank", f"{shot.id}: all its pixels are {lows[0]:g}")
    if checks.saturated is not None and n_used and n_bright > checks.saturated * n_used:
        return ShotFailure("saturated", f"{shot.id}: {n_bright} of {n_used} pixels are above the trusted range")
    return None


def _take_valid(panel: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """The pixels of a panel that may be used."""
    return panel if valid is None else panel[valid]


def _find_extremes(panel: np.ndarray, valid: np.ndarray | None) -> tuple[float, float, int]:
    """Lowest and highest value of the pixels that may be used, and how many these are."""
    if valid is not None and np.can_cast(panel.dtype, np.int64):
        low, high, n = find_extremes(panel.reshape(-1), valid.reshape(-1))
        return low, high, n
    used = _take_valid(panel, valid)
    return (used.min(), used.max(), used.size) if used.size else (0.0, 0.0, 0)
