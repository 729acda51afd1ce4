"""What the probabilities of groups come to: what is decided, what stays open, and what is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from xdp.intensities.lattice import LatticeGroup
from xdp.symmetry.absences import GroupClass, count_extinct, sort_by_absences
from xdp.symmetry.laue_group import GroupPosterior
from xdp.symmetry.options import SymmetryOptions
from xdp.symmetry.setting import ConventionalSetting, find_setting, name_group
from xdp.symmetry.translation import Translation

if TYPE_CHECKING:
    import gemmi

    from xdp.space_groups import AnySpaceGroup

DECIDED = 0.95
"""Probability from which a Laue group counts as decided."""
_TWIN_SHOWN = 0.05
"""A twin of at least this probability is spoken of."""


@dataclass(frozen=True)
class SymmetryVerdict:
    """What is known of the symmetry.

    Attributes
    ----------
    laue_class : str
        The group of rotations that is written, as a space group without screw axes: ``"P 4 2 2"``.
    probability : float
        That the intensities have it, and no higher one.
    is_decided : bool
    alternatives : tuple of (str, float)
        The most likely groups with their probabilities.
    twin_probability, twin_fraction : float
        That the crystal is a twin, and its fraction in case it is.
    space_groups : tuple of str
        Those that the measured reflections allow.
    space_group_probability : float
        Of all these together.
    is_space_group_decided : bool
        Whether they are one group, or two enantiomorphs.
    advice : tuple of str
        What would decide, in sentences.
    translation : Translation or None
        A pseudo-translation that was taken out.
    change_of_basis : (3, 3) float64 or None
        New axes in terms of the crystal's.
    cell : tuple of float
        Å, degrees.
    written : str
        The space group of the files.
    """

    laue_class: str
    probability: float
    is_decided: bool
    alternatives: tuple[tuple[str, float], ...]
    twin_probability: float
    twin_fraction: float
    space_groups: tuple[str, ...] = ()
    space_group_probability: float = 0.0
    is_space_group_decided: bool = False
    advice: tuple[str, ...] = ()
    translation: Translation | None = None
    change_of_basis: np.ndarray | None = None
    cell: tuple[float, ...] = ()
    written: str = ""


def judge_laue_group(posterior: GroupPosterior, lattice: LatticeGroup, options: SymmetryOptions
                     ) -> tuple[tuple[int, ...], SymmetryVerdict]:
    """Choose the group of rotations that is written.

    Parameters
    ----------
    posterior : GroupPosterior
    lattice : LatticeGroup
    options : SymmetryOptions

    Returns
    -------
    group : tuple of int
        The most likely one, if it is decided; else what all likely ones have in common.
    verdict : SymmetryVerdict
    """
    likely = posterior.list_likely(DECIDED)
    # what all likely groups have in common is a group itself
    common = set(likely[0]).intersection(*likely)
    group = tuple(sorted(common))
    names = {g: _name(g, lattice, options) for g in {*likely, group}}
    of = dict(zip(posterior.groups, posterior.probability, strict=True))
    twin, fraction = posterior.twin_fraction
    alternatives = tuple((names[g], float(of[g])) for g in likely)
    verdict = SymmetryVerdict(names[group], float(of[group]), len(likely) == 1, alternatives, twin, fraction,
                              advice=_advise(posterior, lattice, likely))
    return group, verdict


def _name(group: tuple[int, ...], lattice: LatticeGroup, options: SymmetryOptions) -> str:
    """A group of rotations as a space group without screw axes."""
    setting = find_setting(group, lattice, options.lattice_symmetry_max_delta, options.best_monoclinic_beta)
    return setting.group.xhm().partition(":")[0]


def _advise(posterior: GroupPosterior, lattice: LatticeGroup, likely: list[tuple[int, ...]]) -> tuple[str, ...]:
    """What would decide between the likely groups."""
    lines = []
    twin, fraction = posterior.twin_fraction
    if twin > _TWIN_SHOWN:
        lines.append(f"The crystal is a twin with the probability {twin:.3f}; its fraction would be {fraction:.2f}. A "
                     "twin of equal parts has the intensities of the higher group: a crystal that is less twinned, or "
                     "a refined structure, decides")
    if len(likely) > 1:
        open_ones = set().union(*likely) - set(likely[0]).intersection(*likely)
        few = [posterior.scores[r] for r in sorted(open_ones) if posterior.scores[r].n_pairs < 200]
        if few:
            axes = ", ".join(sorted({f"{s.order} along {list(s.axis)}" for s in few}))
            lines.append(f"Few reflections are related by {axes} (primitive axes): a sweep through more degrees "
                         "decides")
        elif twin <= _TWIN_SHOWN:
            lines.append("The errors of the intensities are too large to tell symmetry from near-symmetry: stronger "
                         "data, or a refined structure, decide")
    return tuple(lines)


def judge_space_group(verdict: SymmetryVerdict, classes: list[GroupClass], setting: ConventionalSetting,
                      options: SymmetryOptions) -> tuple[AnySpaceGroup, SymmetryVerdict]:
    """Choose the space group that is written.

    Parameters
    ----------
    verdict : SymmetryVerdict
        With the Laue group.
    classes : list of GroupClass
        Most likely first.
    setting : ConventionalSetting
    options : SymmetryOptions

    Returns
    -------
    group : gemmi.SpaceGroup
        Of the likely ones the one that extinguishes the fewest reflections: no screw axis is claimed that was not seen.
    verdict : SymmetryVerdict
    """
    if not options.systematic_absences.check:
        return setting.group, replace(verdict, space_groups=(name_group(setting.group),))
    # the most likely classes, until together they are likely enough
    level = options.systematic_absences.significance_level
    n = int(np.searchsorted(np.cumsum([c.probability for c in classes]), level)) + 1
    likely = classes[:n]
    groups = [g for c in likely for g in c.groups]
    groups = sort_by_absences(groups)
    decided = n == 1 and _are_enantiomorphs([g.number for g in groups])
    advice = list(verdict.advice)
    if n == 1 and len(groups) > 1 and len({g.number for g in groups}) > 1 and _look_alike(groups):
        if not decided:
            advice.append("These space groups have the same extinctions: solving the structure decides")
    elif not decided and len(groups) > 1:
        advice.append("Reflections on an axis are missing or too few to tell the space groups apart: a sweep through "
                      "the axis decides")
    return groups[0], replace(
        verdict, space_groups=tuple(name_group(g) for g in groups), is_space_group_decided=decided,
        space_group_probability=float(sum(c.probability for c in likely)), advice=tuple(advice))


def _look_alike(groups: list[gemmi.SpaceGroup]) -> bool:
    """Whether groups extinguish the same reflections."""
    return len({count_extinct(g) for g in groups}) == 1


#: Numbers of space groups that are mirror images of each other.
_MIRROR_IMAGES = {76: 78, 91: 95, 92: 96, 144: 145, 151: 153, 152: 154, 169: 170, 171: 172, 178: 179, 180: 181,
                  212: 213}


def _are_enantiomorphs(numbers: list[int]) -> bool:
    """Whether space groups are one, or two that are mirror images."""
    distinct = sorted(set(numbers))
    return len(numbers) == 1 or (len(numbers) == 2 and len(distinct) == 2
                                 and _MIRROR_IMAGES.get(distinct[0]) == distinct[1])
