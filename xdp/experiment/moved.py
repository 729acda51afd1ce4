"""A detector whose panels were moved in the laboratory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xdp.experiment.detector import Detector


def moved_detector(detector: Detector, frames: Sequence[np.ndarray]) -> Detector:
    """`detector` with its panels at the lab frames `frames`.

    Parameters
    ----------
    frames : sequence of (3, 3)
        For each panel the columns fast, slow (unit vectors) and origin (mm) in the laboratory, as
        :meth:`~xdp.experiment.detector.Detector.d_matrix` gives them.

    Notes
    -----
    The hierarchy's own frames stay; each panel's local frame takes up the move, so that positions in the laboratory
    are exact.
    """
    panels = []
    for index, (panel, frame) in enumerate(zip(detector.panels, frames, strict=True)):
        local = _relative(detector, index, frame)
        fast, slow, origin = (tuple(float(v) for v in column) for column in local.T)
        panels.append(replace(panel, fast_axis=fast, slow_axis=slow, origin=origin))
    return replace(detector, panels=tuple(panels))


def _relative(detector: Detector, index: int, frame: np.ndarray) -> np.ndarray:
    """The lab frame (3, 3) as seen from the panel's parent in the hierarchy."""
    panel, now = detector[index], detector.d_matrix(index)
    fast, slow = (np.asarray(v) / np.linalg.norm(v) for v in (panel.fast_axis, panel.slow_axis))
    local = np.column_stack([fast, slow, np.cross(fast, slow)])
    lab = np.column_stack([now[:, 0], now[:, 1], np.cross(now[:, 0], now[:, 1])])
    turn = lab @ local.T  # the parent's axes in the laboratory
    origin = now[:, 2] - turn @ np.asarray(panel.origin)
    return np.column_stack([turn.T @ frame[:, 0], turn.T @ frame[:, 1], turn.T @ (frame[:, 2] - origin)])
