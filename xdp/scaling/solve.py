"""Fit the scales: Gauss-Newton steps with the merged intensities eliminated, and everything else found on the way.

Each round fits the scales, then the variances of their restraints, the error model, and the outliers. Weights come from
expected intensities: with ``I = g J + error``, the variance of I is ``a^2 (background + counting g J + (b g J)^2)``.

References
----------
Hamilton, Rollett & Sparks (1965). Acta Cryst. 18, 129-130, doi:10.1107/S0365110X65000233 (scales by least squares);
Golub & Pereyra (1973). SIAM J. Numer. Anal. 10, 413-432, doi:10.1137/0710036 (parameters eliminated);
MacKay (1992). Neural Comput. 4, 415-447, doi:10.1162/neco.1992.4.3.415 (variances from the evidence);
French & Wilson (1978). Acta Cryst. A34, 517-525, doi:10.1107/S0567739478001114 (intensities that cannot be negative).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import log_ndtr

from xdp.errors import XdpError
from xdp.options.model import AUTO
from xdp.scaling._kernels_normal import (
    Drift,
    Rows,
    ScaleDesign,
    log_scales,
    merge_rows,
    normal_equations,
)
from xdp.scaling.error_model import ErrorModel, fit_by_sweep, fit_error_model
from xdp.scaling.model import ScaleModel
from xdp.scaling.observations import ObservationGroups
from xdp.scaling.options import ScaleOptions
from xdp.scaling.outliers import find_deviating
from xdp.scaling.zero_dose import DamageSlopes, find_undamaged, fit_damage

log = logging.getLogger(__name__)

_SHELLS = 20  # shells of the expected intensities; a choice, as for tables
_GAUGE = 1e8
"""Precision along what observations cannot tell: those directions stay at 0."""
_CONVERGED = 1e-3
"""Rounds end where the scales change by less than this part (root mean square) of their errors or of themselves."""
_SETTLED = 2
"""Rounds before outliers and the error model are looked for: scales that are far off make all observations deviate."""
_STEEPEST = 100.0
"""A variance of restraints moves by at most this factor in a round, and not below the smallest."""
_SMALLEST = 1e-8
_STEADY = Drift(np.empty(0), np.empty(0))  # nothing changes with the dose


@dataclass(frozen=True)
class ScaleFit:
    """Scales that were fitted.

    Attributes
    ----------
    model : ScaleModel
    parameters : (P,) float64
    covariance : (P, P) float64
    scale : (n,) float64
        g of each observation; the mean of its logarithm is 0.
    variances : dict of str to float
        Of the restraints of each kind of part.
    error_model : ErrorModel
    variance : (n,) float64
        Of the observations, from expected intensities and the error model.
    use : (n,) bool
        False: outliers.
    n_rounds : int
    damage : DamageSlopes or None
        Slopes of intensities with the dose; None where they were not asked for.
    anchored : bool
        Whether a reference decides what is the scale 1.
    """

    model: ScaleModel
    parameters: np.ndarray
    covariance: np.ndarray
    scale: np.ndarray
    variances: dict[str, float]
    error_model: ErrorModel
    variance: np.ndarray
    use: np.ndarray
    n_rounds: int
    damage: DamageSlopes | None = None
    anchored: bool = False

    def get_intensity(self, seen: ObservationGroups) -> np.ndarray:
        """The intensities that were scaled: at dose 0, where that was asked for.

        Parameters
        ----------
        seen : ObservationGroups
            As measured.

        Returns
        -------
        (n,) float64
        """
        return seen.intensity if self.damage is None else self.damage.remove(seen, self.scale)


def fit_scales(seen: ObservationGroups, model: ScaleModel, design: ScaleDesign, options: ScaleOptions,
               before: ScaleFit | None = None, *, dose: np.ndarray | None = None) -> ScaleFit:
    """Fit the scales of observations.

    Parameters
    ----------
    seen : ObservationGroups
        Those with row -1 are of a reference, and their scale is 1.
    model : ScaleModel
    design : ScaleDesign
        Of the model, for these observations.
    options : ScaleOptions
        Error model, outliers, number of rounds.
    before : ScaleFit, optional
        Of the same observations with another model, to begin with.
    dose : (n,) float64, optional
        Of the observations: specific damage is then found, and taken out of the intensities.

    Returns
    -------
    ScaleFit

    Raises
    ------
    XdpError
        If no two observations are of the same reflection.
    """
    start = seen.start_apart if options.anomalous else seen.start
    if not np.any(np.diff(start) > 1):
        raise XdpError("scale: no two reflections are equivalent, so that nothing can be scaled")
    measured, damage = seen, before.damage if before is not None else None
    anchored = bool(np.any(seen.row < 0))
    gauges = np.zeros((0, model.n_parameters)) if anchored else model.make_gauges(
        () if dose is None else find_undamaged(seen, dose))
    p, g, use = np.zeros(model.n_parameters), np.ones(len(seen)), np.ones(len(seen), bool)
    variances, errors = model.make_start(), ErrorModel.begin(options.weighting.error_model)
    expected, covariance, settled = np.maximum(seen.intensity, 0.0), np.eye(len(p)), _SETTLED
    if before is not None:
        p, errors, use, settled = _carry_over(before, model), before.error_model, before.use, 0
        variances |= {kind: v for kind, v in before.variances.items() if kind in variances}
        g = _compute_scales(design, p, anchored)
        if damage is not None:
            seen = replace(measured, intensity=damage.remove(measured, g))
        weights = np.where(use, 1.0 / before.variance, 0.0)
        expected = g * expect_intensities(seen, start, *_merge(Rows(start, seen.intensity), g, weights))
    for n_rounds in range(1, options.scaling_options.max_iterations + 1):
        rows = Rows(start, seen.intensity)
        # twice: expected intensities need means, whose weights need expected intensities
        for _ in range(2):
            J, information = _merge(rows, g, np.where(use, 1.0 / errors.compute_variances(seen, expected), 0.0))
            expected = g * expect_intensities(seen, start, J, information)
        weights = np.where(use, 1.0 / errors.compute_variances(seen, expected), 0.0)
        restraints = model.make_restraints(variances)
        drift = _STEADY if damage is None else damage.get_drift(measured, start)
        p, covariance = _take_step(rows, design, (g, weights, drift), p, restraints + _GAUGE * gauges.T @ gauges)
        variances = estimate_variances(model, p, covariance, variances)
        old, g = g, _compute_scales(design, p, anchored)
        change = float(np.sqrt(np.mean(np.square(np.log(g / old)))))
        if n_rounds > settled:
            # parameters that are not free do not take away from what deviations tell
            n_free = len(p) - len(gauges) - float(np.sum(covariance * restraints))
            if dose is not None:
                damage = fit_damage(measured, g, weights, expected, dose)
                seen = replace(measured, intensity=damage.remove(measured, g))
            expected, use, errors = _judge(seen, g, weights, errors, n_free, options,
                                           None if damage is None else (measured, damage))
        log.debug("round %d: scales changed by %.2e", n_rounds, change)
        if n_rounds > settled + 1 and change < _CONVERGED:
            break
    return ScaleFit(model, p, covariance, g, variances, errors, errors.compute_variances(seen, expected), use, n_rounds,
                    damage, anchored)


def _carry_over(before: ScaleFit, model: ScaleModel) -> np.ndarray:
    """The parameters of a fit, at their places in another model; 0 for parts that it did not have."""
    p = np.zeros(model.n_parameters)
    for part in model.parts:
        old = before.model.get_part(part.kind, part.sweep)
        if old is not None and old.n == part.n:
            p[part.columns] = before.parameters[old.columns]
    return p


def _take_step(rows: Rows, design: ScaleDesign, state: tuple[np.ndarray, np.ndarray, Drift], p: np.ndarray,
               restraints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A Gauss-Newton step: the new parameters, and their covariance."""
    g, weights, drift = state
    J, information = _merge(rows, g, weights)
    N, b = np.zeros((len(p), len(p))), np.zeros(len(p))
    normal_equations(rows, design, g, weights, J, information, drift, N, b)
    # the kernel fills the lower half
    factor = cho_factor(N + restraints, lower=True)
    return p + cho_solve(factor, b - restraints @ p), cho_solve(factor, np.eye(len(p)))


def _judge(seen: ObservationGroups, g: np.ndarray, weights: np.ndarray, errors: ErrorModel, n_free: float,
           options: ScaleOptions, damaged: tuple[ObservationGroups, DamageSlopes] | None = None
           ) -> tuple[np.ndarray, np.ndarray, ErrorModel]:
    """Expected intensities with mates apart, the observations that are no outliers, and the error model of these."""
    apart, wanted = Rows(seen.start_apart, seen.intensity), options.weighting.error_model
    expected = g * expect_intensities(seen, apart.start, *_merge(apart, g, weights))
    use = find_deviating(seen, g, errors.compute_variances(seen, expected), options.scaling_options.outlier_zmax,
                        anomalous=options.anomalous)
    if damaged is not None:
        # slopes were fitted to the deviations, which are too small now
        J, _ = _merge(apart, g, np.where(use, weights, 0.0))
        means = g * np.repeat(J, np.diff(apart.start))
        seen = replace(seen, intensity=damaged[1].spread_again(damaged[0], g, means))
    common = fit_error_model(seen, g, expected, use, n_free, wanted)
    by_sweep = wanted.grouping == "individual" or (wanted.grouping is AUTO and bool(seen.sweep.max() > 0))
    if by_sweep and wanted.error_model is not None:
        # the numbers of each sweep so far weigh the means that the others are compared with
        common = fit_by_sweep(seen, g, expected, use, errors if len(errors.a) > 1 else common, wanted)
    return expected, use, common


def _merge(rows: Rows, g: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means of groups, and the sums of weights."""
    J, information = np.zeros((2, len(rows.start) - 1))
    merge_rows(rows, g, weights, J, information)
    return J, information


def _compute_scales(design: ScaleDesign, p: np.ndarray, anchored: bool) -> np.ndarray:
    """The scales of observations, their logarithms with a mean of 0 if there is no reference."""
    g = np.empty(len(design.place))
    log_scales(design, p, g)
    return np.exp(g if anchored else g - g.mean())


def expect_intensities(seen: ObservationGroups, start: np.ndarray, J: np.ndarray, information: np.ndarray
                       ) -> np.ndarray:
    """Expected intensities of the reflections of observations: means that are held above 0 by Wilson statistics.

    Parameters
    ----------
    seen : ObservationGroups
    start : (n_groups + 1,) int64
        First observations of groups.
    J, information : (n_groups,) float64
        Mean of each group, and one over its variance.

    Returns
    -------
    (n,) float64
        For each observation that of its group: the mean of J given what was measured, where true intensities of a
        resolution shell are distributed exponentially.
    """
    n_in = np.diff(start)
    d = seen.d[start[:-1]]
    rank = np.empty(len(d), np.int64)
    rank[np.argsort(d, kind="stable")] = np.arange(len(d))
    shell = rank * _SHELLS // max(len(d), 1)
    known = information > 0.0
    total = np.bincount(shell[known], J[known], _SHELLS) / np.maximum(np.bincount(shell[known], minlength=_SHELLS), 1)
    # a shell without signal still needs a scale for what may be there: its error
    floor = np.sqrt(np.array([np.mean(1.0 / information[known & (shell == k)]) if np.any(known & (shell == k)) else 1.0
                              for k in range(_SHELLS)]))
    prior = np.maximum(total, 0.1 * floor)[shell]
    variance = 1.0 / np.where(known, information, 1.0)
    sigma = np.sqrt(variance)
    # the posterior is a normal distribution cut off at 0
    t = (J - variance / prior) / sigma
    inside = np.maximum(t, -1000.0)
    hazard = np.exp(-0.5 * inside * inside - 0.5 * np.log(2.0 * np.pi) - log_ndtr(inside))
    # Further below 0, as only damaged values are, the terms cancel beyond all digits, and -1 / t is the sum.
    above = np.where(t < inside, -1.0 / np.minimum(t, -1.0), inside + hazard)
    mean = np.where(known, np.maximum(sigma * above, 1e-3 * prior), prior)
    return np.repeat(mean, n_in)


def estimate_variances(model: ScaleModel, p: np.ndarray, covariance: np.ndarray, variances: dict[str, float]
                       ) -> dict[str, float]:
    """Estimate the variances of restraints anew: their squares, over the number of them that the data determine.

    Parameters
    ----------
    model : ScaleModel
    p : (P,) float64
    covariance : (P, P) float64
        Of the parameters, with the restraints of `variances`.
    variances : dict of str to float
        Those so far.

    Returns
    -------
    dict of str to float
    """
    result = {}
    for kind, old in variances.items():
        squares = n = trace = 0.0
        for part in model.parts:
            if part.kind == kind:
                differences = part.differences
                squares += float(np.sum(np.square(differences @ p[part.columns])))
                trace += float(np.sum((differences @ covariance[part.columns, part.columns]) * differences))
                n += len(differences)
        determined = max(n - trace / old, 1e-3 * n)
        new = squares / determined if n else old
        result[kind] = max(float(np.clip(new, old / _STEEPEST, old * _STEEPEST)), _SMALLEST)
    return result

