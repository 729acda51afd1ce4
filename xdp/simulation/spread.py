r"""How mosaic crystals and real beams widen reflections, in Kabsch's frame.

A reflection with the lattice point r, the rotation axis m and the wave vectors s0, s1 = s0 + r has the unit axes

.. math::

    e_1 \parallel s_1 \times s_0, \qquad e_2 = \hat s_1 \times e_1, \qquad \zeta = m \cdot e_1.

Let the lattice point be displaced by :math:`\delta r` and the incident wave vector by :math:`\delta s_0`. The point
diffracts when the crystal has turned :math:`d\varphi` further. To first order

.. math::

    \varepsilon_3 = \zeta\, d\varphi
    = -\frac{s_1 \cdot \delta r + r \cdot \delta s_0}{|s_1 \times s_0|}, \qquad
    \varepsilon_k = \lambda\, e_k \cdot \left(\delta s_0 + \delta r + d\varphi\; m \times r\right), \quad k = 1, 2.

Normal distributions of all displacements give a normal distribution of :math:`(\varepsilon_1, \varepsilon_2,
\varepsilon_3)`. Its variances are, with the crystal's mosaic rotations :math:`\eta`, the lattice points' width a, the
relative bandwidth b, the beam's divergence :math:`\delta` in each direction, and the direction p across r in the plane
of s0 and s1,

.. math::

    \operatorname{var} \varepsilon_1 &= \sigma_b^2 + (2 \eta \sin\theta)^2 + (a \lambda)^2 + \delta^2
        + \left(2 \sin\theta\, \tfrac{m \cdot p}{\zeta}\right)^2
        \left[\eta^2 + \left(\tfrac{a \lambda}{\sin 2\theta}\right)^2 + (b \tan\theta)^2 + \delta^2\right] \\
    \operatorname{var} \varepsilon_2 &= \sigma_b^2 + \left(\tfrac{a \lambda}{\cos\theta}\right)^2
        + (2 b \tan\theta)^2 + \delta^2 \\
    \operatorname{var} \varepsilon_3 &= \sigma_m^2 + \eta^2 + \left(\tfrac{a \lambda}{\sin 2\theta}\right)^2
        + (b \tan\theta)^2 + \delta^2.

The term with :math:`m \cdot p / \zeta` is a drift: the spot moves along e1 while the crystal turns. For an axis across
the beam, :math:`m \cdot p / \zeta = \sin\theta \tan\alpha`, where :math:`\alpha` is the angle between e1 and the axis:
it matters at high angles and for small zeta. Bandwidth, divergence and the points' width make the spot move along e2.

References
----------
W. Kabsch, Acta Cryst. D66, 133 (2010), doi:10.1107/S0907444909047374 (the frame). C. Nave, J. Synchrotron Rad. 21, 537
(2014), doi:10.1107/S1600577514003609 (mosaic rotations, sizes, bandwidth).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation
from scipy.special import ndtr

from xdp.experiment.experiment import Experiment
from xdp.simulation.options import SimulationOptions

_MOST_SLICES = 12
"""Slices of a reflection on one frame, at most. A choice: slices of 0.7 standard deviations cover 8."""
_LEAST_TILT = 0.1
"""A drift of less than this part of the spot's width over one standard deviation of the rotation needs no slices: it
changes the spot's shape on a frame by its square, 1 %, at most. A choice."""


class Slices(NamedTuple):
    """Parts of reflections on one frame, each a two-dimensional Gaussian.

    Attributes
    ----------
    rows : (n,) int64
        The reflection of each.
    fractions : (n,) float64
        Which part of the reflection it is.
    shifts : (n, 2) float64
        Angles (e1, e2) from the predicted ray to its middle, rad.
    covariances : (n, 2, 2) float64
        In rad².
    """

    rows: np.ndarray
    fractions: np.ndarray
    shifts: np.ndarray
    covariances: np.ndarray


def widens_spots(options: SimulationOptions) -> bool:
    """Say whether the options ask for more than the plain Gaussian of sigma_b and sigma_m.

    Parameters
    ----------
    options : SimulationOptions

    Returns
    -------
    bool
    """
    return any(value > 0.0 for value in (*_get_etas(options), options.point_size, options.bandwidth,
                                         options.divergence))


def compute_spot_covariances(experiment: Experiment, s1: np.ndarray, phi: np.ndarray, options: SimulationOptions
                             ) -> np.ndarray:
    """Compute the covariance of the angles (e1, e2, e3) of reflections: see the module's formulas.

    Parameters
    ----------
    experiment : Experiment
        With beam, goniometer and crystal.
    s1 : (n, 3) float64
        Predicted wave vectors, 1/Å.
    phi : (n,) float64
        Predicted rotation angles, rad.
    options : SimulationOptions
        All widths.

    Returns
    -------
    (n, 3, 3) float64
        In rad². e3 is the rotation angle times zeta, with the sign of zeta.

    Examples
    --------
    >>> from xdp.simulation import SimulationOptions, make_integrated
    >>> experiments, table = make_integrated(4)
    >>> options = SimulationOptions(sigma_b=0.04, sigma_m=0.1)
    >>> covariance = compute_spot_covariances(experiments[0], table["s1"], table["xyzcal.mm"][:, 2], options)
    >>> np.rad2deg(np.sqrt(covariance[0].diagonal())).round(3).tolist()
    [0.04, 0.04, 0.1]
    """
    sources = _list_sources(experiment, s1, phi, options)
    responses = [_compute_response(experiment, s1, *source) for source in sources]
    plain = np.zeros((len(s1), 3, 3))
    plain[:, [0, 1, 2], [0, 1, 2]] = np.square(np.deg2rad([options.sigma_b, options.sigma_b, options.sigma_m]))
    # independent sources: their covariances add
    return plain + sum((r[:, :, None] * r[:, None, :] for r in responses), np.zeros(1))


def bound_rotation_width(experiment: Experiment, options: SimulationOptions) -> float:
    """Give a width along the rotation, degrees, that no reflection on the detector exceeds (before division by zeta).

    Parameters
    ----------
    experiment : Experiment
    options : SimulationOptions

    Returns
    -------
    float
    """
    known = experiment.known
    # the points' width counts most for the lowest angles, where it is a times d: no d is longer than the cell
    longest = float(np.linalg.norm(known.crystal.real_space_matrix, axis=1).max())
    sine = 0.5 * known.beam.wavelength / (options.d_min or known.beam.wavelength)
    tangent = sine / np.sqrt(max(1.0 - sine * sine, 0.05))
    return float(np.linalg.norm([options.sigma_m, max(_get_etas(options)), options.divergence,
                                 *np.rad2deg([options.point_size * longest, options.bandwidth * tangent])]))


def slice_reflections(covariances: np.ndarray, edges: np.ndarray) -> Slices:
    r"""Cut the part of each reflection that lies between two rotation angles into slices, and give each as a Gaussian.

    Given :math:`\varepsilon_3`, a spot lies at :math:`g\,\varepsilon_3` with :math:`g = C_{k3} / C_{33}` and has the
    covariance :math:`C_{kl} - g_k g_l C_{33}`. Within a slice :math:`\varepsilon_3` is a truncated normal variate; its
    mean moves the slice, its variance widens it.

    Parameters
    ----------
    covariances : (n, 3, 3) float64
        As of :func:`compute_spot_covariances`, rad².
    edges : (n, 2) float64
        Beginning and end of the frame in e3, rad, from the reflection's middle, in any order.

    Returns
    -------
    Slices
        Of the reflections of which more than 1e-6 lies between the edges.
    """
    width = np.sqrt(covariances[:, 2, 2])
    # beyond six standard deviations nothing is left, and the moments would lose their digits
    limits = np.clip(np.sort(edges, axis=1) / width[:, None], -6.0, 6.0)
    rows = np.flatnonzero(np.diff(ndtr(limits), axis=1)[:, 0] > 1e-6)
    g = covariances[rows, :2, 2] / covariances[rows, 2, 2][:, None]
    rest = covariances[rows, :2, :2] - g[:, :, None] * g[:, None, :] * covariances[rows, 2, 2][:, None, None]
    tilt = np.linalg.norm(g, axis=1) * width[rows] / np.sqrt(np.linalg.eigvalsh(rest)[:, 0])
    span = np.diff(limits[rows], axis=1)[:, 0]
    # a slice as deep as makes the spot move by 0.7 of its own width at most
    wanted = np.where(tilt > _LEAST_TILT, np.ceil(span * np.maximum(tilt, 1.0) / 0.7), 1.0)
    count = np.clip(wanted, 1, _MOST_SLICES).astype(np.int64)
    which = np.repeat(np.arange(len(rows)), count)
    number = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    step = span[which] / count[which]
    low = limits[rows[which], 0] + number * step
    fraction, mean, variance = _truncate_normal(low, low + step)
    across = g[which] * width[rows[which]][:, None]
    return Slices(rows[which], fraction, across * mean[:, None],
                  rest[which] + across[:, :, None] * across[:, None, :] * variance[:, None, None])


def _get_etas(options: SimulationOptions) -> tuple[float, ...]:
    """Give the standard deviations of the mosaic rotations about three axes, degrees."""
    return options.eta_axes or (options.eta,) * 3


def _list_sources(experiment: Experiment, s1: np.ndarray, phi: np.ndarray, options: SimulationOptions
                  ) -> list[tuple[np.ndarray, np.ndarray]]:
    """List what one standard deviation of each source does: displacements (n, 3) of lattice point and of s0, 1/Å."""
    beam, goniometer = experiment.known.beam, experiment.known.goniometer
    s0, none = np.asarray(beam.s0), np.zeros_like(s1)
    r = s1 - s0
    sources = []
    turn = Rotation.from_rotvec(phi[:, None] * goniometer.rotation_axis_datum).as_matrix()
    frame = goniometer.S @ turn @ goniometer.F @ experiment.known.crystal.U
    for k, eta in enumerate(np.deg2rad(_get_etas(options))):
        sources.append((eta * np.cross(frame[:, :, k], r), none))
    sources.extend((options.point_size * np.broadcast_to(axis, s1.shape), none) for axis in np.eye(3))
    # a longer wavelength is a shorter wave vector
    sources.append((none, np.broadcast_to(-options.bandwidth * s0, s1.shape)))
    across = np.linalg.svd(s0[None])[2][1:]
    size = np.deg2rad(options.divergence) * np.linalg.norm(s0)
    sources.extend((none, np.broadcast_to(size * axis, s1.shape)) for axis in across)
    return [source for source in sources if any(np.any(part) for part in source)]


def _compute_response(experiment: Experiment, s1: np.ndarray, point: np.ndarray, incident: np.ndarray) -> np.ndarray:
    """Compute the angles (n, 3) by which displacements of lattice point and s0 move reflections."""
    s0, axis = np.asarray(experiment.known.beam.s0), experiment.known.goniometer.rotation_axis_lab
    r, normal = s1 - s0, np.cross(s1, s0)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    wavelength = experiment.known.beam.wavelength
    e1 = normal / length
    e2 = np.cross(wavelength * s1, e1)
    e3 = -((s1 * point).sum(axis=1) + (r * incident).sum(axis=1)) / length[:, 0]
    further = e3 / (normal @ axis) * length[:, 0]
    moved = wavelength * (incident + point + further[:, None] * np.cross(axis, r))
    return np.stack([(e1 * moved).sum(axis=1), (e2 * moved).sum(axis=1), e3], axis=1)


def _truncate_normal(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the probability, mean and variance of a standard normal variate between limits."""
    fraction = ndtr(high) - ndtr(low)
    safe = np.maximum(fraction, 1e-300)
    at_low, at_high = (np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi) for x in (low, high))
    mean = np.clip((at_low - at_high) / safe, low, high)
    variance = 1.0 + (low * at_low - high * at_high) / safe - mean * mean
    # rounding: no variate within limits spreads more than one that is even, by its width, nor less than nothing
    return fraction, mean, np.clip(variance, 0.0, np.square(high - low) / 12.0)
