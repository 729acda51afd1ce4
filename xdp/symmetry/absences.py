"""Screw axes and glide planes from the reflections that they extinguish.

Each space group says of each reflection on an axis or in a zone whether it is extinct. The intensities that were
measured make some of these patterns likely. What was not measured says nothing: groups that differ only there are
equally likely, and stay open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp, ndtri

from xdp.intensities.lattice import list_proper_rotations
from xdp.intensities.normalised import NormalisedIntensities, pack_indices
from xdp.symmetry.setting import ConventionalSetting

if TYPE_CHECKING:
    import gemmi

    from xdp.space_groups import AnySpaceGroup

_LEAK = 0.02
"""Part of a neighbour's intensity that an extinct reflection may seem to have: tails of spots, other wavelengths."""
_FALSE = 0.03
"""Part of the extinct reflections that seem to have intensity, from double diffraction or neighbours. A choice."""
_FALSE_MEAN = 0.2
"""Mean E^2 of these."""
_OUTLIERS = 0.005
"""Part of the extinct reflections that seem to have any intensity at all. A choice."""
_ZERO = 0.02
"""Error of E^2 near zero however long it was counted. A choice: backgrounds are not better known."""
_CENTRIC = np.square(ndtri(0.5 + 0.5 * (np.arange(100) + 0.5) / 100))
_ACENTRIC = -np.log((np.arange(100) + 0.5) / 100)
"""Values of E^2 that are equally likely, of centric and of acentric reflections."""
_SMOOTH = 0.1
"""Relative width that each of these values stands for."""

_GRID = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int32)
"""Indices that show each extinction: translations are sixths of a cell at least."""


@dataclass(frozen=True)
class GroupClass:
    """Space groups that the measured reflections cannot tell apart.

    Attributes
    ----------
    groups : tuple of gemmi.SpaceGroup
        On the conventional axes; the one that extinguishes the fewest reflections first.
    probability : float
        Of all together.
    """

    groups: tuple[gemmi.SpaceGroup, ...]
    probability: float


@dataclass(frozen=True)
class AxialReflections:
    """The measured reflections that one space group or another extinguishes.

    Attributes
    ----------
    hkl : (n, 3) int64
        On the conventional axes.
    e2, background, counting : (n,) float64
        As in `NormalisedIntensities`.
    leak : (n,) float64
        The largest E^2 of the measured neighbours.
    """

    hkl: np.ndarray
    e2: np.ndarray
    background: np.ndarray
    counting: np.ndarray
    leak: np.ndarray

    @property
    def significance(self) -> np.ndarray:
        """I over sigma."""
        return self.e2 / np.sqrt(self.background + self.counting * np.maximum(self.e2, 0.0))


def list_candidates(setting: ConventionalSetting, all_groups: bool = False) -> list[gemmi.SpaceGroup]:
    """List the space groups of a Laue group on given axes.

    Parameters
    ----------
    setting : ConventionalSetting
    all_groups : bool
        Whether groups with mirrors, glides and inversion count; by default only those of chiral molecules.

    Returns
    -------
    list of gemmi.SpaceGroup
        Settings with axes in another order are groups of their own: P 21 21 2, P 21 2 21, P 2 21 21.

    Examples
    --------
    >>> from xdp.indexing.lattice.symmetry import find_space_group
    >>> setting = ConventionalSetting(find_space_group("P4"), np.eye(3))
    >>> [g.short_name() for g in list_candidates(setting)]
    ['P4', 'P41', 'P42', 'P43']
    """
    import gemmi

    wanted = {r.tobytes() for r in list_proper_rotations(setting.group)}
    centring = setting.group.operations()
    found: dict[tuple, gemmi.SpaceGroup] = {}
    for group in gemmi.spacegroup_table():
        if not (all_groups or group.is_sohncke()) or not group.operations().has_same_centring(centring):
            continue
        if {r.tobytes() for r in list_proper_rotations(group)} != wanted:
            continue
        # other origins of one group are no other groups
        extinct = np.asarray(group.operations().systematic_absences(_GRID), bool)
        found.setdefault((group.number, extinct.tobytes()), group)
    return list(found.values())


def gather_axial(data: NormalisedIntensities, setting: ConventionalSetting, candidates: list[gemmi.SpaceGroup]
                 ) -> AxialReflections:
    """Choose the reflections that tell space groups apart.

    Parameters
    ----------
    data : NormalisedIntensities
    setting : ConventionalSetting
    candidates : list of gemmi.SpaceGroup

    Returns
    -------
    AxialReflections
    """
    hkl = np.round(data.hkl @ setting.transform.T).astype(np.int32)
    special = np.flatnonzero(_is_special(hkl))
    near = np.ascontiguousarray(hkl[special])
    extinct = np.zeros(len(special), bool)
    for group in candidates:
        extinct |= np.asarray(group.operations().systematic_absences(near), bool)
    rows = special[extinct]
    # the tails of strong neighbours reach into reflections that are extinct
    leak = np.zeros(len(rows))
    for step in np.concatenate([np.eye(3, dtype=np.int64), -np.eye(3, dtype=np.int64)]):
        near, _ = pack_indices(data.hkl[rows] + step)
        place = np.minimum(np.searchsorted(data.key, near), max(len(data) - 1, 0))
        leak = np.maximum(leak, np.where(data.key[place] == near, data.e2[place], 0.0))
    return AxialReflections(hkl[rows].astype(np.int64), data.e2[rows], data.background[rows], data.counting[rows],
                            leak)


def _is_special(hkl: np.ndarray) -> np.ndarray:
    """Whether reflections are on an axis or in a zone of any crystal system, as all that glides extinguish."""
    h, k, l = np.abs(hkl).T  # noqa: E741
    # the last two are the zones of hexagonal axes
    third = np.abs(hkl[:, 0] + hkl[:, 1])
    return (h == 0) | (k == 0) | (l == 0) | (h == k) | (k == l) | (l == h) | (third == h) | (third == k)


def weigh_space_groups(axial: AxialReflections, setting: ConventionalSetting, candidates: list[gemmi.SpaceGroup],
                       centric_score: float = 0.0) -> list[GroupClass]:
    """Find the probability of each space group.

    Parameters
    ----------
    axial : AxialReflections
    setting : ConventionalSetting
    candidates : list of gemmi.SpaceGroup
    centric_score : float
        By how much the spread of all intensities favours groups with inversion: a difference of log likelihoods.

    Returns
    -------
    list of GroupClass
        Most likely first.
    """
    hkl = np.ascontiguousarray(axial.hkl, np.int32)
    operations = setting.group.operations()
    centric = np.asarray(operations.centric_flag_array(hkl), bool)
    epsilon = np.asarray(operations.epsilon_factor_without_centering_array(hkl), np.float64)
    present, absent = _score_present(axial, centric, epsilon), _score_absent(axial)
    patterns = np.array([np.asarray(g.operations().systematic_absences(hkl), bool) for g in candidates])
    patterns = patterns.reshape(len(candidates), len(hkl))
    # settings of one group with other axes share what it has; so do enantiomorphs, which look alike
    numbers = [g.number for g in candidates]
    log = np.where(patterns, absent, present).sum(axis=1) - np.log([numbers.count(n) for n in numbers])
    has_inversion = np.array([g.is_centrosymmetric() for g in candidates])
    log = log + centric_score * has_inversion
    probability = np.exp(log - logsumexp(log))
    classes: dict[tuple[bytes, bool], list[int]] = {}
    for k, pattern in enumerate(patterns):
        # a spread that says nothing leaves groups with and without inversion together
        classes.setdefault((pattern.tobytes(), bool(has_inversion[k]) and centric_score != 0.0), []).append(k)
    found = [GroupClass(tuple(sort_by_absences([candidates[k] for k in rows])), float(probability[rows].sum()))
             for rows in classes.values()]
    return sorted(found, key=lambda c: -c.probability)


def sort_by_absences(groups: list[gemmi.SpaceGroup]) -> list[gemmi.SpaceGroup]:
    """Sort space groups by how many reflections they extinguish, the fewest first; then by number."""
    return sorted(groups, key=lambda g: (count_extinct(g), g.number))


def count_extinct(group: AnySpaceGroup) -> int:
    """Count how many of the indices from -6 to 6 a space group extinguishes.

    Parameters
    ----------
    group : gemmi.SpaceGroup

    Returns
    -------
    int

    Examples
    --------
    >>> import gemmi
    >>> count_extinct(gemmi.SpaceGroup("P 21")), count_extinct(gemmi.SpaceGroup("I 2 3"))
    (6, 1098)
    """
    return int(np.count_nonzero(group.operations().systematic_absences(_GRID)))


def _score_present(axial: AxialReflections, centric: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
    """Log likelihoods of the intensities, if they follow Wilson's distribution."""
    true = epsilon[:, None] * np.where(centric[:, None], _CENTRIC, _ACENTRIC)
    variance = axial.background[:, None] + axial.counting[:, None] * true + np.square(_SMOOTH * true) + _ZERO**2
    density = np.exp(-0.5 * np.square(axial.e2[:, None] - true) / variance) / np.sqrt(2.0 * np.pi * variance)
    return np.log(density.mean(axis=1) + 1e-9)


def _score_absent(axial: AxialReflections) -> np.ndarray:
    """Log likelihoods of the intensities, if they are extinct: zero, but for neighbours and double diffraction."""
    variance = axial.background + np.square(_LEAK * axial.leak) + _ZERO**2
    normal = np.exp(-0.5 * np.square(axial.e2) / variance) / np.sqrt(2.0 * np.pi * variance)
    false = np.exp(-np.maximum(axial.e2, 0.0) / _FALSE_MEAN) / _FALSE_MEAN * np.exp(
        -0.5 * np.square(np.minimum(axial.e2, 0.0)) / variance)
    outlier = 0.3 * np.exp(-0.3 * np.abs(axial.e2))
    return np.log((1.0 - _FALSE - _OUTLIERS) * normal + _FALSE * false + _OUTLIERS * outlier)
