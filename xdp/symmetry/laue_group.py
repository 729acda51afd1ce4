"""The probability of each group of a lattice's rotations to be that of the intensities.

For a group G the rotations in G are symmetry; those that are not are chance, near-symmetry, or the law of a twin of two
parts. Likelihoods of differences under these come from `hypotheses.py`, those of the twin fraction from `twinning.py`,
and what is not known (correlations, twin fraction, the error of scales) is summed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from xdp.intensities.hypotheses import CORRELATION_PRIOR, ERROR_PRIOR, FRACTIONS, score_pairs
from xdp.intensities.lattice import LatticeGroup, describe_rotation
from xdp.intensities.pairs import (
    GeneralReflections,
    IntensityPairs,
    choose_best,
    estimate_correlation,
    join_pairs,
    pair_by_rotation,
    pair_repeats,
)
from xdp.intensities.twin_laws import list_twin_laws
from xdp.symmetry.twinning import ALL_FRACTIONS, pair_neighbours, score_twin_fractions

_MOST_PAIRS = 1500
"""For each rotation; a choice: so many decide by hundreds of units of log likelihood."""
TWIN_PRIOR = 0.1
"""That a crystal is a twin, where its lattice allows one. Some percent of published structures are."""
_PERFECT = 0.5
"""Part of the twins whose fraction is 0.5, before the data are seen. A choice that makes a group whose symmetry a
perfect twin would explain as well stay below 0.95 unless the spread of intensities speaks."""
_COINCIDENCE = 0.1
"""How much less likely a group is for each step by which its crystal system is below the lattice's: lattices have
higher symmetry than needed by chance only. A choice."""


@dataclass(frozen=True)
class RotationScore:
    """How a rotation of the lattice relates intensities.

    Attributes
    ----------
    order : int
    axis : (int, int, int)
        On the primitive axes.
    n_pairs : int
    correlation, error : float
        Of intensities, without the errors of measurement.
    symmetric : (n_errors,) float64
        Log likelihoods, as :func:`xdp.intensities.hypotheses.score_pairs` gives them.
    correlated : (n_correlations, n_errors) float64
    twinned : (n_fractions, n_errors) float64
    """

    order: int
    axis: tuple[int, int, int]
    n_pairs: int
    correlation: float
    error: float
    symmetric: np.ndarray
    correlated: np.ndarray
    twinned: np.ndarray


@dataclass(frozen=True)
class GroupPosterior:
    """The probability of each group.

    Attributes
    ----------
    groups : tuple of tuple of int
        Numbers of rotations, as `LatticeGroup.subgroups`.
    probability : (n,) float64
    twin : (n, n_fractions) float64
        Probability of each group together with each of the twin fractions `ALL_FRACTIONS`.
    scores : tuple of RotationScore
        In the order of the lattice's rotations; the first, the identity, is of repeated observations and mates.
    element : (n_rotations,) float64
        Probability that the rotation is a symmetry.
    """

    groups: tuple[tuple[int, ...], ...]
    probability: np.ndarray
    twin: np.ndarray
    scores: tuple[RotationScore, ...]
    element: np.ndarray

    @property
    def twin_fraction(self) -> tuple[float, float]:
        """The probability that the crystal is a twin, and the mean of its fraction if it is."""
        each = self.twin.sum(axis=0)
        whole = float(each[1:].sum())
        return whole, float(each[1:] @ ALL_FRACTIONS[1:]) / whole if whole > 0.0 else 0.0

    def list_likely(self, level: float) -> list[tuple[int, ...]]:
        """List the most likely groups whose probabilities add up to a level.

        Parameters
        ----------
        level : float

        Returns
        -------
        list of tuple of int
            Most likely first.
        """
        # ties keep the order of the groups
        order = np.argsort(-self.probability, kind="stable")
        n = int(np.searchsorted(np.cumsum(self.probability[order]), level)) + 1
        return [self.groups[k] for k in order[:n]]


@dataclass(frozen=True)
class LatticePairs:
    """What the groups of a lattice are judged by, of one data set or of many.

    Attributes
    ----------
    repeats : IntensityPairs
        Observations of one reflection, or of mates.
    rotated : tuple of IntensityPairs
        For each rotation of the lattice, the identity included, the pairs that it relates.
    neighbours : IntensityPairs
        Unrelated reflections for the L test.
    members : float
        Measured reflections of an orbit, as `GeneralReflections.mean_members`; the mean over data sets.
    n_sets : int
        Data sets.
    """

    repeats: IntensityPairs
    rotated: tuple[IntensityPairs, ...]
    neighbours: IntensityPairs
    members: float
    n_sets: int = 1


def gather_pairs(parts: Sequence[GeneralReflections], lattice: LatticeGroup) -> LatticePairs:
    """Pair the reflections of data sets, each within its set.

    Parameters
    ----------
    parts : sequence of GeneralReflections
        One for each data set, all on the axes of the lattice.
    lattice : LatticeGroup

    Returns
    -------
    LatticePairs
    """
    # observations of one reflection tell the errors, whatever the symmetry
    repeats = join_pairs([pair_repeats(part.data) for part in parts])
    rotated: dict[bytes, IntensityPairs] = {lattice.rotations[0].tobytes(): repeats}
    for k, rotation in enumerate(lattice.rotations):
        back = lattice.rotations[int(np.flatnonzero(lattice.product[k] == 0)[0])]
        # a rotation and its inverse have the same pairs
        rotated[rotation.tobytes()] = rotated[back.tobytes()] if back.tobytes() in rotated else join_pairs(
            [pair_by_rotation(part, rotation) for part in parts])
    return LatticePairs(repeats, tuple(rotated[r.tobytes()] for r in lattice.rotations),
                        join_pairs([pair_neighbours(part) for part in parts]),
                        float(np.mean([part.mean_members for part in parts])), len(parts))


def join_lattice_pairs(parts: Iterable[LatticePairs]) -> LatticePairs:
    """Put the pairs of several groups of data sets together.

    Parameters
    ----------
    parts : iterable of LatticePairs
        Of one lattice.

    Returns
    -------
    LatticePairs
    """
    # results of tasks come one by one
    every = list(parts)
    n = np.array([part.n_sets for part in every])
    rotated: list[IntensityPairs] = []
    for k in range(len(every[0].rotated)):
        # a rotation and its inverse share theirs
        first = next((other for other in range(k) if every[0].rotated[other] is every[0].rotated[k]), None)
        rotated.append(join_pairs([part.rotated[k] for part in every]) if first is None else rotated[first])
    return LatticePairs(rotated[0], tuple(rotated), join_pairs([part.neighbours for part in every]),
                        float(np.dot(n, [part.members for part in every]) / n.sum()), int(n.sum()))


def score_rotations(pairs: LatticePairs, lattice: LatticeGroup) -> tuple[RotationScore, ...]:
    """Score each rotation of a lattice.

    Parameters
    ----------
    pairs : LatticePairs
    lattice : LatticeGroup

    Returns
    -------
    tuple of RotationScore
    """
    factor = _estimate_sigma_factor(pairs.repeats)
    scores: dict[int, RotationScore] = {}
    for rotation, found in zip(lattice.rotations, pairs.rotated, strict=True):
        if id(found) not in scores:
            likelihoods = score_pairs(choose_best(found, _MOST_PAIRS).scale_sigmas(factor))
            scores[id(found)] = RotationScore(*describe_rotation(rotation), len(found),
                                              *estimate_correlation(found.scale_sigmas(factor)), *likelihoods)
    return tuple(scores[id(found)] for found in pairs.rotated)


def _estimate_sigma_factor(repeats: IntensityPairs) -> float:
    """By how much sigmas are too small, from weak reflections that were measured twice."""
    if len(repeats) < 100:
        return 1.0
    weak = repeats.select(repeats.total < np.median(repeats.total))
    # the median of |x| of normal numbers is 0.6745 sigma
    found = float(np.median(np.abs(weak.difference) / weak.sigma)) / 0.6745
    return float(np.clip(found, 1.0, 2.0))


def weigh_groups(pairs: LatticePairs, lattice: LatticeGroup, scores: tuple[RotationScore, ...]) -> GroupPosterior:
    """Find the probability of each group.

    Parameters
    ----------
    pairs : LatticePairs
    lattice : LatticeGroup
    scores : tuple of RotationScore
        Of its rotations.

    Returns
    -------
    GroupPosterior
    """
    spread = score_twin_fractions(pairs.neighbours)
    # n equal intensities make n (n - 1) / 2 pairs, of which n - 1 are independent
    weight = 2.0 / max(pairs.members, 2.0)
    table = np.stack([_weigh_group(g, lattice, scores, spread, weight) for g in lattice.subgroups])
    table += _list_priors(lattice)[:, None, None]
    # the error of scales is the same whatever the group
    table += (np.log(ERROR_PRIOR) + scores[0].symmetric)[None, None, :]
    joint = logsumexp(table, axis=2)
    joint = np.exp(joint - logsumexp(joint))
    probability = joint.sum(axis=1)
    element = np.array([sum(p for g, p in zip(lattice.subgroups, probability, strict=True) if k in g)
                        for k in range(len(lattice.rotations))])
    return GroupPosterior(lattice.subgroups, probability, joint, scores, element)


def _weigh_group(group: tuple[int, ...], lattice: LatticeGroup, scores: tuple[RotationScore, ...], spread: np.ndarray,
                 weight: float) -> np.ndarray:
    """Log likelihoods (n_fractions, n_errors) of one group, without a twin in the first row."""
    inside = weight * sum((scores[r].symmetric for r in group if r), np.zeros(len(ERROR_PRIOR)))
    cosets = lattice.list_double_cosets(group)
    prior = np.log(CORRELATION_PRIOR)[:, None]
    # one correlation for all rotations that the group makes equivalent
    outside = {c: logsumexp(prior + weight * sum(scores[r].correlated for r in c), axis=0) for c in cosets}
    whole = sum(outside.values(), np.zeros(len(ERROR_PRIOR)))
    laws = list_twin_laws(lattice, group)
    table = np.full((len(ALL_FRACTIONS), len(ERROR_PRIOR)), -np.inf)
    table[0] = spread[0] + inside + whole + np.log(1.0 - TWIN_PRIOR * bool(laws))
    for law in laws:
        mine = [c for c in cosets if set(c) <= set(law)]
        rest = whole - sum(outside[c] for c in mine)
        rotations = [r for c in mine for r in c]
        twin = weight * sum(np.vstack([scores[r].twinned, scores[r].symmetric]) for r in rotations)
        # the prior of the fractions: half of the twins are perfect
        share = np.array([*[(1.0 - _PERFECT) / len(FRACTIONS)] * len(FRACTIONS), _PERFECT])
        found = spread[1:, None] + inside + rest + twin + np.log(share * TWIN_PRIOR / len(laws))[:, None]
        table[1:] = np.logaddexp(table[1:], found)
    return table


def _list_priors(lattice: LatticeGroup) -> np.ndarray:
    """The log of how likely each group is before the data are seen: lattices rarely have more symmetry than needed."""
    whole = _rank_system(tuple(range(len(lattice.rotations))), lattice)
    ranks = [_rank_system(g, lattice) for g in lattice.subgroups]
    # equal groups in other directions share what one of them would have
    kinds = [(len(g), r) for g, r in zip(lattice.subgroups, ranks, strict=True)]
    prior = np.array([_COINCIDENCE ** (whole - r) / kinds.count(kind) for r, kind in zip(ranks, kinds, strict=True)])
    return np.log(prior / prior.sum())


def _rank_system(group: tuple[int, ...], lattice: LatticeGroup) -> int:
    """The crystal system of a group, from 0 (triclinic) to 4 (cubic)."""
    orders = [describe_rotation(lattice.rotations[r])[0] for r in group]
    if orders.count(3) > 2:
        return 4
    if max(orders) > 2:
        return 3
    return {1: 0, 2: 1}.get(len(group), 2)
