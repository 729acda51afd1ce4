"""Reflections of a still that an ellipsoid model predicts, with boxes, outlines and partiality."""

from __future__ import annotations

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.integration.profiles.ellipsoid._kernels import Ellipses, mark_ellipses
from xdp.integration.profiles.ellipsoid.geometry import (
    add_frame,
    get_panel_arrays,
    is_on_panel,
    make_ellipse_boxes,
)
from xdp.integration.profiles.ellipsoid.options import FULL_PROBABILITY
from xdp.integration.profiles.ellipsoid.shape import EllipsoidModel
from xdp.integration.profiles.ellipsoid.sphere import (
    compute_cut_rays,
    compute_recorded_part,
    cut_points,
    make_ray_frames,
)
from xdp.integration.shoeboxes.extract import compute_box_offsets
from xdp.prediction.near_sphere import list_indices_near_sphere
from xdp.prediction.reflections import intersect_detector, make_prediction_table
from xdp.refinement.outliers import chi_square_quantile
from xdp.reflections.table import ReflectionTable

BORDER = 4
"""Pixels of background around the ellipse in each box: some hundred around a small spot. A choice."""


def predict_ellipsoid(experiment: Experiment, model: EllipsoidModel, d_min: float, d_max: float | None = None, *,
                      probability: float = FULL_PROBABILITY) -> ReflectionTable:
    """Reflections whose points reach the Ewald sphere.

    A node r is predicted where the distance epsilon of s2 = s0 + r from the sphere, along s2, has
    ``epsilon² s2^T Sigma^-1 s2 / |s2|² < q``, q being the quantile of chi square with three degrees of freedom. The ray
    goes to the mean of the point's cut with the sphere.

    Parameters
    ----------
    experiment : Experiment
        A still, with a crystal.
    model : EllipsoidModel
    d_min : float
        Finest resolution, Å.
    d_max : float, optional
        Coarsest resolution, Å; None: no limit.
    probability : float
        Of the distribution that q holds.

    Returns
    -------
    ReflectionTable
        As of :func:`xdp.prediction.reflections.predict_stills`, with ``s2`` (Å⁻¹) and ``entering`` (False).
    """
    s0 = experiment.known.beam.s0
    quantile = chi_square_quantile(probability, 3)
    reach = np.sqrt(quantile * np.linalg.eigvalsh(model.sigma)[-1])
    indices = list_indices_near_sphere(experiment.known.crystal, s0, d_min, d_max, constant=reach)
    r = indices @ experiment.known.crystal.A.T
    epsilon = np.linalg.norm(s0) - np.linalg.norm(s0 + r, axis=1)
    # the candidates reach as far as the longest axis in any direction; each is now judged by its own
    near = np.flatnonzero(_compute_distances(model, r, s0, epsilon) < quantile)
    s1 = compute_cut_rays(cut_points(model, r[near], s0), s0)
    panel, xy_mm = intersect_detector(experiment.known.detector, s1)
    rows = np.flatnonzero(panel >= 0)
    chosen = near[rows]
    table = make_prediction_table(experiment, indices[chosen], np.zeros(len(rows)), s1[rows], panel[rows], xy_mm[rows])
    # stills have no side from which a point enters; readers of the table expect the column
    return table.with_columns(s2=s0 + r[chosen], entering=np.zeros(len(rows), bool))


def _compute_distances(model: EllipsoidModel, r: np.ndarray, s0: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
    """Compute the squared Mahalanobis distances (n,) of the sphere's nearest points from the nodes."""
    rays = s0 + r
    rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    if model.is_angular:
        rays = np.einsum("nij,nj->ni", make_ray_frames(r, s0), rays)
    return epsilon**2 * np.einsum("ni,ij,nj->n", rays, np.linalg.inv(model.sigma), rays)


def add_boxes(experiment: Experiment, model: EllipsoidModel, table: ReflectionTable, *, z: int = 0,
              probability: float = FULL_PROBABILITY) -> ReflectionTable:
    """The reflections whose boxes lie on their panels, with ``bbox``, ``partiality``, ``partiality.inv.variance``.

    The boxes hold the ellipses within `probability` and a border.

    Parameters
    ----------
    experiment : Experiment
    model : EllipsoidModel
    table : ReflectionTable
        As of :func:`predict_ellipsoid`.
    z : int
        Frame of the boxes.
    probability : float
        Part of a point's cut with the Ewald sphere that the ellipse holds.

    Returns
    -------
    ReflectionTable
        ``bbox`` on the frame z; ``partiality`` and the variance of its inverse as of
        :func:`~xdp.integration.profiles.ellipsoid.sphere.compute_recorded_part`.
    """
    s0 = experiment.known.beam.s0
    cuts = cut_points(model, table["s2"] - s0, s0)
    panel = table["panel"].astype(np.int64)
    boxes = make_ellipse_boxes(experiment.known.detector, panel, cuts, chi_square_quantile(probability, 2),
                               float(np.linalg.norm(s0)), BORDER)
    recorded, variance = compute_recorded_part(model, cuts)
    columns = {"bbox": add_frame(boxes, z), "partiality": recorded, "partiality.inv.variance": variance}
    return table.with_columns(**columns).select(is_on_panel(experiment.known.detector, panel, boxes))


def draw_outlines(experiment: Experiment, model: EllipsoidModel, table: ReflectionTable, *,
                  probability: float = FULL_PROBABILITY) -> np.ndarray:
    """Mark the foreground pixels of reflections: where a corner of the pixel lies within the ellipse of the cut.

    Parameters
    ----------
    experiment : Experiment
    model : EllipsoidModel
    table : ReflectionTable
        As of :func:`add_boxes`.
    probability : float
        Part of a point's cut with the Ewald sphere that the ellipse holds.

    Returns
    -------
    (n_pixels,) uint8
        1 in the foreground, else 0; boxes one after the other, (slow, fast).
    """
    s0 = experiment.known.beam.s0
    cuts = cut_points(model, table["s2"] - s0, s0)
    # symmetric: three of four elements are enough
    inverse = np.linalg.inv(cuts.covariance).reshape(-1, 4)[:, [0, 1, 3]]
    offsets = compute_box_offsets(table["bbox"])
    pixels = np.empty(offsets[-1], np.uint8)
    ellipses = Ellipses(cuts.frames, cuts.mean, np.ascontiguousarray(inverse), chi_square_quantile(probability, 2),
                        float(np.linalg.norm(s0)))
    mark_ellipses(table["panel"].astype(np.int64), table["bbox"], offsets, ellipses,
                  get_panel_arrays(experiment.known.detector), pixels)
    return pixels
