"""Twins of two parts: the rotations that may relate the parts, and the fraction of the smaller one.

A twin mixes intensities that the lattice's symmetry relates and the crystal's does not: ``I1 = (1 - a) J1 + a J2`` and
``I2 = a J1 + (1 - a) J2``. Then differences shrink: ``<(I1 - I2)²> / <(I1 + I2)²> = (1 - 2a)² / 3`` for acentric
reflections. Pseudosymmetry shrinks them as well; the L test, which needs no rotation, tells the two apart.

References
----------
Yeates (1988). Acta Cryst. A44, 142-144, doi:10.1107/S0108767387009632: H test.
Yeates (1997). Methods Enzymol. 276, 344-358, doi:10.1016/S0076-6879(97)76068-3.
"""

from __future__ import annotations

import numpy as np

from xdp.intensities.lattice import LatticeGroup
from xdp.intensities.pairs import IntensityPairs

_RESAMPLES = 100  # of the bootstrap: 7 % of error of the error


def list_twin_laws(lattice: LatticeGroup, group: tuple[int, ...]) -> list[tuple[int, ...]]:
    """List the laws of twins of two parts that a lattice allows.

    The parts of such a twin are exchanged by any of the rotations of a law. These form, with the group, one of twice
    as many rotations.

    Parameters
    ----------
    lattice : LatticeGroup
    group : tuple of int
        Numbers of the rotations that the crystal has.

    Returns
    -------
    list of tuple of int
        Of each law the numbers of all its rotations.

    Examples
    --------
    >>> from xdp.intensities.lattice import find_lattice_group
    >>> lattice = find_lattice_group(np.diag([10.0, 11.0, 12.0]), np.eye(3))
    >>> list_twin_laws(lattice, (0, 1))
    [(2, 3)]
    """
    # a subgroup of half the size is normal, so that all other rotations do the same to the intensities
    mine = set(group)
    return [tuple(r for r in larger if r not in mine) for larger in lattice.subgroups
            if len(larger) == 2 * len(group) and mine <= set(larger)]


def estimate_twin_fraction(pairs: IntensityPairs) -> tuple[float, float]:
    """Estimate the twin fraction by the moments of the H test, with errors of measurement taken out.

    Parameters
    ----------
    pairs : IntensityPairs
        Acentric reflections that a twin law relates.

    Returns
    -------
    fraction, error : float
        0 to 0.5; the error is that of a bootstrap.

    Examples
    --------
    >>> J, K = np.random.default_rng(1).exponential(size=(2, 5000))
    >>> first, second, none = 0.7 * J + 0.3 * K, 0.3 * J + 0.7 * K, np.zeros(5000)
    >>> [round(v, 2) for v in estimate_twin_fraction(IntensityPairs(first + second, first - second, none, none))]
    [0.3, 0.0]
    """
    # the variances of sum and difference are the same, whatever the intensities
    noise = pairs.background + pairs.counting
    difference, total = np.square(pairs.difference) - noise, np.square(pairs.total) - noise
    rng = np.random.default_rng(0)  # the same error each time
    # pairs are drawn again with repetition: no distribution is assumed
    draws = rng.integers(len(pairs), size=(_RESAMPLES, len(pairs)))
    error = float(np.std([_solve_fraction(difference[d].mean(), total[d].mean()) for d in draws]))
    return _solve_fraction(difference.mean(), total.mean()), error


def _solve_fraction(difference: float, total: float) -> float:
    """The fraction from <(I1 - I2)²> and <(I1 + I2)²>: the ratio is (1 - 2a)² / 3."""
    return 0.5 * (1.0 - float(np.sqrt(np.clip(3.0 * difference / total, 0.0, 1.0)))) if total > 0.0 else float("nan")
