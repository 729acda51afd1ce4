"""Refinement of mosaicity, orientation and cell of a still against the shapes and positions of its strong spots.

The parameters of the covariance and those of the crystal are refined in turn, by Fisher scoring: steps
``information^-1 score``, halved until the likelihood grows.

References
----------
J. M. Parkhurst, thesis, University of Cambridge (2020); Osborne, Int. Stat. Rev. 60, 99 (1992), doi:10.2307/1403504,
on Fisher's method of scoring.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.crystal import Crystal
from xdp.integration.profiles.ellipsoid._kernels import ModelSlopes, SpotShapes, compute_likelihood
from xdp.integration.profiles.ellipsoid.options import EllipsoidOptions
from xdp.integration.profiles.ellipsoid.shape import EllipsoidModel, differentiate_covariance
from xdp.integration.profiles.ellipsoid.sphere import rotate_to_frames
from xdp.refinement.parameters.blocks import CellBlock, RotationBlock
from xdp.refinement.parameters.metric import get_rotation_parts

LARGEST_VARIANCE = 1e-5
"""Å⁻²; a covariance with a larger eigenvalue describes no crystal: at 1 Å it is a mosaicity of 0.18 degrees. As in
DIALS."""

_MAX_STEPS = 100
"""Of Fisher scoring, at most: this bounds the time of a shot that does not converge."""
_SMALL_STEP = 1e-6
"""Parameters have been scaled such that the spread of spots is about 1: less changes nothing that could be seen."""

Target = Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Observations:
    """Strong spots of one still.

    Attributes
    ----------
    miller_index : (n, 3)
    frames : (n, 3, 3)
        Of the observed rays.
    weight : (n,)
        Counts; extreme ones damped.
    mean, covariance : (n, 2), (n, 3)
        Centroid and shape (11, 12, 22) along the frames' first two vectors, Å⁻¹, Å⁻².
    s0 : (3,)
        Å⁻¹.
    """

    miller_index: np.ndarray
    frames: np.ndarray
    weight: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    s0: np.ndarray

    @property
    def radius(self) -> float:
        """Radius of the Ewald sphere, |s0|, Å⁻¹."""
        return float(np.linalg.norm(self.s0))


def damp_weights(weights: np.ndarray) -> np.ndarray:
    """Weights (n,) with those beyond the upper quartile by more than 1.5 interquartile ranges cut to that limit.

    So that a few very strong spots do not decide alone. The limit is Tukey's for outliers; DIALS has the same.

    Examples
    --------
    >>> import numpy as np
    >>> damp_weights(np.array([1.0, 2.0, 3.0, 4.0, 50.0])).tolist()
    [1.0, 2.0, 3.0, 4.0, 7.0]
    """
    ranked = np.sort(weights)
    n = len(ranked)
    low, high = ranked[n // 4], ranked[3 * n // 4]
    return np.minimum(weights, high + 1.5 * (high - low))


def refine_ellipsoid(spots: Observations, crystal: Crystal, model: EllipsoidModel, options: EllipsoidOptions
                     ) -> tuple[Crystal, EllipsoidModel]:
    """Refine mosaicity and crystal in turn, ``refinement.n_cycles`` times.

    Parameters
    ----------
    spots : Observations
    crystal : Crystal
    model : EllipsoidModel
        To start from.
    options : EllipsoidOptions
        ``unit_cell.fixed`` and ``orientation.fixed`` keep that part of the crystal.

    Returns
    -------
    crystal, model

    Raises
    ------
    XdpError
        If the mosaicity becomes impossibly large.
    """
    # all at once would be a larger problem whose parts hardly depend on each other
    for _ in range(options.refinement.n_cycles or 1):
        model = refine_mosaicity(spots, crystal, model)
        crystal = refine_crystal(spots, crystal, model, cell=not options.unit_cell.fixed,
                                 orientation=not options.orientation.fixed)
    return crystal, model


def refine_mosaicity(spots: Observations, crystal: Crystal, model: EllipsoidModel) -> EllipsoidModel:
    """The covariance that makes the spots most likely, the crystal being as it is.

    Raises
    ------
    XdpError
        If it becomes larger than any crystal's.
    """
    r = spots.miller_index @ crystal.A.T
    turns = rotate_to_frames(model, spots.frames, r, spots.s0)
    mu = _rotate(spots.frames, spots.s0 + r)

    # parameters in units of the spread to start with, so that steps compare with 1
    unit = float(np.sqrt(np.trace(model.sigma) / 3.0))

    def target(p: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        now = replace(model, parameters=tuple(p * unit))
        slopes = differentiate_covariance(model.parameterisation, p * unit) * unit
        return _evaluate(spots, ModelSlopes(turns, now.sigma, slopes, mu, np.zeros((len(mu), len(p), 3))))

    best = maximise_likelihood(target, np.asarray(model.parameters) / unit) * unit
    found = replace(model, parameters=tuple(best.tolist()))
    if np.linalg.eigvalsh(found.sigma)[-1] > LARGEST_VARIANCE:
        raise XdpError("the mosaicity became larger than any crystal's: are spots and models of the same shot?")
    return found


def refine_crystal(spots: Observations, crystal: Crystal, model: EllipsoidModel, *, cell: bool = True,
                   orientation: bool = True) -> Crystal:
    """Orientation and cell (if free) that make the spots most likely, the covariance being as it is.

    As in DIALS the axes of an angular model follow the scattering vectors, but the gradient does not contain that.

    Parameters
    ----------
    spots : Observations
    crystal : Crystal
    model : EllipsoidModel
    cell, orientation : bool
        Whether they are free.
    """
    if not cell and not orientation:
        return crystal
    # parameters are changes from the start, within the constraints of the space group
    turn = RotationBlock(crystal.U)
    lattice = CellBlock.from_b(crystal.B, get_rotation_parts(crystal.space_group))
    n_turns = 3 if orientation else 0
    sigma = model.sigma

    def target(p: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        u, b = _make_matrices(turn, lattice, p, n_turns)
        r = spots.miller_index @ (u @ b).T
        slopes = []
        if orientation:
            slopes.append(np.cross(turn.compute_turn_axes(p[:3])[:, None], r[None]))
        if cell:
            change = u @ lattice.differentiate(p[n_turns:])
            slopes.append(np.einsum("kij,nj->kni", change, spots.miller_index))
        d_mu = np.einsum("nij,knj->nki", spots.frames, np.concatenate(slopes))
        turns = rotate_to_frames(model, spots.frames, r, spots.s0)
        n = len(p)
        mu = _rotate(spots.frames, spots.s0 + r)
        return _evaluate(spots, ModelSlopes(turns, sigma, np.zeros((n, 3, 3)), mu, d_mu))

    found = maximise_likelihood(target, np.zeros(n_turns + (len(lattice.start) if cell else 0)))
    u, b = _make_matrices(turn, lattice, found, n_turns)
    a, b_axis, c = (tuple(row) for row in np.linalg.inv(u @ b).tolist())
    return replace(crystal, real_space_a=a, real_space_b=b_axis, real_space_c=c)


def maximise_likelihood(target: Target, start: np.ndarray) -> np.ndarray:
    """The parameters that maximise a likelihood, by Fisher scoring.

    Parameters
    ----------
    target : callable
        Gives the logarithm of the likelihood, its gradient (k,) and the information (k, k) of parameters (k,).
    start : (k,) float64
        Scaled such that steps of 1e-6 do not matter.

    Examples
    --------
    >>> import numpy as np
    >>> maximise_likelihood(lambda x: (-float(x @ x), -2.0 * x, 2.0 * np.eye(1)), np.array([3.0])).tolist()
    [0.0]
    """
    x = start
    value, score, information = target(x)
    for _ in range(_MAX_STEPS):
        # least squares, since parameters on which no spot depends make the information singular
        step = np.linalg.lstsq(information, score, rcond=1e-12)[0]
        length = 1.0
        # a full step may overshoot where the likelihood is far from a parabola
        while True:
            trial = x + length * step
            new = target(trial)
            if new[0] >= value or length * np.abs(step).max() < _SMALL_STEP:
                break
            length *= 0.5
        if not new[0] >= value:
            return x
        x, (value, score, information) = trial, new
        if np.abs(length * step).max() < _SMALL_STEP:
            break
    return x


def _evaluate(spots: Observations, model: ModelSlopes) -> tuple[float, np.ndarray, np.ndarray]:
    """Compute the logarithm of the likelihood of a model, its gradient and its information."""
    n = len(model.d_sigma)
    score, information = np.zeros(n), np.zeros((n, n))
    # the kernel is compiled for contiguous arrays only
    model = model._replace(turns=np.ascontiguousarray(model.turns), d_mu=np.ascontiguousarray(model.d_mu))
    shapes = SpotShapes(spots.weight, spots.mean, spots.covariance, spots.radius)
    value = compute_likelihood(model, shapes, score, information)
    return value, score, information


def _make_matrices(turn: RotationBlock, lattice: CellBlock, p: np.ndarray, n_turns: int
                  ) -> tuple[np.ndarray, np.ndarray]:
    """Make U and B of parameters: the first `n_turns` (3 or 0) turn the crystal, the others change its cell."""
    u = turn.evaluate(p[:3]) if n_turns else turn.matrix
    return u, lattice.evaluate(p[n_turns:] if len(p) > n_turns else lattice.start)


def _rotate(frames: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Rotate vectors into frames: their components (n, 3) along the axes of frames (n, 3, 3)."""
    return np.einsum("nij,nj->ni", frames, vectors)
