"""What is fitted to a shot, and how well it agrees: parameters, expected intensities, likelihood and information.

The parameters are small rotations (mrad), relative changes of the cell's metric (1e-3), the logarithms of the widths
a, b and c, waves of the mean intensity over resolution, the logarithm of the scale, and the exponent B of the fall of
intensities with resolution, in 10 Å².
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from xdp.experiment.crystal import Crystal
from xdp.integration.partiality._kernels_points import compute_log_parts, compute_misses
from xdp.integration.partiality.likelihood import Score, add_outliers, score_known, score_unknown
from xdp.integration.partiality.model import PartialityModel
from xdp.integration.partiality.prior import PartialityPrior
from xdp.refinement.parameters.blocks import CellBlock, RotationBlock
from xdp.refinement.parameters.metric import get_rotation_parts

B_UNIT = 10.0
"""Å² of B in a unit of its parameter."""
_B_PRIOR = (2.0, 2.0)
"""Mean and standard deviation of B in its unit, without a reference: 20 Å² and as much are usual for proteins."""
_RELATIVE_B = 1.0
"""Standard deviation of B in its unit, against a reference, whose mean is 0: crystals of a run differ by some Å²."""
N_WAVES = 4
"""Chebyshev polynomials of 1/d², from the second on, in the logarithm of the mean intensity. Mean intensities of
proteins have a dip at 6 Å and a peak at 4 Å. With B alone, widths were fitted to these, and came out 15 % off on
simulated lysozyme."""
_WAVE_PRIOR = 0.5
"""Standard deviation of each of them: those of proteins are of 0.2 to 0.5."""
_STEP = 1e-4
"""Steps of the numerical derivatives, in the parameters' units: all of these are about 1 or less wide."""
_FAINTEST = -25.0
"""Logarithm of the smallest partiality: less makes no count, and would overflow."""
_TAIL = 3.0
"""Standard deviations from which on positions lose their weight (Cauchy's loss). A choice."""
_OUTLIER_PARTIALITY = 0.3
"""Partiality with which outliers are expected: about the middle of those that make spots. A choice."""


class ShotIntensities(NamedTuple):
    """Intensities of one crystal in one shot, corrected for polarisation and the sensor's efficiency.

    Attributes
    ----------
    hkl : (n, 3) int
    value, variance : (n,) float64
        Summed, with the variance of the counts.
    expected : (n,) float64
        Mean of the full intensity: of the reference, or (without one) the multiplicity epsilon.
    spread : (n,) float64
        Its variance, relative to its square; infinite where only the mean over such reflections is known.
    """

    hkl: np.ndarray
    value: np.ndarray
    variance: np.ndarray
    expected: np.ndarray
    spread: np.ndarray


class ShotPositions(NamedTuple):
    """Strong spots of one crystal in one shot.

    Attributes
    ----------
    hkl : (m, 3) int
    rays : (m, 3) float64
        Unit vectors towards them.
    pixel : float
        Angle of a pixel, rad: no spot is placed to a hundredth of it.
    """

    hkl: np.ndarray
    rays: np.ndarray
    pixel: float


@dataclass(frozen=True)
class FreeParameters:
    """Which parameters there are, and where each group of them begins.

    Attributes
    ----------
    rotation : RotationBlock
    cell : CellBlock
    s0 : (3,) float64
        Incident wave vector, 1/Å.
    bandwidth : float or None
        c, where it is known.
    fixed : (p,) bool
        Parameters that stay as they are.
    """

    rotation: RotationBlock
    cell: CellBlock
    s0: np.ndarray
    bandwidth: float | None
    fixed: np.ndarray

    @classmethod
    def build(cls, crystal: Crystal, s0: np.ndarray, bandwidth: float | None, *, orientation: bool = True,
              cell: bool = True, waves: bool = True) -> FreeParameters:
        """Build the parameters of a crystal.

        Parameters
        ----------
        crystal : Crystal
            To start from.
        s0 : (3,) float64
            Incident wave vector, 1/Å.
        bandwidth : float or None
            c, where it is known; None: it is fitted.
        orientation, cell, waves : bool
            Whether they are refined; waves are not where a reference tells the intensities.
        """
        rotation = RotationBlock(crystal.U)
        metric = CellBlock.from_b(crystal.B, get_rotation_parts(crystal.space_group))
        n = len(metric.names)
        fixed = np.array([not orientation] * 3 + [not cell] * n + [False] * 2 + [bandwidth is not None]
                         + [not waves] * N_WAVES + [False] * 2)
        return cls(rotation, metric, np.asarray(s0, np.float64), bandwidth, fixed)

    @property
    def n_crystal(self) -> int:
        """How many parameters orientation and cell have."""
        return 3 + len(self.cell.names)

    def make_start(self, model: PartialityModel) -> np.ndarray:
        """Make the parameters (p,) of the crystal as it is, with the widths of a model, scale 1 and B = 0."""
        # the logarithm of a bandwidth of 0 is not used, since it is known then
        widths = np.log([model.size, max(model.rotation, 1e-6), max(model.bandwidth, 1e-9)])
        return np.concatenate([np.zeros(self.n_crystal), widths, np.zeros(N_WAVES + 2)])

    def make_a_matrix(self, p: np.ndarray) -> np.ndarray:
        """Make A (..., 3, 3), 1/Å, of parameters (..., p)."""
        return self.rotation.evaluate(p[..., :3]) @ self.cell.evaluate(p[..., 3:self.n_crystal])

    def make_widths(self, p: np.ndarray) -> np.ndarray:
        """Make a, b and c (..., 3) of parameters (..., p)."""
        widths = np.exp(p[..., self.n_crystal:self.n_crystal + 3])
        if self.bandwidth is not None:
            widths[..., 2] = self.bandwidth
        return widths

    def make_model(self, p: np.ndarray) -> PartialityModel:
        """Make the model of partialities of parameters."""
        return PartialityModel(*self.make_widths(p).tolist())

    def make_crystal(self, p: np.ndarray, crystal: Crystal) -> Crystal:
        """Make the crystal of parameters, with all else of `crystal`."""
        axes = np.linalg.inv(self.make_a_matrix(p))
        return replace(crystal, real_space_a=tuple(axes[0].tolist()), real_space_b=tuple(axes[1].tolist()),
                       real_space_c=tuple(axes[2].tolist()))

    def compute_log_partialities(self, p: np.ndarray, hkl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the logarithms of partialities, and the squared lengths of the points, of several states.

        Parameters
        ----------
        p : (k, p) float64
            Parameters of each state.
        hkl : (n, 3) int

        Returns
        -------
        log, square : (k, n) float64
            The squares in 1/Å².
        """
        log, square = np.empty((len(p), len(hkl))), np.empty((len(p), len(hkl)))
        compute_log_parts(np.asarray(hkl, np.float64), self.make_a_matrix(p), self.make_widths(p), self.s0, log, square)
        return np.maximum(log, _FAINTEST), square


@dataclass
class ShotEquations:
    """The likelihood of a shot's measurements.

    Attributes
    ----------
    free : FreeParameters
    intensities : ShotIntensities
    positions : ShotPositions
    prior : PartialityPrior
        Of a, b, c.
    has_reference : bool
        Whether expected intensities are those of a reference.
    sigma : float
        Standard deviation of spots' positions along each axis, rad.
    outlier_mean, reference_variance : (n,) float64
        Mean intensities of outliers, and variances of the reference as far as it is recorded: settled before a fit.
    """

    free: FreeParameters
    intensities: ShotIntensities
    positions: ShotPositions
    prior: PartialityPrior
    has_reference: bool
    sigma: float = 1.0
    outlier_mean: np.ndarray = field(default_factory=lambda: np.zeros(0))
    reference_variance: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def settle(self, p: np.ndarray) -> None:
        """Settle what must not change during a fit: errors of positions and of the reference, the mean of outliers."""
        if len(self.positions.hkl):
            miss = np.abs(self._compute_misses(p[None])[0])
            # the median of the absolute value of a normal variate is 0.6745 standard deviations
            self.sigma = max(float(np.median(miss)) / 0.6745, 0.01 * self.positions.pixel)
        log_mean, log_full = (part[0] for part in self.compute_log_means(p[None]))
        self.outlier_mean = np.exp(log_full) * _OUTLIER_PARTIALITY
        spread = np.where(np.isfinite(self.intensities.spread), self.intensities.spread, 0.0)
        self.reference_variance = spread * np.exp(2.0 * log_mean)

    def compute_value(self, p: np.ndarray) -> float:
        """Compute the logarithm of the likelihood times the prior."""
        score = self._score(self.compute_log_means(p[None])[0][0])
        miss, (mean, spread) = self._compute_misses(p[None]), self._list_prior()
        return float(score.value.sum() - 0.5 * _TAIL**2 * np.log1p((miss / self.sigma / _TAIL) ** 2).sum()
                     - 0.5 * (((p - mean) / spread) ** 2).sum())

    def compute_equations(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the slopes (p,) of the logarithm of the likelihood times the prior, and the information (p, p)."""
        moving = np.flatnonzero(~self.free.fixed)
        # the first state is p itself
        states = p + _STEP * np.concatenate([np.zeros((1, len(p))), np.eye(len(p))[moving]])
        log_means, misses = self.compute_log_means(states)[0], self._compute_misses(states)
        score, miss = self._score(log_means[0]), misses[0]
        d_mean, d_miss = np.zeros((len(p), log_means.shape[1])), np.zeros((len(p), miss.size))
        d_mean[moving] = (log_means[1:] - log_means[0]) / _STEP
        d_miss[moving] = ((misses[1:] - miss) / _STEP).reshape(len(moving), -1)
        trust = (1.0 / (1.0 + (miss / self.sigma / _TAIL) ** 2) / self.sigma**2).ravel()
        mean, spread = self._list_prior()
        slope = d_mean @ score.slope - d_miss @ (trust * miss.ravel()) - (p - mean) / spread**2
        information = (d_mean * score.information) @ d_mean.T + (d_miss * trust) @ d_miss.T
        return slope, information + np.diag(spread**-2.0)

    def compute_log_means(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the logarithms (k, n) of expected recorded intensities, and of full ones, of states (k, p)."""
        log_part, square = self.free.compute_log_partialities(p, self.intensities.hkl)
        waves = p[:, self.free.n_crystal + 3:-2] @ self._waves
        full = np.log(self.intensities.expected) + waves + p[:, -2:-1] - 0.5 * B_UNIT * p[:, -1:] * square
        return full + log_part, full

    def _score(self, log_mean: np.ndarray) -> Score:
        """Score the intensities: those with a known reference as normal, others as exponential variates."""
        # steps that are tried may lead anywhere; beyond exp(40) no count is
        data, mean = self.intensities, np.exp(np.clip(log_mean, -40.0, 40.0))
        sigma = np.sqrt(data.variance)
        score = score_unknown(data.value, sigma, mean)
        if self.has_reference:
            known = np.isfinite(data.spread)
            other = score_known(data.value, data.variance + self.reference_variance, mean)
            score = Score(*(np.where(known, a, b) for a, b in zip(other, score, strict=True)))
        return add_outliers(score, data.value, sigma, self.outlier_mean)

    def _compute_misses(self, p: np.ndarray) -> np.ndarray:
        """Compute the angles (k, m, 2), rad, from predicted to observed spots, of states (k, p)."""
        out = np.empty((len(p), len(self.positions.hkl), 2))
        compute_misses(np.asarray(self.positions.hkl, np.float64), self.positions.rays, self._frames,
                       self.free.make_a_matrix(p), self.free.make_widths(p), self.free.s0, out)
        return out

    @cached_property
    def _waves(self) -> np.ndarray:
        """Chebyshev polynomials (N_WAVES, n) of the resolution, from the second on."""
        start = self.free.make_start(PartialityModel(1.0, 1.0))
        square = self.free.compute_log_partialities(start[None], self.intensities.hkl)[1][0]
        return np.polynomial.chebyshev.chebvander(2.0 * square / square.max() - 1.0, N_WAVES + 1)[:, 2:].T

    @cached_property
    def _frames(self) -> np.ndarray:
        """Unit vectors (m, 2, 3) at each spot: across the scattering plane, and in it."""
        across = np.cross(self.positions.rays, self.free.s0)
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        return np.stack([across, np.cross(self.positions.rays, across)], axis=1)

    def _list_prior(self) -> tuple[np.ndarray, np.ndarray]:
        """List the means (p,) and standard deviations (p,) of all parameters beforehand; infinite: nothing is known."""
        n = self.free.n_crystal
        mean, spread = np.zeros(len(self.free.fixed)), np.full(len(self.free.fixed), np.inf)
        mean[n:n + 3], spread[n:n + 3] = self.prior.mean, self.prior.spread
        spread[n + 3:-2] = _WAVE_PRIOR
        mean[-1], spread[-1] = (0.0, _RELATIVE_B) if self.has_reference else _B_PRIOR
        return mean, spread
