"""One choice of indexing for many data sets whose lattice has more symmetry than their intensities.

Each data set can be indexed in several ways, which only intensities tell apart. The sets are added one by one to a
merged set, each in the way in which it agrees best, those of which this is sure first. Then each is taken out, compared
with all others and put back, until none changes. Sets that agree in no way are strangers.

References
----------
Brehm & Diederichs (2014). Acta Cryst. D70, 101-109, doi:10.1107/S1399004713025431; Kabsch (2014). Acta Cryst. D70,
2204-2216, doi:10.1107/S1399004714013534, for the growing merged set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xdp.intensities.hypotheses import density_uniform, draw_sums
from xdp.intensities.lattice import LatticeGroup
from xdp.intensities.normalised import NormalisedIntensities, pack_indices
from xdp.intensities.pairs import IntensityPairs

_ERROR = 0.12
"""Error proportional to intensities: data sets are not scaled to each other, and partly non-isomorphous. A choice."""
_OUTLIERS = 0.05
"""Part of the pairs that may be unrelated."""
_SURE = 6.0
"""A set is added at once if its best choice leads by this log likelihood: 1 of 400 such is wrong."""
_LEAST = 3.0
"""So much better than chance must a set agree, as a log likelihood. A choice."""
_STARTS = 5
"""Sets that are tried as the first one: it may be a stranger."""
CONFIDENT = 0.95
"""Probability from which the choice of a set counts as found."""


@dataclass(frozen=True)
class IndexingChoices:
    """How each data set is indexed.

    Attributes
    ----------
    rotation : (n_sets,) int64
        The number of the lattice's rotation that brings the set to the common indexing; -1 for sets that are set aside.
    probability : (n_sets,) float64
        That this choice is right, among all.
    agreement : (n_sets,) float64
        Log likelihood of the agreement with all other sets, over that of chance.
    n_common : (n_sets,) int64
        Reflections that the set has in common with others.
    reason : tuple of str
        Why a set is set aside; "" for others.
    """

    rotation: np.ndarray
    probability: np.ndarray
    agreement: np.ndarray
    n_common: np.ndarray
    reason: tuple[str, ...]


class _MergedSet:
    """Weighted sums over the sets that were added, by reflection."""

    def __init__(self, n: int) -> None:
        self.weight, self.total = np.zeros(n), np.zeros(n)

    def add(self, rows: np.ndarray, data: NormalisedIntensities, sign: float = 1.0) -> None:
        """Add a set, or take it out with the sign -1."""
        weight = sign / (data.background + data.counting + 2.0 * _ERROR**2)
        np.add.at(self.weight, rows, weight)
        np.add.at(self.total, rows, weight * data.e2)

    def compare(self, rows: np.ndarray, data: NormalisedIntensities) -> tuple[float, int]:
        """The log likelihood ratio of agreement and chance, and the number of reflections in common."""
        # what is left after a set was taken out is rounding
        found = np.flatnonzero(self.weight[rows] > 1e-6)
        if not len(found):
            return 0.0, 0
        weight = self.weight[rows[found]]
        x, mean = data.e2[found], self.total[rows[found]] / weight
        variance = data.background[found] + data.counting[found] * np.maximum(mean, 0.2) + 1.0 / weight
        return float(np.sum(_compare_pairs(IntensityPairs(x + mean, x - mean, variance, np.zeros(len(x)))))), len(found)


def _compare_pairs(pairs: IntensityPairs) -> np.ndarray:
    """Log likelihood ratios of equal and of unrelated intensities."""
    total = draw_sums(pairs)
    variance = pairs.background[:, None] + 0.5 * np.square(_ERROR * total)
    chance = density_uniform(pairs.difference[:, None], total, variance).mean(axis=1)
    same = (np.exp(-0.5 * pairs.difference[:, None] ** 2 / variance) / np.sqrt(2.0 * np.pi * variance)).mean(axis=1)
    # beyond the sum both densities vanish, and rounding must not decide
    chance = np.maximum(chance, 1e-12)
    return np.log((1.0 - _OUTLIERS) * same / chance + _OUTLIERS)


def choose_indexing(sets: Sequence[NormalisedIntensities], lattice: LatticeGroup, known: tuple[int, ...],
                    least_common: int = 3, reference: NormalisedIntensities | None = None, max_rounds: int = 6
                    ) -> IndexingChoices:
    """Choose how each data set is indexed.

    Parameters
    ----------
    sets : sequence of NormalisedIntensities
        On axes of the lattice, each in one of the choices.
    lattice : LatticeGroup
    known : tuple of int
        Rotations that relate intensities for certain, within each set.
    least_common : int
        Reflections that a set must have in common with others.
    reference : NormalisedIntensities, optional
        All sets are to agree with it.
    max_rounds : int
        Most times that sets are taken out and put back; few change after the second.

    Returns
    -------
    IndexingChoices
    """
    choices = _list_choices(lattice, known)
    every = sets if reference is None else [*sets, reference]
    rows, n = _number_reflections(every, lattice, known, choices)
    order = np.argsort([-len(s) for s in sets], kind="stable")
    if reference is not None:
        merged, found = _grow(len(sets), order, every, rows, n)
        # the reference stays in the merged set, and is no set to be judged
        found.pop(len(sets))
        _refine(found, merged, order, sets, rows, max_rounds, has_reference=True)
        return _judge_sets(found, merged, sets, rows, choices, least_common, has_reference=True)
    best: dict[int, int] = {}
    merged = _MergedSet(n)
    for start in order[:_STARTS]:
        grown, found = _grow(int(start), order, sets, rows, n)
        if len(found) > len(best):
            best, merged = found, grown
        if 2 * len(best) > len(sets):
            break
    _refine(best, merged, order, sets, rows, max_rounds)
    return _judge_sets(best, merged, sets, rows, choices, least_common)


def _list_choices(lattice: LatticeGroup, known: tuple[int, ...]) -> list[int]:
    """One rotation of each coset of the known group: the others give the same intensities."""
    left, choices = set(range(len(lattice.rotations))), []
    while left:
        first = min(left)
        choices.append(first)
        # h R g and h R are equivalent in the common indexing
        left -= {int(lattice.product[first, g]) for g in known}
    return choices


def _number_reflections(sets: Sequence[NormalisedIntensities], lattice: LatticeGroup, known: tuple[int, ...],
                        choices: list[int]) -> tuple[list[list[np.ndarray]], int]:
    """For each set and choice the numbers of its reflections, unique under the known group; and how many there are."""
    keys = []
    for data in sets:
        for choice in choices:
            hkl = data.hkl @ lattice.rotations[choice]
            keys.append(np.min([pack_indices(hkl @ lattice.rotations[g])[0] for g in known], axis=0))
    unique, number = np.unique(np.concatenate(keys), return_inverse=True)
    parts = np.split(number.ravel(), np.cumsum([len(k) for k in keys])[:-1])
    n = len(choices)
    return [parts[k * n:(k + 1) * n] for k in range(len(sets))], len(unique)


def _grow(start: int, order: np.ndarray, sets: Sequence[NormalisedIntensities], rows: list[list[np.ndarray]], n: int
          ) -> tuple[_MergedSet, dict[int, int]]:
    """Add sets to the first one, as long as some agree; gives the merged set and the choices."""
    merged, found = _MergedSet(n), {start: 0}
    merged.add(rows[start][0], sets[start])
    waiting = [int(k) for k in order if k != start]
    while waiting:
        margins: dict[int, tuple[float, int]] = {}
        n_before = len(found)
        for k in waiting:
            scores = np.array([merged.compare(r, sets[k])[0] for r in rows[k]])
            choice = int(scores.argmax())
            margin = float(scores[choice] - np.max(np.delete(scores, choice), initial=0.0))
            if scores[choice] > _LEAST and margin > _SURE:
                merged.add(rows[k][choice], sets[k])
                found[k] = choice
            elif scores[choice] > 0.0 and margin > 0.0:
                margins[k] = margin, choice
        if len(found) == n_before:
            # nothing is sure: the one that is least unsure goes on
            if not margins:
                break
            k = max(margins, key=lambda key: margins[key][0])
            found[k] = margins[k][1]
            merged.add(rows[k][found[k]], sets[k])
        waiting = [k for k in waiting if k not in found]
    return merged, found


def _refine(found: dict[int, int], merged: _MergedSet, order: np.ndarray, sets: Sequence[NormalisedIntensities],
            rows: list[list[np.ndarray]], max_rounds: int, has_reference: bool = False) -> None:
    """Compare each set with all others, and change its choice where another one agrees better."""
    # a set that nothing agrees with has nothing to be compared with
    for _ in range(max_rounds if has_reference or len(found) > 1 else 0):
        n_changed = 0
        for k in map(int, order):
            old = found.get(k)
            if old is not None:
                merged.add(rows[k][old], sets[k], -1.0)
            scores = [merged.compare(r, sets[k])[0] for r in rows[k]]
            new = int(np.argmax(scores))
            if scores[new] > 0.0:
                found[k] = new
                merged.add(rows[k][new], sets[k])
            else:
                found.pop(k, None)
            n_changed += found.get(k) != old
        if not n_changed:
            break


def _judge_sets(found: dict[int, int], merged: _MergedSet, sets: Sequence[NormalisedIntensities],
                rows: list[list[np.ndarray]], choices: list[int], least_common: int,
                has_reference: bool = False) -> IndexingChoices:
    """Probabilities of the choices, each set compared with all others; those that are not sure are set aside."""
    n = len(sets)
    rotation, probability = np.full(n, -1, np.int64), np.zeros(n)
    agreement, n_common = np.zeros(n), np.zeros(n, np.int64)
    reasons = []
    for k in range(n):
        if k in found:
            merged.add(rows[k][found[k]], sets[k], -1.0)
        compared = [merged.compare(r, sets[k]) for r in rows[k]]
        scores = np.array([score for score, _ in compared])
        best = found.get(k, int(scores.argmax()))
        agreement[k], n_common[k] = compared[best]
        probability[k] = float(np.exp(scores[best] - scores.max()) / np.sum(np.exp(scores - scores.max())))
        alone = len(found) == 1 and k in found and not has_reference
        reason = "" if alone else _find_fault(int(n_common[k]), agreement[k], probability[k], len(scores), least_common)
        reasons.append(reason)
        if not reason:
            rotation[k] = choices[best]
        if k in found:
            merged.add(rows[k][found[k]], sets[k])
    return IndexingChoices(rotation, probability, agreement, n_common, tuple(reasons))


def _find_fault(n_common: int, agreement: float, probability: float, n_choices: int, least_common: int) -> str:
    """Why a set cannot be used; "" if it can."""
    if n_choices == 1:
        # nothing is to be chosen: only a set that contradicts the others is a stranger
        return "its intensities contradict those of other sets" if agreement < -_LEAST else ""
    if n_common < least_common:
        return f"only {n_common} reflections in common with other sets"
    if agreement < _LEAST:
        return f"its intensities agree with those of other sets in none of {n_choices} ways of indexing"
    return "" if probability >= CONFIDENT else f"its indexing is not sure (probability {probability:.2f})"
