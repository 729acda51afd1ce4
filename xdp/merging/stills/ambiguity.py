"""Which of several possible indexings each lattice has: that in which its intensities agree with the other lattices.

The ways to index a lattice are the rotations of the lattice's metric (within a tolerance, so that accidental ones are
among them) that are none of the crystal's point group, and do not go over into each other by it.

1. Intensities are divided by the mean of their resolution and by the strength of their lattice.
2. From several random beginnings, each lattice takes the indexing that correlates best with all others, again and
   again; choices are soft at first. The beginning whose correlation ends highest is taken: as in Brehm & Diederichs
   the correlations of all pairs of lattices count, but as sums over the merged intensities, which takes time in
   proportion to the observations and not to the pairs.
3. Then each lattice is compared with all others by a likelihood, and has a probability for each of its indexings. The
   error in proportion to the intensity that goes into it is the most likely one of the run's, so that lattices are
   not surer than their errors allow.

If the crystals are twins with nearly equal parts, or if the operation is one of the crystal's after all, the choices
explain the intensities no better than merging them all does, and all lattices are left as they are.

References
----------
W. Brehm & K. Diederichs, Acta Cryst. D70, 101 (2014), doi:10.1107/S1399004713025431; H. Liu & J. C. H. Spence, IUCrJ
1, 393 (2014), doi:10.1107/S2052252514020314 (choices by expectation and maximisation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from xdp.indexing.lattice.symmetry import find_primitive_change
from xdp.integration.partiality.reference import ReferenceIntensities, combine_with_shells
from xdp.intensities.lattice import describe_rotation, find_lattice_group
from xdp.merging.stills.full import LatticeGroups
from xdp.merging.stills.observations import StillObservations
from xdp.merging.unique import find_unique, list_rotations
from xdp.space_groups import AnySpaceGroup

_STARTS = 8
"""Random beginnings; with two indexings nearly each ends at the right place."""
_SOFT = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Sharpness of the choices, rising; each is used for :data:`_REPEATS` rounds."""
_REPEATS = 4
_ROUNDS = 12
"""Of choices by likelihood; they end when none changes."""
_ERRORS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.1)
"""Relative errors that are tried."""
_STRAY = 0.05
"""Part of the observations that may be anything."""
_KNOWN = 0.5
"""Relative variance above which what others say of a reflection tells nothing."""
_LARGEST = 8.0
"""Intensity in terms of its shell's mean beyond which it is cut for correlations: one of 3,000 is larger by chance."""
_STEP = 0.15
"""Half of the relative distance of the sixteen levels of intensity: bridges the gaps between them."""
_LEAST_GAIN = 3.0
"""By so much must choices raise the log likelihood of a lattice, on the average: the odds of 0.95. Simulated sets of
five crystal forms have 15 to 60, twins of equal parts 0 to 1."""
CONFIDENT = 0.95
"""Probability from which an indexing counts as found."""


@dataclass(frozen=True)
class LatticeIndexing:
    """How each lattice is indexed.

    Attributes
    ----------
    operators : tuple of (3, 3) int arrays
        ``h @ operators[c]`` are the indices of choice c; the first one changes nothing.
    choice : (k,) int64
        Of each lattice.
    probability : (k,) float64
        That it is right, among all choices.
    agreement : (k,) float64
        Log likelihood of the lattice's agreement with all others, over that of unrelated intensities.
    error : float
        The relative error that was found.
    is_decided : bool
        False: no indexing agrees better than the others, and all lattices are left as they are.
    """

    operators: tuple[np.ndarray, ...]
    choice: np.ndarray
    probability: np.ndarray
    agreement: np.ndarray
    error: float
    is_decided: bool

    @property
    def turns(self) -> np.ndarray:
        """The change of indices of each lattice, (k, 3, 3)."""
        return np.asarray(self.operators)[self.choice]


def list_indexings(axes: np.ndarray, group: AnySpaceGroup, max_delta: float = 2.0) -> tuple[np.ndarray, ...]:
    """List the ways in which a lattice can be indexed.

    Parameters
    ----------
    axes : (3, 3) float64
        Rows a, b, c, Å.
    group : gemmi.SpaceGroup or UntabulatedGroup
    max_delta : float
        How far an axis may miss the lattice, degrees.

    Returns
    -------
    tuple of (3, 3) int64
        ``h @ R``; the identity is the first. Only it: there is no ambiguity.

    Examples
    --------
    >>> import gemmi
    >>> axes = np.diag([60.0, 60.0, 40.0])
    >>> [len(list_indexings(axes, gemmi.SpaceGroup(name))) for name in ("P 4", "P 4 2 2", "P 1")]
    [2, 1, 8]
    """
    lattice = find_lattice_group(axes, find_primitive_change(group), max_delta)
    # indices are rows here: they go to the primitive axes by the transposed matrix
    to_lattice = lattice.from_input.T
    own = {r.tobytes() for r in list_rotations(group)}
    rotations = []
    for rotation in lattice.rotations:
        turned = to_lattice @ rotation @ np.linalg.inv(to_lattice)
        # a rotation of the primitive lattice may not be one of a centred cell's axes
        if np.allclose(turned, np.rint(turned), atol=1e-6):
            rotations.append(np.rint(turned).astype(np.int64))
    point_group = [r for r in rotations if r.tobytes() in own]
    left = {r.tobytes(): r for r in rotations}
    choices = []
    for rotation in (np.eye(3, dtype=np.int64), *rotations):
        if rotation.tobytes() not in left:
            continue
        choices.append(rotation)
        # what the point group makes of it gives the same merged intensities
        for operation in point_group:
            left.pop(np.ascontiguousarray(rotation @ operation).tobytes(), None)
    return tuple(choices)


def describe_operator(operator: np.ndarray) -> str:
    """Describe a change of indices: ``2-fold along 1,1,0``."""
    order, axis = describe_rotation(operator)
    return "none" if order == 1 else f"{order}-fold along {','.join(map(str, axis))}"


class _Choices:
    """All lattices in all indexings: one row for each observation and choice."""

    def __init__(self, seen: StillObservations, group: AnySpaceGroup, operators: Sequence[np.ndarray],
                 strength: np.ndarray, n_lattices: int) -> None:
        n, c = len(seen), len(operators)
        self.n_lattices, self.n_choices = n_lattices, c
        # all choices stand one below the other, so that a sum over cells is one call
        hkl = np.concatenate([seen.hkl @ operator for operator in operators])
        unique = find_unique(group, hkl)
        self.hkl, self.lattice, self.choice = unique.hkl, np.tile(seen.lattice, c), np.repeat(np.arange(c), n)
        self.cell = self.lattice * c + self.choice
        self.groups = LatticeGroups.make(unique.group, self.lattice, len(unique))
        scale = np.tile(strength * seen.partiality, c)
        self.x = np.tile(seen.value, c) / scale
        noise = np.tile(seen.background, c) / scale**2 + np.tile(seen.counting, c) / scale
        self.noise, self.partial = noise, np.tile(seen.relative, c)

    def sum_cells(self, values: np.ndarray) -> np.ndarray:
        """Sum over the observations of each lattice and choice, (n_lattices, n_choices)."""
        return np.bincount(self.cell, values, self.n_lattices * self.n_choices).reshape(-1, self.n_choices)

    def compare_others(self, q: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances of what other lattices, in their choices q, say of each row."""
        # an observation counts in each choice by the probability of that
        part = weight * q.reshape(-1)[self.cell]
        _, total = self.groups.sum_all_and_others(part)
        _, sums = self.groups.sum_all_and_others(part * self.x)
        # what is left after the own lattice is taken out may be rounding
        known = total > 1e-6 * weight
        safe = np.where(known, total, 1.0)
        return np.where(known, sums / safe, 0.0), np.where(known, 1.0 / safe, np.inf)


def find_indexing(seen: StillObservations, group: AnySpaceGroup, a_star_metric: np.ndarray,
                  operators: Sequence[np.ndarray], n_lattices: int, *, reference: ReferenceIntensities | None = None,
                  seed: int = 0) -> LatticeIndexing:
    """Find how each lattice is indexed.

    Parameters
    ----------
    seen : StillObservations
    group : gemmi.SpaceGroup or UntabulatedGroup
    a_star_metric : (3, 3) float64
        1/Å².
    operators : sequence of (3, 3) int
        Of :func:`list_indexings`.
    n_lattices : int
    reference : ReferenceIntensities, optional
        All lattices are to agree with it.
    seed : int
        Of the beginnings.

    Returns
    -------
    LatticeIndexing
    """
    strength = normalise_lattices(seen, group, a_star_metric, n_lattices)
    rows = _Choices(seen, group, operators, strength, n_lattices)
    known = None if reference is None else _normalise_reference(rows, reference)
    q = _begin(rows, seed) if known is None else np.full((n_lattices, len(operators)), 1.0 / len(operators))
    scores, error = _iterate(rows, q, known)
    if known is None:
        scores = _anchor(scores, operators, group)
    probability = softmax(scores, axis=1)
    choice = scores.argmax(axis=1)
    sure = probability.max(axis=1) > CONFIDENT
    there = np.bincount(seen.lattice, minlength=n_lattices) > 0
    is_decided = len(operators) == 1 or bool(sure[there].mean() > 0.5)
    if known is None and len(operators) > 1:
        # choices can be fitted to noise, and lattices seem sure then: all of them together must do better than none
        gain = scores.max(axis=1)[there].mean() - _score_without_choice(rows, error)[there].mean()
        is_decided &= bool(gain > _LEAST_GAIN)
    if not is_decided:
        choice = np.zeros(n_lattices, np.int64)
    at = np.arange(n_lattices), choice
    return LatticeIndexing(tuple(operators), choice, probability[at], scores[at], error, is_decided)


def normalise_lattices(seen: StillObservations, group: AnySpaceGroup, a_star_metric: np.ndarray, n_lattices: int
                       ) -> np.ndarray:
    """Find the mean full intensity that is expected of each observation: by its resolution and its lattice.

    Parameters
    ----------
    seen : StillObservations
    group : gemmi.SpaceGroup or UntabulatedGroup
    a_star_metric : (3, 3) float64
    n_lattices : int

    Returns
    -------
    (n,) float64
        Above 0.
    """
    level = np.ones(n_lattices)
    shell = np.ones(len(seen))
    for _ in range(3):
        full = seen.value / (seen.partiality * level[seen.lattice])
        weight = seen.partiality**2 * level[seen.lattice] ** 2 / np.maximum(seen.background, 1e-12)
        shells = ReferenceIntensities.build(group, a_star_metric, seen.hkl, full, 1.0 / weight)
        shell = shells.compute_shell_means(seen.hkl)
        sums = np.bincount(seen.lattice, seen.value, n_lattices)
        expected = np.bincount(seen.lattice, seen.partiality * shell, n_lattices)
        # a lattice whose sum is not above 0 still has a level
        level = np.maximum(sums, 0.01 * expected) / np.maximum(expected, 1e-300)
        level = np.where(expected > 0.0, level, 1.0)
    return shell * level[seen.lattice]


def _normalise_reference(rows: _Choices, reference: ReferenceIntensities) -> tuple[np.ndarray, np.ndarray]:
    """What a reference says of each row, in terms of its shells' means."""
    hkl = rows.hkl[rows.groups.row]
    shell = reference.compute_shell_means(hkl)
    place, found = reference.find_rows(hkl)
    mean = np.where(found, reference.mean[place] / shell, 0.0)
    return mean, np.where(found, reference.variance[place] / shell**2, np.inf)


def _begin(rows: _Choices, seed: int) -> np.ndarray:
    """Choices by correlation, from the best of several random beginnings."""
    n, c = rows.n_lattices, rows.n_choices
    if c == 1:
        return np.ones((n, 1))
    rng = np.random.default_rng(seed)
    weight = 1.0 / (rows.noise + rows.partial + 0.3**2)
    x = np.clip(rows.x, -2.0, _LARGEST) - 1.0
    best, result = -np.inf, np.full((n, c), 1.0 / c)
    for _ in range(_STARTS):
        # hard choices break the symmetry; from equal ones nothing would move
        q = np.eye(c)[rng.integers(0, c, n)]
        total = 0.0
        for sharpness in np.repeat(_SOFT, _REPEATS):
            part = weight * q.reshape(-1)[rows.cell]
            _, sums = rows.groups.sum_all_and_others(part * x)
            _, norms = rows.groups.sum_all_and_others(part)
            # the mean of others is drawn to 1 where they say little
            score = rows.sum_cells(weight * x * sums / (norms + 1.0))
            spread = np.sqrt(rows.sum_cells(np.square(weight * x * sums / (norms + 1.0))).mean(axis=1))[:, None]
            # in standard deviations, so that strong lattices do not freeze first
            score = score / np.maximum(spread, 1e-12)
            q = softmax(sharpness * score, axis=1)
            total = float((q * score).sum())
        if total > best:
            best, result = total, q
    return result


def _iterate(rows: _Choices, q: np.ndarray, known: tuple[np.ndarray, np.ndarray] | None) -> tuple[np.ndarray, float]:
    """Choices by likelihood until none changes; the log likelihood ratios (k, c) and the relative error."""
    error = 0.4
    scores = np.zeros_like(q)
    for i in range(_ROUNDS):
        weight = 1.0 / (rows.noise + rows.partial + error**2)
        mean, variance = rows.compare_others(q, weight) if known is None else known
        own = q.reshape(-1)[rows.cell]
        totals = [float((own * compare_with_others(rows.x, rows.noise, mean, variance, rows.partial + e**2)).sum())
                  for e in _ERRORS]
        # too small an error would make lattices surer than they are
        error = _ERRORS[int(np.argmax(totals))]
        ratio = compare_with_others(rows.x, rows.noise, mean, variance, rows.partial + error**2)
        scores = rows.sum_cells(ratio)
        new = softmax(scores, axis=1)
        is_settled = np.array_equal(new.argmax(axis=1), q.argmax(axis=1)) and np.abs(new - q).max() < 0.01
        q = new
        if is_settled and i:
            break
    return scores, error


def _score_without_choice(rows: _Choices, error: float) -> np.ndarray:
    """Log likelihood ratios (k,) where the operations are taken for the crystal's own: with all choices merged."""
    q = np.full((rows.n_lattices, rows.n_choices), 1.0 / rows.n_choices)
    mean, variance = rows.compare_others(q, 1.0 / (rows.noise + rows.partial + error**2))
    found = [rows.sum_cells(compare_with_others(rows.x, rows.noise, mean, variance, rows.partial + e**2))[:, 0]
             for e in _ERRORS]
    return max(found, key=lambda scores: float(scores.sum()))


def compare_with_others(x: np.ndarray, noise: np.ndarray, mean: np.ndarray, variance: np.ndarray, relative: np.ndarray
                        ) -> np.ndarray:
    """Compare normalised intensities with what others say: log likelihood ratios of the same and of any intensity.

    Parameters
    ----------
    x : (n,) float64
        Intensities in terms of their shells' means.
    noise : (n,) float64
        Variances by counting.
    mean, variance : (n,) float64
        What others say, with its variance; infinite where they say nothing.
    relative : (n,) float64
        Variance in proportion to the square of the intensity.

    Returns
    -------
    (n,) float64
        0 where others say nothing; no less than the logarithm of 0.05.

    Examples
    --------
    >>> ones = np.ones(3)
    >>> ratio = compare_with_others(np.array([3.0, 0.1, 1.0]), 0.01 * ones, 3.0 * ones, np.array([0.1, 0.1, np.inf]),
    ...                             0.04 * ones)
    >>> ratio.round(1).tolist()
    [2.4, -3.0, 0.0]
    """
    expected, spread = combine_with_shells(mean, variance, np.ones(len(x)))
    known = spread < _KNOWN
    total = noise + (np.where(known, spread, 0.0) + relative) * expected**2
    same = np.exp(-0.5 * np.square(x - expected) / total) / np.sqrt(2.0 * np.pi * total)
    chance = draw_density(x, noise, relative)
    return np.where(known, np.log((1.0 - _STRAY) * same / chance + _STRAY), 0.0)


def draw_density(x: np.ndarray, noise: np.ndarray, relative: np.ndarray) -> np.ndarray:
    """Compute the density of measured intensities whose true ones are Wilson's, an exponential of mean 1.

    Parameters
    ----------
    x, noise, relative : (n,) float64
        As of :func:`compare_with_others`.

    Returns
    -------
    (n,) float64
        By the midpoints of sixteen equally likely intensities; at least 1e-6.
    """
    levels = -np.log1p(-(np.arange(16) + 0.5) / 16.0)
    density = np.zeros(len(x))
    for level in levels:
        variance = noise + relative * level**2 + _STEP**2 * max(level, 0.3) ** 2
        density += np.exp(-0.5 * np.square(x - level) / variance) / np.sqrt(2.0 * np.pi * variance)
    return np.maximum(density / len(levels), 1e-6)


def _anchor(scores: np.ndarray, operators: Sequence[np.ndarray], group: AnySpaceGroup) -> np.ndarray:
    """Change all lattices together so that the most common choice is to leave a lattice as it is.

    Choices c become those c' with R_c' = R_c R_f^-1 (times a rotation of the point group), where f is the most common
    one. That is the same set of merged intensities on other axes, if R_f keeps the point group.
    """
    first = int(np.bincount(scores.argmax(axis=1), minlength=len(operators)).argmax())
    if first == 0:
        return scores
    own = list_rotations(group)
    keys = {r.tobytes() for r in own}
    back = np.rint(np.linalg.inv(operators[first])).astype(np.int64)
    if any(np.ascontiguousarray(operators[first] @ r @ back).tobytes() not in keys for r in own):
        return scores
    place = []
    for operator in operators:
        moved = operator @ back
        place.append(next(c for c, other in enumerate(operators)
                          if any(np.array_equal(moved @ r, other) for r in own)))
    out = np.empty_like(scores)
    out[:, place] = scores
    return out
