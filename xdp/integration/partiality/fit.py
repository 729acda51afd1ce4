"""Fit the partialities of one crystal in one shot: orientation, cell, widths of lattice points, scale.

All predicted reflections take part with their sums, seen or not, and all strong spots with their positions. Positions
tell how the crystal is turned about the beam, and its cell; intensities tell how far each point is off the sphere. The
most likely parameters are found by Fisher's method of scoring; steps are shortened until the likelihood grows.

References
----------
M. R. Osborne, Int. Stat. Rev. 60, 99 (1992), doi:10.2307/1403504 (scoring); M. Uervirojnangkoorn et al., eLife 4,
e05421 (2015), doi:10.7554/eLife.05421, and T. A. White, Phil. Trans. R. Soc. B 369, 20130330 (2014),
doi:10.1098/rstb.2013.0330 (post-refinement of stills).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import Experiment
from xdp.integration.partiality.model import PartialityModel, compute_excitation
from xdp.integration.partiality.options import PartialityOptions
from xdp.integration.partiality.prior import N_WIDTHS, PartialityPrior
from xdp.integration.partiality.shot_equations import (
    B_UNIT,
    FreeParameters,
    ShotEquations,
    ShotIntensities,
    ShotPositions,
)
from xdp.options import AUTO

MIN_REFLECTIONS = 12
"""With fewer there are hardly more measurements than parameters. A choice."""
_MAX_STEPS = 40
"""Steps at most: shots that settle need five to fifteen."""
_SETTLED = 0.02
"""A step shorter than this part of each parameter's standard deviation changes nothing."""
_SHORTEST = 2.0**-6
"""Steps are halved down to this part."""
_START_GRID = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
"""Widths that are tried to begin with, in standard deviations of the prior."""
_DERIVATIVE = 1e-4
"""Step of numerical derivatives, in the parameters' units."""


@dataclass(frozen=True)
class PartialityFit:
    """The partialities of one crystal in one shot.

    Attributes
    ----------
    crystal : Crystal
        With refined orientation and cell.
    model : PartialityModel
    scale : float
        Measured intensity of a reflection of partiality 1 and expected intensity 1.
    b_factor : float
        B of the fall of intensities, Å²: relative to the reference where there is one.
    free : FreeParameters
        What was fitted.
    parameters : (p,) float64
        Its parameters.
    covariance : (p, p) float64
        Of these.
    widths, width_variances : (3,) float64
        ln a, ln b and c² as this shot alone tells them, with variances (infinite where it says nothing): for
        :meth:`~xdp.integration.partiality.prior.PriorSums.add`.
    """

    crystal: Crystal
    model: PartialityModel
    scale: float
    b_factor: float
    free: FreeParameters
    parameters: np.ndarray
    covariance: np.ndarray
    widths: np.ndarray
    width_variances: np.ndarray

    def compute_partialities(self, hkl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute partialities with their variances.

        Parameters
        ----------
        hkl : (n, 3) int
            Miller indices.

        Returns
        -------
        partiality : (n,) float64
        variance : (n,) float64
            From the errors of orientation, cell and widths, to second order where a point is on the sphere: there the
            first derivative is 0.
        """
        # scale, waves and B do not move partialities
        moving = np.flatnonzero(~self.free.fixed[:self.free.n_crystal + N_WIDTHS])
        p = self.parameters
        states = p + _DERIVATIVE * np.concatenate([np.zeros((1, len(p))), np.eye(len(p))[moving]])
        logs = self.free.compute_log_partialities(states, hkl)[0]
        epsilons = np.linalg.norm(np.asarray(hkl) @ np.swapaxes(self.free.make_a_matrix(states), 1, 2) + self.free.s0,
                                  axis=2)
        covariance = self.covariance[np.ix_(moving, moving)]
        relative = _propagate((logs[1:] - logs[0]) / _DERIVATIVE, covariance)
        excitation = compute_excitation(self.crystal.A, self.free.s0, hkl)
        width = self.model.compute_variances(excitation, self.free.s0)
        off = _propagate((epsilons[1:] - epsilons[0]) / _DERIVATIVE, covariance) / width
        partiality = np.exp(logs[0])
        return partiality, partiality**2 * (relative + 0.5 * off**2)


def _propagate(slopes: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Variances (n,) of quantities with `slopes` (k, n) by parameters of a `covariance` (k, k)."""
    return np.einsum("kn,kl,ln->n", slopes, covariance, slopes, optimize=True)


def choose_bandwidth(experiment: Experiment, options: PartialityOptions) -> float | None:
    """Choose the bandwidth c: the option's, else the beam's; None: it is fitted.

    Parameters
    ----------
    experiment : Experiment
        Whose beam may have ``bandwidth``, the standard deviation of the wavelength as a fraction, among its extra
        entries.
    options : PartialityOptions
    """
    if options.bandwidth is not None and options.bandwidth != AUTO:
        return float(options.bandwidth)  # type: ignore[arg-type]
    given = experiment.known.beam.extra.get("bandwidth")
    return float(given) if isinstance(given, int | float) and given >= 0.0 else None


def start_model(experiment: Experiment, hkl: np.ndarray, options: PartialityOptions,
                prior: PartialityPrior | None = None) -> PartialityModel:
    """Choose widths to start from: the most likely ones of the strong spots' distances from the sphere.

    Parameters
    ----------
    experiment : Experiment
        With crystal and beam.
    hkl : (m, 3) int
        Indices of strong spots; none: the prior's widths as they are.
    options : PartialityOptions
    prior : PartialityPrior, optional

    Returns
    -------
    PartialityModel
    """
    prior = prior or PartialityPrior()
    a, b, c = np.exp(prior.mean).tolist()
    known = choose_bandwidth(experiment, options)
    model = PartialityModel(a, b, c if known is None else known)
    if not len(hkl):
        return model
    s0 = np.asarray(experiment.known.beam.s0)
    excitation = compute_excitation(experiment.known.crystal.A, s0, hkl)
    # a grid of both widths in units of the prior's, since either may be next to nothing
    best = -np.inf
    for i, j in itertools.product(_START_GRID, _START_GRID):
        tried = PartialityModel(a * float(np.exp(i * prior.spread[0])), b * float(np.exp(j * prior.spread[1])),
                                model.bandwidth)
        variance = tried.compute_variances(excitation, s0)
        # a wrongly indexed spot counts as one three standard deviations off, and no more
        miss = np.minimum(excitation.epsilon**2 / variance, 9.0)
        value = -0.5 * float((np.log(variance) + miss).sum()) - 0.5 * (i * i + j * j)
        if value > best:
            best, model = value, tried
    return model


def fit_partiality(experiment: Experiment, intensities: ShotIntensities, positions: ShotPositions,
                   options: PartialityOptions | None = None, prior: PartialityPrior | None = None, *,
                   start: PartialityModel | None = None, has_reference: bool = False) -> PartialityFit:
    """Fit the partialities of one crystal in one shot.

    Parameters
    ----------
    experiment : Experiment
        A still, with crystal and beam.
    intensities : ShotIntensities
        Of all predicted reflections.
    positions : ShotPositions
        Of its strong spots.
    options : PartialityOptions, optional
    prior : PartialityPrior, optional
        Of the widths; by default usual values, within a factor of e.
    start : PartialityModel, optional
        Widths to start from; by default those that the strong spots' distances tell.
    has_reference : bool, default False
        Whether the expected intensities are those of a reference.

    Returns
    -------
    PartialityFit

    Raises
    ------
    XdpError
        If there are too few reflections.
    """
    options, prior = options or PartialityOptions(), prior or PartialityPrior()
    if len(intensities.hkl) < MIN_REFLECTIONS:
        raise XdpError(f"partialities need {MIN_REFLECTIONS} predicted reflections, there are {len(intensities.hkl)}")
    crystal = experiment.known.crystal
    free = FreeParameters.build(crystal, experiment.known.beam.s0, choose_bandwidth(experiment, options),
                                orientation=options.refine_orientation, cell=options.refine_cell,
                                waves=not has_reference)
    equations = ShotEquations(free, intensities, positions, prior, has_reference)
    p = free.make_start(start or start_model(experiment, positions.hkl, options, prior))
    p[-1] = 0.0 if has_reference else 2.0
    p[-2] = _start_scale(equations, p)
    for _ in range(2):
        # errors of positions and outliers are settled by the better crystal once more
        equations.settle(p)
        p = _maximise(equations, p)
    covariance = _invert(equations.compute_equations(p)[1], free.fixed)
    model = free.make_model(p)
    rows = slice(free.n_crystal, free.n_crystal + N_WIDTHS)
    widths, variances = _remove_prior(p[rows], np.diag(covariance)[rows], prior, free.fixed[rows])
    return PartialityFit(free.make_crystal(p, crystal), model, float(np.exp(p[-2])), float(B_UNIT * p[-1]), free, p,
                         covariance, widths, variances)


def _start_scale(equations: ShotEquations, p: np.ndarray) -> float:
    """Find the logarithm of the scale with which the sum of expected intensities is that of the measured ones."""
    log, _ = equations.free.compute_log_partialities(p[None], equations.intensities.hkl)
    log, mean = log[0], np.exp(equations.compute_log_means(p[None])[0][0])
    rows = log > np.log(0.1)
    measured = float(equations.intensities.value[rows].sum())
    # a shot without counts gets a scale far below one photon, and no more
    return float(np.log(max(measured, 1.0) / max(float(mean[rows].sum()), 1e-12)))


def _maximise(equations: ShotEquations, p: np.ndarray) -> np.ndarray:
    """Find the most likely parameters by Fisher's scoring from `p`."""
    value = equations.compute_value(p)
    for _ in range(_MAX_STEPS):
        slope, information = equations.compute_equations(p)
        covariance = _invert(information, equations.free.fixed)
        step = covariance @ slope
        part = 1.0
        while part >= _SHORTEST:
            new = equations.compute_value(p + part * step)
            if new > value:
                break
            part *= 0.5
        else:
            return p
        p, value = p + part * step, new
        if np.all(np.abs(step) <= _SETTLED * np.sqrt(np.diag(covariance))):
            break
    return p


def _invert(information: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Invert the information of the parameters that are not fixed; the others have no variance."""
    free = np.flatnonzero(~fixed)
    scale = 1.0 / np.sqrt(np.maximum(np.diag(information)[free], 1e-12))
    # scaled to a diagonal of 1: what is not determined at all must not spoil the rest
    inverse = np.linalg.pinv(information[np.ix_(free, free)] * np.outer(scale, scale), rcond=1e-10, hermitian=True)
    out = np.zeros_like(information)
    out[np.ix_(free, free)] = inverse * np.outer(scale, scale)
    return out


def _remove_prior(logs: np.ndarray, variances: np.ndarray, prior: PartialityPrior, fixed: np.ndarray
                  ) -> tuple[np.ndarray, np.ndarray]:
    """Take the prior out of the estimates of the widths: ln a, ln b and c² as the shot alone says, with variances."""
    mean, spread = np.asarray(prior.mean), np.asarray(prior.spread)
    own, own_variances = logs.copy(), np.full(N_WIDTHS, np.inf)
    for k in np.flatnonzero(~fixed):
        weight = 1.0 / variances[k] - 1.0 / spread[k] ** 2
        # the square of a width can be told to be about 0, its logarithm cannot: S is linear in the square
        if k == N_WIDTHS - 1:
            square = float(np.exp(2.0 * logs[k]))
            weight = max(weight, 1e-9)
            shift = (logs[k] - mean[k]) / spread[k] ** 2 / weight
            own[k], own_variances[k] = square * (1.0 + 2.0 * shift), 4.0 * square**2 / weight
        elif weight > 0.0:
            own_variances[k] = 1.0 / weight
            own[k] = (logs[k] / variances[k] - mean[k] / spread[k] ** 2) / weight
    return own, own_variances


def with_fit(experiment: Experiment, fit: PartialityFit) -> Experiment:
    """Give an experiment the crystal of a fit, whose extra entry ``partiality`` is the model.

    Parameters
    ----------
    experiment : Experiment
    fit : PartialityFit

    Returns
    -------
    Experiment
    """
    crystal = replace(fit.crystal, extra=fit.crystal.extra | {"partiality": fit.model.to_dict()})
    return replace(experiment, crystal=crystal)
