"""Reflections of a still that an ellipsoid model predicts, with boxes, outlines and partiality."""

from __future__ import annotations

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.integration.profiles.ellipsoid._kernels import ellipse_footprints
from xdp.integration.profiles.ellipsoid.geometry import Plates, ellipse_boxes, on_panel, with_frame
from xdp.integration.profiles.ellipsoid.options import FULL_PROBABILITY
from xdp.integration.profiles.ellipsoid.shape import EllipsoidModel
from xdp.integration.profiles.ellipsoid.sphere import cut, partiality, ray_frames, rays_of
from xdp.integration.shoeboxes.extract import box_offsets
from xdp.prediction.near_sphere import indices_near_sphere
from xdp.prediction.reflections import meet_detector, prediction_table
from xdp.refinement.outliers import chi_square_quantile
from xdp.reflections.table import ReflectionTable

BORDER = 4
"""Pixels of background around the ellipse in each box."""


def predict_ellipsoid(experiment: Experiment, model: EllipsoidModel, d_min: float, d_max: float | None = None, *,
                      probability: float = FULL_PROBABILITY) -> ReflectionTable:
    """Reflections whose points reach the Ewald sphere.

    A node r is predicted where the distance epsilon of s2 = s0 + r from the sphere, along s2, has
    ``epsilon² s2^T Sigma^-1 s2 / |s2|² < q``, q being the quantile of chi square with three degrees of freedom. The ray
    goes to the mean of the point's cut with the sphere.

    Parameters
    ----------
    experiment : Experiment
        With a crystal.
    model : EllipsoidModel
    d_min, d_max : float
        Resolution, Å.
    probability : float

    Returns
    -------
    ReflectionTable
        As of :func:`xdp.prediction.reflections.predict_stills`, with ``s2`` (Å⁻¹) and ``entering`` (False).
    """
    s0 = experiment.known.beam.s0
    quantile = chi_square_quantile(probability, 3)
    reach = np.sqrt(quantile * np.linalg.eigvalsh(model.sigma)[-1])
    indices = indices_near_sphere(experiment.known.crystal, s0, d_min, d_max, constant=reach)
    r = indices @ experiment.known.crystal.A.T
    epsilon = np.linalg.norm(s0) - np.linalg.norm(s0 + r, axis=1)
    near = np.flatnonzero(_distances(model, r, s0, epsilon) < quantile)
    s1 = rays_of(cut(model, r[near], s0), s0)
    panel, xy_mm = meet_detector(experiment.known.detector, s1)
    rows = np.flatnonzero(panel >= 0)
    chosen = near[rows]
    table = prediction_table(experiment, indices[chosen], np.zeros(len(rows)), s1[rows], panel[rows], xy_mm[rows])
    return table.with_columns(s2=s0 + r[chosen], entering=np.zeros(len(rows), bool))


def _distances(model: EllipsoidModel, r: np.ndarray, s0: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
    """Squared Mahalanobis distances (n,) of the sphere's nearest points from the nodes."""
    rays = s0 + r
    rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    if model.is_angular:
        rays = np.einsum("nij,nj->ni", ray_frames(r, s0), rays)
    return epsilon**2 * np.einsum("ni,ij,nj->n", rays, np.linalg.inv(model.sigma), rays)


def add_boxes(experiment: Experiment, model: EllipsoidModel, table: ReflectionTable, *, z: int = 0,
              probability: float = FULL_PROBABILITY) -> ReflectionTable:
    """The reflections whose boxes lie on their panels, with ``bbox``, ``partiality``, ``partiality.inv.variance``.

    The boxes hold the ellipses within `probability` and a border; `z` is the frame.
    """
    s0 = experiment.known.beam.s0
    cuts = cut(model, table["s2"] - s0, s0)
    panel = table["panel"].astype(np.int64)
    boxes = ellipse_boxes(experiment.known.detector, panel, cuts, chi_square_quantile(probability, 2),
                          float(np.linalg.norm(s0)), BORDER)
    recorded, variance = partiality(model, cuts)
    columns = {"bbox": with_frame(boxes, z), "partiality": recorded, "partiality.inv.variance": variance}
    return table.with_columns(**columns).select(on_panel(experiment.known.detector, panel, boxes))


def outlines(experiment: Experiment, model: EllipsoidModel, table: ReflectionTable, *,
             probability: float = FULL_PROBABILITY) -> np.ndarray:
    """1 where a pixel of a reflection's box is foreground: uint8, boxes one after the other, (slow, fast).

    That is where a corner of the pixel lies within `probability` of the point's cut with the sphere.
    """
    s0 = experiment.known.beam.s0
    cuts = cut(model, table["s2"] - s0, s0)
    inverse = np.linalg.inv(cuts.covariance).reshape(-1, 4)[:, [0, 1, 3]]
    offsets = box_offsets(table["bbox"])
    pixels = np.empty(offsets[-1], np.uint8)
    ellipse_footprints(table["panel"].astype(np.int64), table["bbox"], cuts.frames, cuts.mean,
                       np.ascontiguousarray(inverse), chi_square_quantile(probability, 2),
                       float(np.linalg.norm(s0)), *Plates.of(experiment.known.detector).arrays, offsets, pixels)
    return pixels
