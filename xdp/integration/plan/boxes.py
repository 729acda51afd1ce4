"""Bounding boxes of predicted reflections, and how much of each the frames record.

References
----------
W. Kabsch, Acta Cryst. D66, 133 (2010), section 3.1, doi:10.1107/S0907444909047374.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.integration.plan._kernels_boxes import compute_recorded_shares, find_limits_across
from xdp.integration.profiles.model import GaussianRSModel
from xdp.integration.profiles.spot_spread import make_panel_rows
from xdp.prediction.predict import compute_zeta
from xdp.reflections.table import ReflectionTable

_FAR = 1e6
"""Pixels or frames beyond which a limit is cut, so that it fits an int32: further than any detector or scan reaches."""


def compute_bounding_boxes(model: GaussianRSModel, experiment: Experiment, table: ReflectionTable, *,
                   sigma_b_multiplier: float = 2.0) -> np.ndarray:
    """Boxes that hold reflections and the background around them.

    Across, a box reaches to where the corners of the rectangle of half widths ``n_sigma sigma_b sigma_b_multiplier``
    (sigma_b that along each axis) in the Kabsch frame fall on the panel's plane; along the rotation ``n_sigma sigma_m
    / |zeta|`` to both sides. Limits are rounded outwards, and frames kept within the scan; pixels may lie beside the
    panel.

    Parameters
    ----------
    model : GaussianRSModel
        Standard deviations across and along the rotation, radians.
    experiment : Experiment
    table : ReflectionTable
        With ``s1``, ``panel``, ``xyzcal.px``; ``zeta`` where it is there.
    sigma_b_multiplier : float, default 2.0
        How many times as far as the foreground a box reaches across, so that background is around it; not below 1.

    Returns
    -------
    int32 (n, 6): fast, fast, slow, slow, frame, frame, half-open.
    """
    z = table["xyzcal.px"][:, 2]
    boxes = np.empty((len(table), 6))
    boxes[:, :4] = _find_limits_across(experiment, table, _compute_reach(model, experiment, table, sigma_b_multiplier))
    if experiment.is_still:
        boxes[:, 4:] = np.floor(z)[:, None] + (0.0, 1.0)
    else:
        boxes[:, 4:] = _find_limits_along(experiment, table, model.n_sigma * model.compute_sigma_m(experiment, table))
    return np.clip(boxes, -_FAR, _FAR).astype(np.int32)


def compute_recorded_fraction(model: GaussianRSModel, experiment: Experiment, table: ReflectionTable) -> np.ndarray:
    """The part (n,), 0 to 1, of each reflection that the frames of its ``bbox`` record; 1 for stills.

    The integral of the Gaussian of width ``sigma_m / |zeta|`` about the predicted angle.

    Parameters
    ----------
    model : GaussianRSModel
    experiment : Experiment
    table : ReflectionTable
        With ``bbox`` and ``xyzcal.px``, and ``s1`` or ``zeta``.
    """
    if experiment.is_still:
        return np.ones(len(table))
    # 1 / (sqrt(2) sigma) in radians, then in frames: what the error function is taken of.
    z, bbox = table["xyzcal.px"][:, 2], table["bbox"]
    scale = np.abs(_get_zeta(experiment, table)) / (sqrt(2.0) * model.compute_sigma_m(experiment, table))
    scale *= np.deg2rad(abs(experiment.known.scan.oscillation[1]))
    share = np.empty(len(table))
    compute_recorded_shares(np.ascontiguousarray(z), scale, bbox, share)
    return share


def _compute_reach(model: GaussianRSModel, experiment: Experiment, table: ReflectionTable, multiplier: float
                   ) -> np.ndarray:
    """How far boxes reach from the prediction along e1 and e2, rad (n, 2).

    Where widths differ, all have the margin around the foreground that sigma_b gives: a margin that grew with the
    foreground would hold more background than is needed, and more than lies flat.
    """
    widths = model.compute_axis_widths(experiment, table)
    if model.spread is None:
        return model.n_sigma * widths * multiplier
    sigma_b = model.compute_widths(experiment, table["xyzcal.px"][:, 2])[0]
    return model.n_sigma * (widths + (multiplier - 1.0) * sigma_b[:, None])


def _get_zeta(experiment: Experiment, table: ReflectionTable) -> np.ndarray:
    return table["zeta"] if "zeta" in table else compute_zeta(experiment, table)


def _find_limits_across(experiment: Experiment, table: ReflectionTable, delta_b: np.ndarray) -> np.ndarray:
    """Limits fast, fast, slow, slow (n, 4) in pixels, whole numbers; that of the corners that the plane has.

    `delta_b` (n, 2) is how far a box reaches along e1 and e2, rad.
    """
    limits = np.empty((len(table), 4))
    detector = experiment.known.detector
    inverse = np.linalg.inv(np.stack([panel.d_matrix for panel in detector]))
    find_limits_across(table["s1"], table["panel"].astype(np.int64), delta_b, experiment.known.beam.s0,
                  make_panel_rows(experiment), inverse, limits)
    return limits


def _find_limits_along(experiment: Experiment, table: ReflectionTable, delta_m: np.ndarray) -> np.ndarray:
    """Limits in frames (n, 2), whole numbers within the scan, at least one frame."""
    first, last = experiment.known.scan.array_range
    with np.errstate(divide="ignore"):
        # Where zeta is 0 the reflection never leaves the sphere: it reaches over the whole scan.
        reach = delta_m / np.abs(_get_zeta(experiment, table)) / np.deg2rad(abs(experiment.known.scan.oscillation[1]))
    z = table["xyzcal.px"][:, 2]
    low = np.minimum(np.maximum(np.floor(z - reach), first), last - 1)
    high = np.maximum(np.minimum(np.ceil(z + reach), last), first + 1)
    return np.column_stack([low, high])
