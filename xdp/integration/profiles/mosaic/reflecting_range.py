r"""How the reflecting range differs by resolution, as domains of finite size and a bandwidth make it.

Reciprocal lattice points of standard deviation a (1/Å) take as long to pass the Ewald sphere as they are wide: in
:math:`\zeta\varphi` that is :math:`a \lambda / \sin 2\theta`, which is a d at small angles. A relative bandwidth b
makes points pass over :math:`b \tan\theta`. So

.. math::

    \sigma_m^2 = \sigma_0^2 + (a d)^2 + (b \tan\theta)^2 .

The domains' term is estimated from spots that are far above the threshold of the spot finder. Of fainter spots the
first and last frames are missing, which would make fine reflections, most of them faint, seem to last less long. For
the same reason b is not estimated here: it is taken from the widths of spots on the detector, where domains do not show
(which would widen spots too).

References
----------
C. Nave, Acta Cryst. D54, 848 (1998), doi:10.1107/S0907444998001875.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.integration.profiles.mosaic.range_direction import estimate_range_direction, evaluate_direction
from xdp.integration.profiles.mosaic.range_scale import estimate_range_scale, measure_net_spots
from xdp.integration.profiles.mosaic.spread import describe_rays
from xdp.integration.profiles.spot_spread import estimate_sigma_m, measure_spot_frames
from xdp.reflections.table import ReflectionTable

log = logging.getLogger(__name__)

BRIGHT = 12.0
"""Brightest over faintest pixel of a spot that is used: a Gaussian is followed to 2.2 standard deviations then. On six
simulated sets sigma_m of such spots does not depend on brightness; of all spots it comes out up to 15 % too small."""
_GROUPS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0)
"""Limits of groups, as parts of the spots from fine to coarse: d grows fast at the end. A choice."""
_LEAST_SPOTS = 20
"""In a group: fewer give no useful width. A choice."""
_LEAST_GROUPS = 4
"""For two terms: with fewer a single odd group could make one. A choice."""
_TERMS = ("constant", "domain", "dispersion", "mean")


@dataclass(frozen=True)
class ReflectingRange:
    """The terms of sigma_m.

    Attributes
    ----------
    constant : float
        sigma_0^2, rad^2.
    domain : float
        a^2, rad^2 Å^-2.
    dispersion : float
        b^2, rad^2.
    mean : float
        sigma_m^2 of the spots that the model's own sigma_m was made of, rad^2.
    direction : (3, 3) float64 or None
        D, by which sigma_m^2 differs with the direction of e1 in the crystal's frame; None: it does not.
    """

    constant: float
    domain: float
    dispersion: float
    mean: float
    direction: np.ndarray | None = None

    def compute_factor(self, experiment: Experiment, table: ReflectionTable) -> np.ndarray:
        """Compute by what sigma_m of reflections is multiplied.

        Parameters
        ----------
        experiment : Experiment
        table : ReflectionTable
            With ``s1``; for a range that differs by direction also ``panel`` and ``xyzcal.px``.

        Returns
        -------
        (n,) float64
        """
        d, tangent = _compute_angles(experiment, table["s1"])
        square = self.constant + self.domain * np.square(d) + self.dispersion * np.square(tangent)
        if self.direction is not None:
            axis = describe_rays(experiment, table, with_crystal=True).axis
            square = square * evaluate_direction(self.direction, axis)
        return np.sqrt(square / self.mean)

    def to_dict(self) -> dict[str, Any]:
        """Write the terms as a dictionary, with widths in degrees.

        Returns
        -------
        dict
            ``constant``, ``dispersion`` and ``mean`` (degrees), ``domain`` (degrees for each Å); ``direction`` (3 x 3)
            where there is one.

        Examples
        --------
        >>> ReflectingRange(1e-6, 4e-6, 0.0, 9e-6).to_dict()["constant"].__round__(4)
        0.0573
        """
        out: dict[str, Any] = {name: float(np.rad2deg(np.sqrt(getattr(self, name)))) for name in _TERMS}
        return out if self.direction is None else out | {"direction": self.direction.tolist()}

    @classmethod
    def from_dict(cls, source: Any) -> ReflectingRange:
        """The terms of a dictionary as of :meth:`to_dict`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If they are no such terms.
        """
        constant, domain, dispersion, mean = (float(np.deg2rad(float(source[name]))) ** 2 for name in _TERMS)
        if not (np.isfinite(constant + domain + dispersion) and constant + domain > 0.0 and mean > 0.0):
            raise ValueError("widths of the reflecting range must be positive")
        direction = source.get("direction")
        if direction is not None:
            direction = np.asarray(direction, np.float64)
            if direction.shape != (3, 3) or not np.all(np.isfinite(direction)):
                raise ValueError("direction of the reflecting range must be 3 x 3 numbers")
        return cls(constant, domain, dispersion, mean, direction)


def estimate_range(experiment: Experiment, spots: ReflectionTable, zeta: np.ndarray, sigma_m: float, *, basic: bool,
                   least_significance: float, dispersion: float = 0.0, by_direction: bool = True
                   ) -> ReflectingRange | None:
    """Estimate the terms of found spots.

    Parameters
    ----------
    experiment : Experiment
        With beam, detector, crystal, goniometer and scan.
    spots : ReflectionTable
        With ``shoebox`` as found, ``s1``, ``xyzcal.mm``, ``miller_index``.
    zeta : (n,) float64
        Of the spots.
    sigma_m : float
        Of all spots, rad.
    basic : bool
        As for :func:`xdp.integration.profiles.spot_spread.estimate_sigma_m`.
    least_significance : float
        Errors that the domains' term must be.
    dispersion : float
        b^2 by the widths of spots, rad^2; not used where there are domains.
    by_direction : bool
        Also look for a range that differs by direction.

    Returns
    -------
    ReflectingRange or None
        None where spots show no growth, and sigma_m is that of all.
    """
    if not len(spots):
        return None
    found = _estimate_growth(experiment, spots, zeta, sigma_m, basic=basic, least_significance=least_significance,
                             dispersion=dispersion)
    model = found or ReflectingRange(sigma_m**2, 0.0, 0.0, sigma_m**2)
    net = measure_net_spots(experiment, spots, zeta)
    table = spots.select(net.rows)
    table = table.with_columns(panel=table["shoebox"].panel)
    if by_direction:
        axis = describe_rays(experiment, table, with_crystal=True).axis
        expected = np.square(sigma_m * model.compute_factor(experiment, table))
        model = replace(model, direction=estimate_range_direction(net, axis, expected))
    expected = np.square(sigma_m * model.compute_factor(experiment, table))
    scale = estimate_range_scale(net, expected, least_significance=least_significance)
    if scale == 1.0 and model.direction is None:
        return found
    return replace(model, constant=scale * model.constant, domain=scale * model.domain,
                   dispersion=scale * model.dispersion)


def _estimate_growth(experiment: Experiment, spots: ReflectionTable, zeta: np.ndarray, sigma_m: float, *, basic: bool,
                     least_significance: float, dispersion: float) -> ReflectingRange | None:
    """Estimate how sigma_m grows with resolution; None where spots show nothing of it."""
    rows = np.flatnonzero(_measure_brightness(spots) > BRIGHT)
    terms = _fit_domains(_measure_groups(experiment, spots.select(rows), zeta[rows], basic=basic), least_significance)
    if terms is not None:
        log.info("Reflecting range: sigma_m^2 = (%.4f deg)^2 + (%.4f deg/Å d)^2: domains of finite size, by %d bright "
                 "spots", *np.rad2deg(np.sqrt(terms)), len(rows))
        return ReflectingRange(*terms, 0.0, sigma_m**2)
    # sigma_m is that of the spots' mean angle: fine reflections last longer, coarse ones less long
    constant = sigma_m**2 - dispersion * float(np.mean(np.square(_compute_angles(experiment, spots["s1"])[1])))
    if dispersion > 0.0 and constant > 0.0:
        log.info("Reflecting range: sigma_m^2 = (%.4f deg)^2 + (%.4f deg tan theta)^2, by the bandwidth that widens "
                 "spots", *np.rad2deg(np.sqrt([constant, dispersion])))
        return ReflectingRange(constant, 0.0, dispersion, sigma_m**2)
    return None


def _compute_angles(experiment: Experiment, s1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute d (Å) and tan theta of rays."""
    q = np.linalg.norm(s1 - np.asarray(experiment.known.beam.s0), axis=1)
    sine = np.minimum(0.5 * experiment.known.beam.wavelength * q, 0.999)
    return 1.0 / np.maximum(q, 1e-9), sine / np.sqrt(1.0 - sine * sine)


def _fit_domains(groups: np.ndarray, least_significance: float) -> tuple[float, float] | None:
    """Fit sigma_0^2 and a^2 to groups; None where domains are not supported."""
    if len(groups) < _LEAST_GROUPS:
        return None
    square, variance, error = groups.T
    terms, covariance = _fit_line(square, variance, error)
    if terms[1] < least_significance * np.sqrt(covariance[1, 1]):
        return None
    if terms[0] < 0.0:
        # domains alone: the line goes through 0
        weight = 1.0 / np.square(error)
        return 0.0, float((weight * square * variance).sum() / (weight * square**2).sum())
    return float(terms[0]), float(terms[1])


def _measure_brightness(spots: ReflectionTable) -> np.ndarray:
    """Measure the brightest over the faintest strong pixel of each spot."""
    boxes = spots["shoebox"]
    marked = boxes.mask != 0
    spot, counts = np.repeat(np.arange(len(boxes)), np.diff(boxes.offsets))[marked], boxes.data[marked]
    low, high = np.full(len(boxes), np.inf), np.zeros(len(boxes))
    # pixels of a spot follow each other; spots without strong pixels are passed over
    first = np.flatnonzero(np.diff(spot, prepend=-1))
    if len(first):
        low[spot[first]] = np.minimum.reduceat(counts, first)
        high[spot[first]] = np.maximum(np.maximum.reduceat(counts, first), 0.0)
    return high / np.maximum(low, 1.0)


def _measure_groups(experiment: Experiment, spots: ReflectionTable, zeta: np.ndarray, *, basic: bool) -> np.ndarray:
    """Measure d^2, sigma_m^2 and its error (g, 3) of groups of spots."""
    if len(spots) < _LEAST_SPOTS * _LEAST_GROUPS:
        return np.zeros((0, 3))
    seen = measure_spot_frames(experiment, spots, spots["s1"])
    d = _compute_angles(experiment, spots["s1"])[0]
    rank = np.argsort(np.argsort(d)) / len(d)
    found = []
    for low, high in itertools.pairwise(_GROUPS):
        inside = (rank >= low) & (rank < high)
        part = seen.select(inside[seen.spot])
        if inside.sum() < _LEAST_SPOTS or not np.any(part.own > 0.0):
            continue
        variance = estimate_sigma_m(experiment, part, spots["xyzcal.mm"][:, 2], zeta, basic=basic) ** 2
        # of n widths known exactly the variance has the error sqrt(2 / n); frames tell each of them less well
        found.append((float(np.mean(np.square(d[inside]))), variance, 2.0 * variance / np.sqrt(inside.sum())))
    return np.array(found).reshape(-1, 3)


def _fit_line(x: np.ndarray, y: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit y = p0 + p1 x with weights; the covariance grows with chi^2 where the line does not fit."""
    a = np.stack([np.ones_like(x), x], axis=1) / error[:, None]
    covariance = np.linalg.inv(a.T @ a)
    terms = covariance @ (a.T @ (y / error))
    chi = np.square(a @ terms - y / error).sum() / (len(x) - 2)
    return terms, covariance * max(chi, 1.0)
