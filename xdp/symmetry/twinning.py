"""Whether a crystal is a twin, from the spread of intensities: the L test as a likelihood of the twin fraction.

Neighbours in reciprocal space that no rotation relates are compared, so that the mean intensity hardly matters. For
L = (I1 - I2) / (I1 + I2) all values are equally likely without a twin; in a twin each I is a weighted sum of two
independent intensities, and small |L| are more frequent.

References
----------
Padilla & Yeates (2003). Acta Cryst. D59, 1124-1130, doi:10.1107/S0907444903007947.
"""

from __future__ import annotations

import numpy as np

from xdp.intensities.hypotheses import FRACTIONS, draw_sums
from xdp.intensities.normalised import pack_indices
from xdp.intensities.pairs import GeneralReflections, IntensityPairs, choose_best, make_pairs

#: Twin fractions for which there is a likelihood.
ALL_FRACTIONS = np.array([0.0, *FRACTIONS, 0.5])
_STEPS = np.array([[2, 0, 0], [0, 2, 0], [0, 0, 2]])
"""To neighbours: even steps stay within the same class of most pseudo-translations, as in the paper."""
_SIGNIFICANT = 3.0
"""Sum over sigma of pairs that are used: below that L is error only."""
_MOST_PAIRS = 6000
_ERROR = 0.05
"""Error that is proportional to intensities. A choice; the test hardly depends on it."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_FLOOR = 0.01
"""Density that errors of no kind account for: outliers."""


def pair_neighbours(general: GeneralReflections) -> IntensityPairs:
    """Pair reflections with neighbours two steps away along an axis.

    Parameters
    ----------
    general : GeneralReflections

    Returns
    -------
    IntensityPairs
        One of all pairs that the lattice's rotations relate, so that a symmetry does not count them many times.
    """
    data = general.data
    first, second = [], []
    for step in _STEPS:
        near, _ = pack_indices(data.hkl + step)
        place = np.minimum(np.searchsorted(data.key, near), max(len(data) - 1, 0))
        i = np.flatnonzero(data.key[place] == near)
        first.append(i)
        second.append(place[i])
    i, j = np.concatenate(first), np.concatenate(second)
    one, two = general.orbit[i], general.orbit[j]
    # orbits are keys of indices: numbered first, so that a pair of them is one whole number
    number = np.unique(np.concatenate([one, two]), return_inverse=True)[1].ravel()
    first_number, second_number = np.split(number, 2)
    _, rows = np.unique(np.minimum(first_number, second_number) * (len(number) + 1)
                        + np.maximum(first_number, second_number), return_index=True)
    rows = rows[one[rows] != two[rows]]
    pairs = make_pairs(data, i[rows], j[rows])
    return choose_best(pairs.select(pairs.total > _SIGNIFICANT * pairs.sigma), _MOST_PAIRS)


def score_twin_fractions(pairs: IntensityPairs) -> np.ndarray:
    """Find the log likelihood of each twin fraction.

    Parameters
    ----------
    pairs : IntensityPairs
        Of :func:`pair_neighbours`.

    Returns
    -------
    (n_fractions,) float64
        For each of `ALL_FRACTIONS`.
    """
    total, true = _draw_ratios(pairs)
    return np.array([_score_density(density_of_neighbours(true, total, float(fraction)), total)
                     for fraction in ALL_FRACTIONS])


def compare_centric(pairs: IntensityPairs) -> float:
    """Compare the spread of centric intensities with that of acentric ones.

    Two centric intensities are the squares of the coordinates of a point in a plane, all of whose directions are
    equally likely: L is the cosine of a uniform angle.

    Parameters
    ----------
    pairs : IntensityPairs
        Of :func:`pair_neighbours`.

    Returns
    -------
    float
        The log likelihood of centric intensities less that of acentric ones.
    """
    total, true = _draw_ratios(pairs)
    inside = np.abs(true) < 1.0
    # within a thousandth of the ends the density is infinite, and errors are larger
    arcsine = np.where(inside, 1.0 / (np.pi * np.sqrt(np.maximum(1.0 - true * true, 1e-3))), 0.0)
    return _score_density(arcsine, total) - _score_density(density_of_neighbours(true, total, 0.0), total)


def _draw_ratios(pairs: IntensityPairs) -> tuple[np.ndarray, np.ndarray]:
    """Likely sums (n, 3, 1), and what L may truly be for each of them (n, 3, n_nodes)."""
    # of sums that are chosen as large many are too large by their errors: taken as true they would look like a twin
    total = draw_sums(pairs)[:, :, None]
    noise = pairs.background[:, None, None] + pairs.counting[:, None, None] * 0.5 * total
    sigma = np.sqrt(noise + 0.5 * np.square(_ERROR * total))
    return total, (pairs.difference[:, None, None] + sigma * _NODES) / total


def _score_density(density: np.ndarray, total: np.ndarray) -> float:
    """The log likelihood of the differences, from the density of L at its nodes."""
    mean = density @ (_WEIGHTS / _WEIGHTS.sum()) / total[:, :, 0]
    floor = 0.5 * _FLOOR / total[:, :, 0]
    return float(np.sum(np.log(((1.0 - _FLOOR) * mean + floor).mean(axis=1))))


def density_of_neighbours(u: np.ndarray, total: np.ndarray, fraction: float) -> np.ndarray:
    """Give the density of L for two unrelated intensities of a twin.

    Parameters
    ----------
    u : array
        L, (I1 - I2) / (I1 + I2).
    total : array
        I1 + I2 in terms of the mean intensity.
    fraction : float
        The twin fraction, 0 to 0.5.

    Returns
    -------
    array
        0 beyond -1 and 1.

    Examples
    --------
    >>> density_of_neighbours(np.array([0.0, 2.0]), np.array([2.0, 2.0]), 0.5).tolist()
    [0.75, 0.0]
    """
    inside = np.abs(u) <= 1.0
    if fraction <= 0.0:
        return np.where(inside, 0.5, 0.0)
    # each I has the density exp(-I/(1-alpha)) - exp(-I/alpha), times a constant
    k = 0.5 * (1.0 / fraction - 1.0 / (1.0 - fraction)) * total
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        shape = 1.0 + np.exp(-2.0 * k) - np.exp(-k * (1.0 - u)) - np.exp(-k * (1.0 + u))
        whole = 2.0 * (1.0 + np.exp(-2.0 * k)) - 2.0 * (1.0 - np.exp(-2.0 * k)) / k
        # both vanish as k^2 for equal parts
        density = np.where(k > 0.02, shape / whole, 0.75 * (1.0 - u * u))
    return np.where(inside, np.maximum(density, 0.0), 0.0)
