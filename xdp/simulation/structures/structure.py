"""Random structures: intensities that obey a space group and Wilson's statistics."""

from __future__ import annotations

import numpy as np

from xdp.experiment.crystal import Crystal

_OFFSET = 1 << 20
"""Added to each index, so that it is positive and three of them fit into the 63 bits of a whole number."""


def draw_intensities(crystal: Crystal, indices: np.ndarray, *, wilson_b: float, seed: int) -> np.ndarray:
    r"""Draw random intensities of mean one, equal for equivalent reflections, falling off with resolution.

    Acentric intensities are exponentially distributed, centric ones as the square of a normal variate, both times the
    multiplicity epsilon (Wilson 1949). Each comes from a hash of its asymmetric-unit index and the seed: it depends on
    nothing else, so that two simulations of one structure agree wherever they overlap. Friedel mates are equal.

    Parameters
    ----------
    crystal
        Gives cell and symmetry.
    indices
        Shape (n, 3).
    wilson_b
        Å²; the factor is :math:`\exp(-2 B / (4 d^2))`.
    seed
        Which structure.

    Returns
    -------
    Shape (n,).

    References
    ----------
    Wilson, Acta Cryst. 2, 318 (1949), doi:10.1107/S0365110X49000813.
    """
    indices = np.ascontiguousarray(indices, np.int32)
    if not len(indices):
        return np.zeros(0)
    operations = crystal.space_group.operations()
    keys = _make_keys(map_to_asymmetric_unit(crystal, indices))
    first, second = _hash_to_uniform(keys, 2 * seed), _hash_to_uniform(keys, 2 * seed + 1)
    acentric = -np.log(first)
    centric = 2.0 * acentric * np.cos(2.0 * np.pi * second) ** 2  # Box and Muller's normal variate, squared.
    drawn = np.where(operations.centric_flag_array(indices), centric, acentric)
    q_squared = np.square(indices @ crystal.A.T).sum(axis=1)
    return drawn * operations.epsilon_factor_without_centering_array(indices) * np.exp(-0.5 * wilson_b * q_squared)


def map_to_asymmetric_unit(crystal: Crystal, indices: np.ndarray) -> np.ndarray:
    """Map each index to one representative of its equivalents and their Friedel mates.

    Parameters
    ----------
    crystal : Crystal
        Gives the space group.
    indices : (n, 3) int

    Returns
    -------
    (n, 3) int64
        The greatest in h, then k, then l.

    Examples
    --------
    >>> from xdp.simulation.models import make_crystal
    >>> map_to_asymmetric_unit(make_crystal(), np.array([[-1, 2, 3], [2, 1, -3]])).tolist()
    [[2, 1, 3], [2, 1, 3]]
    """
    best = np.asarray(indices, np.int64)
    for operation in crystal.space_group.operations().sym_ops:
        # An operation's rotation acts on indices as on rows.
        image = np.asarray(indices, np.int64) @ (np.array(operation.rot) // operation.DEN)
        for candidate in (image, -image):
            greater = _make_keys(candidate) > _make_keys(best)
            best = np.where(greater[:, None], candidate, best)
    return best


def _make_keys(indices: np.ndarray) -> np.ndarray:
    """Make one whole number of each index, in the order of h, k, l."""
    shifted = np.asarray(indices, np.int64) + _OFFSET
    return (shifted[:, 0] << 42) + (shifted[:, 1] << 21) + shifted[:, 2]


def _hash_to_uniform(keys: np.ndarray, seed: int) -> np.ndarray:
    """Hash each key to a number in (0, 1): the finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    with np.errstate(over="ignore"):
        z = keys.astype(np.uint64) + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
