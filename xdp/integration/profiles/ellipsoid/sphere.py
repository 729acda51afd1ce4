"""Where the Ewald sphere cuts reciprocal lattice points: what of them is seen, and where.

In the frame of the ray s2 = s0 + r to a node, e1 along s2 x s0, e2 along s2 x e1 and e3 along s2, a point's
distribution has mean (0, 0, |s2|) and covariance S. The sphere, of radius |s0|, is nearly the plane e3 = |s0| there.
The part of the distribution in that plane is again normal, with

    mean        S_12 / S_33 (|s0| - |s2|)
    covariance  S_11 - S_12 S_21 / S_33

(S_11 the upper left 2 x 2 block), and its weight is that of the distance |s0| - |s2| under the variance S_33.

References
----------
J. M. Parkhurst, thesis, University of Cambridge (2020); for conditional normal distributions any textbook, e.g.
C. M. Bishop, Pattern Recognition and Machine Learning (2006), section 2.3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.integration.profiles.ellipsoid.shape import EllipsoidModel


@dataclass(frozen=True)
class Cuts:
    """How the sphere cuts n points.

    Attributes
    ----------
    frames : (n, 3, 3)
        Rows are the unit vectors e1, e2, e3 in the lab.
    mean, covariance : (n, 2), (n, 2, 2)
        Of the cut, along e1 and e2, Å⁻¹ and Å⁻².
    epsilon : (n,)
        |s0| - |s2|, Å⁻¹.
    variance : (n,)
        S_33, Å⁻².
    """

    frames: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    epsilon: np.ndarray
    variance: np.ndarray


def make_ray_frames(rays: np.ndarray, s0: np.ndarray) -> np.ndarray:
    """The frames of vectors v: axes along v x s0, v x (v x s0) and v.

    Parameters
    ----------
    rays : (n, 3) float64
        Any length; not along `s0`.
    s0 : (3,) float64

    Returns
    -------
    (n, 3, 3) float64
        Rows are unit vectors.

    Examples
    --------
    >>> import numpy as np
    >>> make_ray_frames(np.array([[3.0, 0.0, 4.0]]), np.array([0.0, 0.0, 1.0])).round(1)[0].tolist()
    [[0.0, -1.0, 0.0], [0.8, 0.0, -0.6], [0.6, 0.0, 0.8]]
    """
    e1 = np.cross(rays, s0)
    e2 = np.cross(rays, e1)
    frames = np.stack([e1, e2, rays], axis=1)
    return frames / np.linalg.norm(frames, axis=2, keepdims=True)


def rotate_to_frames(model: EllipsoidModel, frames: np.ndarray, r: np.ndarray, s0: np.ndarray) -> np.ndarray:
    """Rotations from the axes in which the model's covariance holds to those of some frames.

    Parameters
    ----------
    model : EllipsoidModel
        An angular one holds in the frames of the scattering vectors, the others in the lab.
    frames : (n, 3, 3) float64
        Rows are unit vectors in the lab.
    r : (n, 3) float64
        Scattering vectors, Å⁻¹.
    s0 : (3,) float64
        Incident wave vector, Å⁻¹.

    Returns
    -------
    (n, 3, 3) float64
    """
    return frames @ np.swapaxes(make_ray_frames(r, s0), 1, 2) if model.is_angular else frames


def cut_points(model: EllipsoidModel, r: np.ndarray, s0: np.ndarray) -> Cuts:
    """Cut reciprocal lattice points by the Ewald sphere; the formula stands at the head of this module.

    Parameters
    ----------
    model : EllipsoidModel
        The distribution of each point about its node.
    r : (n, 3) float64
        The nodes, Å⁻¹.
    s0 : (3,) float64
        Incident wave vector, Å⁻¹.
    """
    s2 = s0 + r
    frames = make_ray_frames(s2, s0)
    turns = rotate_to_frames(model, frames, r, s0)
    s = turns @ model.sigma @ np.swapaxes(turns, 1, 2)
    epsilon = np.linalg.norm(s0) - np.linalg.norm(s2, axis=1)
    # slope: how the mean across moves with the distance along e3, S_12 / S_33
    slope = s[:, :2, 2] / s[:, 2:, 2]
    rest = s[:, :2, :2] - slope[:, :, None] * s[:, 2, None, :2]
    return Cuts(frames, slope * epsilon[:, None], rest, epsilon, s[:, 2, 2])


def compute_cut_rays(cuts: Cuts, s0: np.ndarray) -> np.ndarray:
    """Compute the diffracted wave vectors towards the means of cuts.

    Parameters
    ----------
    cuts : Cuts
        Of n points.
    s0 : (3,) float64
        Incident wave vector, Å⁻¹.

    Returns
    -------
    (n, 3) float64
        s1, Å⁻¹, of the length of `s0`.
    """
    # the mean lies in the plane that touches the sphere: it is scaled back onto the sphere
    radius = np.linalg.norm(s0)
    points = np.column_stack([cuts.mean, np.full(len(cuts.mean), radius)])
    rays = np.einsum("nji,nj->ni", cuts.frames, points)
    return rays * (radius / np.linalg.norm(rays, axis=1, keepdims=True))


def compute_recorded_part(model: EllipsoidModel, cuts: Cuts) -> tuple[np.ndarray, np.ndarray]:
    """The part of each point's strongest cut that is recorded, and the variance of its inverse, as DIALS has them.

    ``exp(-epsilon² / (2 S_33))``, for the simple models times the ratio of the beam's direction's standard deviation
    to that of the ray, ``sqrt(Sigma_33 / S_33)``. The variance takes that of epsilon to be S_33 / n.

    Parameters
    ----------
    model : EllipsoidModel
    cuts : Cuts
        Of n points.

    Returns
    -------
    partiality, variance : (n,) float64
    """
    square = cuts.epsilon**2
    size = np.ones(len(square)) if model.is_angular else model.sigma[2, 2] / cuts.variance
    recorded = np.exp(-0.5 * square / cuts.variance) * np.sqrt(size)
    return recorded, square * np.exp(square / cuts.variance) / (len(square) * cuts.variance * size)
