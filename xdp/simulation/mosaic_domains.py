r"""What a still records of each reflection, summed over single mosaic domains and wavelengths: true partialities.

Each domain is turned by a rotation vector of normal components and diffracts its point h, smeared by the domain's size,
in proportion to :math:`\exp\left(-\varepsilon^2 / (2 a^2)\right)`, where :math:`\varepsilon` is the distance of its
point from the Ewald sphere of one wavelength. The partiality is the mean over domains and wavelengths. No formula for
the sum is used, so that models of partiality can be compared with it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.crystal import Crystal


class DomainOptions(NamedTuple):
    """Domains and wavelengths.

    Attributes
    ----------
    point_size : float
        a: standard deviation of a domain's lattice point in each direction, 1/Å.
    eta : float
        Standard deviation of the rotation about each axis, degrees.
    bandwidth : float
        Standard deviation of the wavelength, as a fraction of it: a top hat, as wide as that makes it.
    n_domains, n_wavelengths : int
        How many are drawn.
    seed : int
        Of the rotations.
    """

    point_size: float
    eta: float
    bandwidth: float = 0.0
    n_domains: int = 512
    n_wavelengths: int = 7
    seed: int = 0


class DomainSum(NamedTuple):
    """What all domains record together.

    Attributes
    ----------
    partiality : (n,) float64
        Mean over domains and wavelengths, from 0 to 1.
    ray : (n, 3) float64
        Mean ray of the domains, weighted with what they record; as long as s0.
    """

    partiality: np.ndarray
    ray: np.ndarray


def sum_domains(crystal: Crystal, beam: Beam, hkl: np.ndarray, options: DomainOptions) -> DomainSum:
    """Sum what the domains of a crystal at rest record.

    Parameters
    ----------
    crystal : Crystal
    beam : Beam
    hkl : (n, 3) int
        Miller indices.
    options : DomainOptions

    Returns
    -------
    DomainSum

    Examples
    --------
    A single domain records all of a point on the sphere:

    >>> from xdp.simulation import make_beam, make_crystal
    >>> found = sum_domains(make_crystal(), make_beam(), np.array([[0, 0, 0]]), DomainOptions(1e-4, 0.0, n_domains=1))
    >>> found.partiality.tolist()
    [1.0]
    """
    q = np.asarray(hkl) @ crystal.A.T
    rotations = np.deg2rad(options.eta) * np.random.default_rng(options.seed).normal(size=(options.n_domains, 3))
    # the antithetic halves make the mean rotation exactly 0: the crystal is oriented as its A says
    rotations[options.n_domains // 2:2 * (options.n_domains // 2)] = -rotations[:options.n_domains // 2]
    half = options.bandwidth * np.sqrt(3.0)
    # middles of equal parts of the top hat
    shifts = half * ((np.arange(options.n_wavelengths) + 0.5) / options.n_wavelengths * 2.0 - 1.0)
    total, ray = np.zeros(len(q)), np.zeros((len(q), 3))
    for shift in shifts if half > 0.0 else [0.0]:
        s0 = np.asarray(beam.s0) / (1.0 + shift)
        s2 = q + s0
        length = np.linalg.norm(s2, axis=1)
        unit = s2 / length[:, None]
        # to first order: (w x q) . u = w . (q x u)
        epsilon = (length - np.linalg.norm(s0))[:, None] + np.cross(q, unit) @ rotations.T
        part = np.exp(-0.5 * (epsilon / options.point_size) ** 2)
        turn = part @ rotations
        total += part.sum(axis=1)
        ray += part.sum(axis=1)[:, None] * unit + np.cross(turn, q) / length[:, None]
    count = options.n_domains * (len(shifts) if half > 0.0 else 1)
    ray *= np.linalg.norm(beam.s0) / np.maximum(np.linalg.norm(ray, axis=1, keepdims=True), 1e-300)
    return DomainSum(total / count, ray)
