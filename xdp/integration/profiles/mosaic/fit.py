"""The terms of :class:`~xdp.integration.profiles.mosaic.spread.MosaicSpread` from the widths of single spots.

Widths are fitted by least squares that are robust (Huber 1964): a spot of unusual width, on a neighbour or on ice,
counts little. Spots of one crystal differ by more than their counts say; this scatter is estimated with the terms, and
is in their errors. A term stays if it is :attr:`MosaicOptions.least_significance` times its error, else it is left out
and the others are fitted again.

References
----------
P. J. Huber, Ann. Math. Statist. 35, 73 (1964), doi:10.1214/aoms/1177703732.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np

from xdp.integration.profiles.mosaic.measure import WidthMeasurements
from xdp.integration.profiles.mosaic.options import MosaicOptions
from xdp.integration.profiles.mosaic.spread import MosaicSpread, RayGeometry

log = logging.getLogger(__name__)

LEAST_SPOTS = 20
"""Spots that must have been measured: with fewer, one odd spot can make a term. A choice."""
CLEAR_GAIN = 30.0
"""By so much must chi^2 fall for the five more terms of H, which chance does once in 1e5, and for a blur of pixels in
place of an angle: on a simulated set with an angle it was 10 smaller with the blur, on rot_dev, with a blur, 640."""
_HUBER = 2.5
"""Standard deviations from where on a spot counts less. A choice; of normal errors 1 % lie beyond."""
_ROUNDS = 40
"""Rounds of reweighting, at most. A choice: simulated sets take ten to twenty."""
_NARROWEST = 0.01
"""Of the variance to begin from: a fitted variance is taken as no less while terms are sought. A choice."""
_LEAST_SCATTER = 0.02
"""No variance of a spot is trusted to better than 2 %, as exact as two points along the side of a pixel are."""
_MOST_SCATTER = 2.0
"""Widths that scatter by more say nothing; the equations need a finite one."""
_SETTLED = 0.003
"""Rounds end when no term changes by more than this part of its error."""
_NAMES = {"divergence": "divergence", "rotation": "mosaic rotation", "radial": "bandwidth or domain size",
          "drift": "drift along e1", "blur": "blur in pixels"}
_CONSTANT = ("divergence", "blur")


class TermFit(NamedTuple):
    """A fit of some terms.

    Attributes
    ----------
    values, errors : (p,) float64
        In rad^2.
    loss : float
        Huber's loss, which is chi^2 but for outliers.
    scatter : float
        Relative standard deviation of single variances beyond what counts say.
    """

    values: np.ndarray
    errors: np.ndarray
    loss: float
    scatter: float


class WidthEquations(NamedTuple):
    """Widths along e1, then e2, as linear functions of terms: ``variance = terms @ values + known``.

    Attributes
    ----------
    terms : (2 m, p) float64
    known, curvature, error : (2 m,) float64
    """

    terms: np.ndarray
    known: np.ndarray
    curvature: np.ndarray
    error: np.ndarray


def fit_spread(rays: RayGeometry, measured: WidthMeasurements, start: float, options: MosaicOptions
               ) -> MosaicSpread | None:
    """Fit the terms of the widths.

    Parameters
    ----------
    rays : RayGeometry
        Of all spots, with the directions in the crystal's frame.
    measured : WidthMeasurements
        Widths of some of them.
    start : float
        Variance to begin from, rad^2.
    options : MosaicOptions

    Returns
    -------
    MosaicSpread or None
        None where no term but sigma_0 is supported by the data; the log says why.
    """
    if len(measured.rows) < LEAST_SPOTS:
        log.info("Widths are taken as the same at all resolutions: %d spots are strong enough to be measured, %d are "
                 "wanted", len(measured.rows), LEAST_SPOTS)
        return None
    rays = RayGeometry(*(v[measured.rows] if len(v) else v for v in rays))
    # a known bandwidth widens along e2 as the depth of the sensor does: it is no term to be fitted
    known = 4.0 * (options.bandwidth or 0.0) ** 2
    rays = rays._replace(depth=rays.depth + known * np.square(rays.tangent)[:, None] * [0.0, 1.0])
    terms, fit = _choose_terms(rays, measured, start, options)
    if set(terms) <= set(_CONSTANT) and not known:
        return None
    # the last value is that of faint spots, which has no name
    values = dict(zip(terms, fit.values, strict=False))
    if not sum(max(values.get(name, 0.0), 0.0) for name in _CONSTANT) > 0.0:
        log.info("Widths are taken as the same at all resolutions: without terms that grow spots seem to have none")
        return None
    rotation = values.get("rotation", 0.0) * np.eye(3)
    if options.anisotropic and "rotation" in terms and len(rays.normal) > 3 * LEAST_SPOTS:
        rotation, values = _fit_axes(rays, measured, terms, fit, start, rotation, values)
    _log_terms(values, rotation, dict(zip(terms, fit.errors, strict=False)), fit.scatter, len(measured.rows))
    # blocks that are turned about all axes alike are turned about e1 too, which makes spots drift: where spots do not
    # show how far, it is no less than that
    drift = values.get("drift", 0.0)
    if np.all(rotation == rotation[0, 0] * np.eye(3)):
        drift = max(drift, float(rotation[0, 0]))
    return MosaicSpread(max(values.get("divergence", 0.0), 0.0), rotation, values.get("radial", 0.0) + known, drift,
                        max(values.get("blur", 0.0), 0.0))


def _choose_terms(rays: RayGeometry, measured: WidthMeasurements, start: float, options: MosaicOptions
                  ) -> tuple[list[str], TermFit]:
    """Choose the terms that are supported, with that constant part, of an angle or of pixels, that fits better.

    The two differ only as far as pixels subtend different angles. An angle is taken where data do not clearly say else.
    """
    # stills do not drift
    names = [name for name in _NAMES if name != "drift" or rays.drift.any()]
    found = [_drop_terms([name for name in names if name != left_out], rays, measured, start, options)
             for left_out in reversed(_CONSTANT)]
    scatter = min(fit.scatter for _, fit, _ in found)
    costs = [_compute_loss(_make_equations(rays, measured, terms, start), fit, start, scatter)
             + options.least_significance ** 2 * len(terms) for terms, fit, _ in found]
    terms, fit, lines = found[int(costs[1] + CLEAR_GAIN < costs[0])]
    for line in lines:
        log.info("Width of reflections: %s", line)
    return terms, fit


def _drop_terms(terms: list[str], rays: RayGeometry, measured: WidthMeasurements, start: float, options: MosaicOptions
                ) -> tuple[list[str], TermFit, list[str]]:
    """Fit terms, and leave out the least significant ones, one after the other; a line says why of each."""
    lines: list[str] = []
    while True:
        fit = fit_terms(_make_equations(rays, measured, terms, start), start)
        weights = {name: v / e for name, v, e in zip(terms, fit.values, fit.errors, strict=False)
                   if name not in _CONSTANT}
        worst = min(weights, key=lambda name: weights[name], default=None)
        if worst is None or weights[worst] >= options.least_significance:
            return terms, fit, lines
        at = terms.index(worst)
        value, error = (_show(worst, v) for v in (fit.values[at], fit.errors[at]))
        lines.append(f"no term of {_NAMES[worst]} is supported, ({value})^2 +- ({error})^2")
        terms = [name for name in terms if name != worst]


def _make_equations(rays: RayGeometry, measured: WidthMeasurements, terms: list[str], start: float) -> WidthEquations:
    """Set up the equations of isotropic terms."""
    one, none = np.ones(len(rays.two_sine)), np.zeros(len(rays.two_sine))
    columns = {"divergence": (one, one), "rotation": (rays.two_sine ** 2, none), "radial": (none, rays.tangent ** 2),
               "drift": ((rays.two_sine * rays.drift) ** 2, none), "blur": tuple(12.0 * rays.pixel.T)}
    return _stack(rays, measured, [columns[name] for name in terms], start)


def _stack(rays: RayGeometry, measured: WidthMeasurements, columns: list[tuple[np.ndarray, np.ndarray]],
           start: float) -> WidthEquations:
    """Put the equations of e1 and e2 one after the other.

    A last term takes up what the choice of strong pixels does to the width of faint spots, in units of `start`: without
    it, widths would seem to grow with resolution, as spots become fainter.
    """
    columns = [*columns, (start * measured.faintness, start * measured.faintness)]
    return WidthEquations(np.stack([np.concatenate(c) for c in columns], axis=1), rays.depth.T.ravel(),
                          measured.curvature.T.ravel(), measured.error.T.ravel())


def fit_terms(equations: WidthEquations, start: float, prior: tuple[np.ndarray, np.ndarray] | None = None) -> TermFit:
    """Fit terms to curvatures of spots.

    A curvature q has normal errors, a variance ``-1/(2 q)`` has not. So equations are of variances v that are linear
    about the fitted ones: ``v + 2 v^2 (q + 1/(2 v))``, of standard deviation ``2 v^2 error(q)``.

    Parameters
    ----------
    equations : WidthEquations
    start : float
        Variance to begin from, rad^2.
    prior : (p,) and (p,) float64, optional
        Expected terms, and the reciprocal of their variances: 0 for those of which nothing is known beforehand.

    Returns
    -------
    TermFit

    Examples
    --------
    Exact widths give back the term that they were made of:

    >>> known, q = np.full(40, 0.1), np.full(40, -0.5 / 1.1)
    >>> fit = fit_terms(WidthEquations(np.ones((40, 1)), known, q, np.full(40, 0.01)), 3.0)
    >>> round(float(fit.values[0]), 4)
    1.0
    """
    a, known, q, error = equations
    n = len(a)
    expected, precision = np.zeros((2, a.shape[1])) if prior is None else prior
    # each spot's own width is a start from which rounds settle, if not without bias
    v = np.clip(-0.5 / np.minimum(q, -1e-9 / start), 0.2 * start, 20.0 * start)
    values, scatter = np.full(a.shape[1], np.inf), 0.0
    for k in range(_ROUNDS):
        # a model that is far off would make steps that are far off: v changes by no more than a factor
        if k:
            v = np.clip(np.maximum(a @ values, _NARROWEST * start) + known, 0.5 * v, 2.0 * v)
        target, counting = v + 2.0 * v * v * (q + 0.5 / v) - known, 2.0 * v * v * error
        # spots differ by more than their counts say
        sigma = np.sqrt(counting ** 2 + (scatter * v) ** 2)
        miss = np.abs(target - a @ values) / sigma if k else np.zeros(n)
        weight = np.minimum(1.0, _HUBER / np.maximum(miss, 1e-12)) / sigma ** 2
        # a term of which no spot has anything is 0, with an error that leaves it out
        scale = np.maximum(np.sqrt(np.einsum("np,n,np->p", a, weight, a) + precision), 1e-30)
        normal = (np.einsum("np,n,nq->pq", a, weight, a) + np.diag(precision)) / np.outer(scale, scale)
        inverse = np.linalg.pinv(normal, rcond=1e-9)
        before, values = values, inverse @ ((a.T @ (weight * target) + precision * expected) / scale) / scale
        scatter = _estimate_scatter(np.abs(target - a @ values), counting, v)
        if k and np.all(np.abs(values - before) < _SETTLED * np.sqrt(np.diag(inverse)) / scale):
            break
    # with the last scatter, which the loop found after its weights
    miss = np.abs(target - a @ values) / np.sqrt(counting ** 2 + (scatter * v) ** 2)
    loss = np.where(miss < _HUBER, miss ** 2, 2.0 * _HUBER * miss - _HUBER ** 2).sum()
    return TermFit(values, np.maximum(np.sqrt(np.abs(np.diag(inverse))), 1e-9) / scale, float(loss), scatter)


def _estimate_scatter(miss: np.ndarray, counting: np.ndarray, v: np.ndarray) -> float:
    """Find the relative scatter with which half of the misses are below 0.6745 standard deviations."""
    # the scatter with which each miss is just that large; where counting explains more than the miss, below 0
    square = np.median(((miss / 0.6745) ** 2 - counting ** 2) / v ** 2)
    return float(np.sqrt(np.clip(square, _LEAST_SCATTER ** 2, _MOST_SCATTER ** 2)))


def _fit_axes(rays: RayGeometry, measured: WidthMeasurements, terms: list[str], fit: TermFit, start: float,
              rotation: np.ndarray, values: dict[str, float]) -> tuple[np.ndarray, dict[str, float]]:
    """Fit all elements of H in place of eta^2, and take them if they fit clearly better."""
    others = [name for name in terms if name != "rotation"]
    basis = np.eye(3)
    # no blocks turn by less than nothing: axes about which they seem to are left out, and the rest is fitted again
    for _ in range(3):
        h, found = _fit_covariance(rays, measured, others, start, basis, values["rotation"])
        # compared with the same scatter: the fit with more terms has less of its own
        gain = _compute_loss(_make_equations(rays, measured, terms, start), fit, start, found.scatter) - found.loss
        if gain < CLEAR_GAIN:
            return rotation, values
        size, axes = np.linalg.eigh(h)
        if size[0] >= 0.0 or len(size) == 1:
            break
        basis = basis @ axes[:, size > 0.0]
    h = basis @ (axes * np.maximum(size, 0.0)) @ axes.T @ basis.T
    log.info("Mosaic rotation differs by axis: %s degrees about the crystal's principal ones (chi^2 falls by %.0f)",
             ", ".join(f"{v:.4f}" for v in np.rad2deg(np.sqrt(np.maximum(np.linalg.eigvalsh(h), 0.0)))), gain)
    values = {"rotation": float(np.trace(h)) / 3.0}
    n = len(found.values) - len(others) - 1
    return h, values | {name: max(float(v), 0.0) for name, v in zip(others, found.values[n:], strict=False)}


def _fit_covariance(rays: RayGeometry, measured: WidthMeasurements, others: list[str], start: float, basis: np.ndarray,
                    eta_squared: float) -> tuple[np.ndarray, TermFit]:
    """Fit the covariance of rotations about the axes `basis` (3, r) with the other terms; gives it, (r, r), too."""
    one, none, s = np.ones(len(rays.two_sine)), np.zeros(len(rays.two_sine)), rays.two_sine ** 2
    n, r = rays.normal @ basis, basis.shape[1]
    pairs = [(i, i) for i in range(r)] + [(i, j) for i in range(r) for j in range(i + 1, r)]
    columns = [(s * n[:, i] * n[:, j] * (1.0 if i == j else 2.0), none) for i, j in pairs]
    own = {"divergence": (one, one), "radial": (none, rays.tangent ** 2), "drift": (s * rays.drift ** 2, none),
           "blur": tuple(12.0 * rays.pixel.T)}
    # a scan of few degrees sees blocks turn about few axes: what it does not see is as about the others
    expected, precision = np.zeros((2, len(pairs) + len(others) + 1))
    expected[:r], precision[:len(pairs)] = eta_squared, eta_squared ** -2
    found = fit_terms(_stack(rays, measured, columns + [own[name] for name in others], start), start,
                      (expected, precision))
    h = np.empty((r, r))
    for (i, j), value in zip(pairs, found.values, strict=False):
        h[i, j] = h[j, i] = value
    return h, found


def _compute_loss(equations: WidthEquations, fit: TermFit, start: float, scatter: float) -> float:
    """Huber's loss of fitted terms with another scatter."""
    a, known, q, error = equations
    v = np.maximum(a @ fit.values, _NARROWEST * start) + known
    miss = 2.0 * v * v * np.abs(q + 0.5 / v) / np.sqrt((2.0 * v * v * error) ** 2 + (scatter * v) ** 2)
    return float(np.where(miss < _HUBER, miss ** 2, 2.0 * _HUBER * miss - _HUBER ** 2).sum())


def _log_terms(values: dict[str, float], rotation: np.ndarray, errors: dict[str, float], scatter: float, n: int
               ) -> None:
    """Log the terms in degrees, with what they may mean."""
    def show(name: str) -> str:
        value = max(values[name], 0.0)
        return f"{_show(name, value)} +- {_show(name, (0.5 * errors[name] / max(np.sqrt(value), 1e-9)) ** 2)}"

    log.info("Widths of %d spots, which scatter by %.0f %% beyond counting statistics:", n, 50.0 * scatter)
    for name, called in (("divergence", "divergence sigma_0"), ("blur", "blur"), ("rotation", "mosaic rotation eta"),
                         ("drift", "drift along e1 kappa")):
        if name in values:
            log.info(" %s: %s", called, show(name))
    if "radial" in values:
        tau = np.sqrt(max(values["radial"], 0.0))
        log.info(" radial term tau: %s (bandwidth %.2f %% if it is that alone)", show("radial"), 50.0 * tau)


def _show(name: str, variance: float) -> str:
    """Write the root of a term with its unit."""
    root = float(np.sqrt(max(variance, 0.0)))
    return f"{root:.3f} px" if name == "blur" else f"{np.rad2deg(root):.4f} deg"
