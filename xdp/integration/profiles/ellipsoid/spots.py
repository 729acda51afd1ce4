"""The strong spots that an ellipsoid model is refined against: chosen, and measured in the image."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment
from xdp.integration.profiles.arguments import BoxPixels
from xdp.integration.profiles.ellipsoid._kernels import (
    compute_angular_variances,
    mark_strong,
    measure_shapes,
)
from xdp.integration.profiles.ellipsoid.geometry import (
    compute_rays,
    get_panel_arrays,
    intersect_panels,
    is_on_panel,
    make_corner_boxes,
)
from xdp.integration.profiles.ellipsoid.options import EllipsoidOptions
from xdp.integration.profiles.ellipsoid.refine import Observations, damp_weights
from xdp.integration.profiles.ellipsoid.sphere import make_ray_frames
from xdp.integration.shoeboxes.foreground import Footprints
from xdp.refinement.options import Mcd
from xdp.refinement.outliers import chi_square_quantile, minimum_covariance_determinant
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

log = logging.getLogger(__name__)

NEAREST_INDEX = 0.3
"""A spot is indexed if its fractional index lies within this of a whole one. As in DIALS."""
N_SIGMA, N_SIGMA_BOX = 3.0, 6.0
"""How far spots, and boxes around them, reach, in standard deviations of the divergence: the same again all around is
for the background."""
MIN_FOR_OUTLIERS = 10
"""Fewer residuals have no robust covariance worth the name: none is then called an outlier by it. A choice."""

CutBoxes = Callable[[np.ndarray, np.ndarray], Shoeboxes]
"""Cuts boxes, given panels (n,) and limits (n, 4) fast, fast, slow, slow, out of the image."""
FitBackground = Callable[[Shoeboxes], np.ndarray]
"""Models the background of boxes in place; whether it failed, (n,)."""


class ChosenSpots(NamedTuple):
    """Spots chosen for refinement.

    Attributes
    ----------
    spots : ReflectionTable
        With their indices, and predicted ``s1`` and ``xyzcal.px``.
    n_reindexed : int
        Spots whose index changed.
    """

    spots: ReflectionTable
    n_reindexed: int


def choose_spots(experiment: Experiment, spots: ReflectionTable, options: EllipsoidOptions) -> ChosenSpots:
    """Index spots by the crystal as it is, and leave out those that lie far from their predictions.

    Parameters
    ----------
    experiment : Experiment
        A still, with a crystal.
    spots : ReflectionTable
        With ``miller_index``, ``panel``, ``xyzobs.px.value``.
    options : EllipsoidOptions
        ``indexing`` and ``refinement`` are looked at.

    Raises
    ------
    XdpError
        If too few are left, or (with ``indexing.fail_on_bad_index``) an index changes.
    """
    panel, position = spots["panel"].astype(np.int64), spots["xyzobs.px.value"][:, :2]
    rays = compute_rays(experiment.known.detector, experiment.known.beam, panel, position)
    fractional = (rays - experiment.known.beam.s0) @ np.linalg.inv(experiment.known.crystal.A).T
    index = np.floor(fractional + 0.5).astype(np.int32)
    changed = np.any(index != spots["miller_index"], axis=1)
    if options.indexing.fail_on_bad_index and changed.any():
        raise XdpError(f"{np.count_nonzero(changed)} of {len(spots)} spots are nearer to another index than to theirs "
                       "(indexing.fail_on_bad_index)")
    # (0, 0, 0) is the beam itself
    good = np.any(index != 0, axis=1) & (np.linalg.norm(index - fractional, axis=1) < NEAREST_INDEX)
    chosen = _predict_positions(experiment, spots.with_columns(miller_index=index).select(good))
    chosen = chosen.select(~_find_outliers(chosen, options))
    needed = options.refinement.min_n_reflections or 1
    if len(chosen) < needed:
        raise XdpError(f"{len(chosen)} of {len(spots)} spots are fit to refine an ellipsoid, {needed} are needed "
                       "(refinement.min_n_reflections)")
    return ChosenSpots(chosen, int(np.count_nonzero(changed)))


def _predict_positions(experiment: Experiment, spots: ReflectionTable) -> ReflectionTable:
    """Predict ``s1`` of spots through their nodes, and ``xyzcal.px`` where it meets their panels."""
    s0 = experiment.known.beam.s0
    s1 = s0 + spots["miller_index"] @ experiment.known.crystal.A.T
    # a node is not exactly on the sphere: the ray towards it, with the length of s0
    s1 *= np.linalg.norm(s0) / np.linalg.norm(s1, axis=1, keepdims=True)
    _, px = intersect_panels(experiment.known.detector, spots["panel"].astype(np.int64), s1)
    return spots.with_columns(**{"s1": s1, "xyzcal.px": np.column_stack([px, spots["xyzobs.px.value"][:, 2]])})


def _find_outliers(spots: ReflectionTable, options: EllipsoidOptions) -> np.ndarray:
    """Find spots too far from their predictions: in pixels, or by their robust distance."""
    residual = (spots["xyzobs.px.value"] - spots["xyzcal.px"])[:, :2]
    limit = options.refinement.max_separation
    far = ~np.isfinite(residual).all(axis=1)
    if limit is not None:
        far |= np.linalg.norm(residual, axis=1) >= limit
    probability = options.refinement.outlier_probability
    if probability is None or len(residual) < MIN_FOR_OUTLIERS or far.all():
        return far
    # robust, since the outliers themselves would widen an ordinary covariance
    location, scatter = minimum_covariance_determinant(np.nan_to_num(residual), Mcd())
    centred = residual - location
    distance = np.einsum("ni,ij,nj->n", centred, np.linalg.inv(scatter), centred)
    return far | ~(distance < chi_square_quantile(probability, 2))


def measure_divergence(experiment: Experiment, spots: ReflectionTable) -> float:
    """Standard deviation (rad) of the directions of the counts of spots about their predicted rays ``s1``.

    Of each spot the counts' mean square angle is taken, then the mean over spots.

    Parameters
    ----------
    experiment : Experiment
    spots : ReflectionTable
        With ``s1`` and ``shoebox``: all pixels with a mask count.

    Raises
    ------
    XdpError
        If no spot has counts.
    """
    boxes = spots["shoebox"]
    out = np.empty(len(boxes))
    compute_angular_variances(np.ascontiguousarray(spots["s1"]), BoxPixels.from_shoeboxes(boxes),
                              get_panel_arrays(experiment.known.detector), out)
    if not (out >= 0.0).any():
        raise XdpError("no reference spot has pixels with counts: its divergence cannot be measured")
    return float(np.sqrt(out[out >= 0.0].mean()))


def observe_spots(experiment: Experiment, spots: ReflectionTable, sigma: float, cut: CutBoxes, fit: FitBackground
                  ) -> Observations:
    """Measure spots in the image, background taken off.

    Parameters
    ----------
    experiment : Experiment
        A still.
    spots : ReflectionTable
        Of :func:`choose_spots`, with ``shoebox``.
    sigma : float
        Of :func:`measure_divergence`, rad: a spot's foreground is what lies within three of these of its centroid, and
        what the spot finder found.
    cut, fit : callable
        How boxes are cut out of the image and their background is fitted.

    Raises
    ------
    XdpError
        If too few spots have counts and extent.
    """
    panel = spots["panel"].astype(np.int64)
    rays = compute_rays(experiment.known.detector, experiment.known.beam, panel, spots["xyzobs.px.value"][:, :2])
    frames = make_ray_frames(rays, experiment.known.beam.s0)
    boxes, rows = _cut_spot_boxes(experiment, panel, frames, sigma, cut)
    _mark_masks(experiment, boxes, rays[rows], sigma, spots["shoebox"].select(rows))
    failed = fit(boxes)
    found = np.zeros((len(rows), 6))
    radius = float(np.linalg.norm(experiment.known.beam.s0))
    measure_shapes(np.ascontiguousarray(frames[rows]), radius, BoxPixels.from_shoeboxes(boxes),
                   get_panel_arrays(experiment.known.detector), found)
    # a spot of one pixel has no covariance
    good = (found[:, 0] > 0.0) & (found[:, 3] > 0.0) & (found[:, 5] > 0.0) & ~failed
    if np.count_nonzero(good) < 3:
        without = ""
        if failed.any():
            without = (f". No background could be fitted under {np.count_nonzero(failed)} of {len(rows)} spots: "
                       "background.algorithm=simple takes counts of any kind")
        raise XdpError(f"{np.count_nonzero(good)} spots have counts above background and extent: too few to refine "
                       f"an ellipsoid{without}")
    chosen = rows[good]
    return Observations(spots["miller_index"][chosen].astype(np.float64), np.ascontiguousarray(frames[chosen]),
                        damp_weights(found[good, 0]), np.ascontiguousarray(found[good, 1:3]),
                        np.ascontiguousarray(found[good, 3:]), experiment.known.beam.s0)


def _cut_spot_boxes(experiment: Experiment, panel: np.ndarray, frames: np.ndarray, sigma: float, cut: CutBoxes
                    ) -> tuple[Shoeboxes, np.ndarray]:
    """Cut boxes around the spots, and tell which spots have one."""
    reach = np.full((len(panel), 2), np.sin(N_SIGMA_BOX * sigma))
    # on the unit sphere, so that the sides are sines of angles; a spread of 90 degrees and more is kept from the root
    boxes = make_corner_boxes(experiment.known.detector, panel, frames, np.zeros_like(reach), reach,
                              np.sqrt(np.maximum(1.0 - np.square(reach).sum(axis=1), 0.01)))
    rows = np.flatnonzero(is_on_panel(experiment.known.detector, panel, boxes))
    return cut(panel[rows], boxes[rows]), rows


def _mark_masks(experiment: Experiment, boxes: Shoeboxes, rays: np.ndarray, sigma: float, old: Shoeboxes) -> None:
    """Set foreground and background in the masks of boxes of spots."""
    # the circle of 3 sigma about the centroid; what the spot finder found is foreground too
    n = len(boxes)
    table = ReflectionTable({"s1": rays, "panel": boxes.panel, "bbox": boxes.bbox,
                             "xyzcal.px": boxes.bbox[:, ::2] + 0.5 * (boxes.bbox[:, 1::2] - boxes.bbox[:, ::2])})
    footprints = Footprints.of(np.arange(n), table, experiment.known.detector, np.full(n, N_SIGMA * sigma))
    z = int(boxes.bbox[0, 4]) if n else 0
    footprints.mark(np.arange(n), boxes, z, z + 1)
    mark_strong(boxes.bbox, boxes.offsets, boxes.mask, old.bbox, old.offsets, old.mask)
