"""The data sets of a search for symmetry: brought to one lattice and one choice of indexing, and those set aside."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.lattice.symmetry import find_primitive_change, find_space_group
from xdp.intensities.lattice import LatticeGroup, find_lattice_group, list_proper_rotations, restrict_lattice_group
from xdp.intensities.normalised import NormalisedIntensities
from xdp.intensities.pairs import find_general
from xdp.reflections.table import ReflectionTable
from xdp.symmetry.common_axes import CommonAxes, find_common_axes
from xdp.symmetry.consistent import choose_indexing
from xdp.symmetry.laue_group import LatticePairs, gather_pairs, join_lattice_pairs, score_rotations, weigh_groups
from xdp.symmetry.normalise import IntensityRows, gather_rows, merge_rows, normalise_rows, normalise_sets
from xdp.symmetry.options import SymmetryOptions
from xdp.symmetry.reference import PlacedReference, place_reference, read_indexing_reference
from xdp.work.tasks import run_tasks

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

_CERTAIN = 0.99
"""Rotations that relate intensities within the sets with this probability are used to compare sets."""


_SETS_OF_TASK = 10
"""Data sets whose reflections are paired in one task: some tenths of a second of work."""


class _Workers(NamedTuple):
    """Who pairs reflections."""

    client: Client | None
    n_threads: int


def _pair_sets(lattice: LatticeGroup, sets: list[NormalisedIntensities]) -> LatticePairs:
    """The pairs within some data sets: a task."""
    return gather_pairs([find_general(s, lattice) for s in sets], lattice)


@dataclass(frozen=True)
class DataSets:
    """Data sets on common axes.

    Attributes
    ----------
    lattice : LatticeGroup
    rows : IntensityRows
        Observations of the sets that are used, on the axes of the lattice.
    mean : (n,) float64
        Their expected intensities.
    changes : tuple of (3, 3) float64 or None
        For each experiment the common axes in terms of its crystal's; None where it is set aside.
    confidence : tuple of float
        For each experiment the probability of its indexing.
    excluded : dict of int to str
        The experiments that are set aside, and why.
    reference : PlacedReference or None
        What the indexing agrees with, if something is given.
    """

    lattice: LatticeGroup
    rows: IntensityRows
    mean: np.ndarray
    changes: tuple[np.ndarray | None, ...]
    confidence: tuple[float, ...]
    excluded: dict[int, str]
    reference: PlacedReference | None = None

    @property
    def first(self) -> int:
        """The first experiment that is not set aside."""
        return next(k for k, change in enumerate(self.changes) if change is not None)

    @property
    def first_change(self) -> np.ndarray:
        """The common axes in terms of those of its crystal."""
        return np.asarray(self.changes[self.first])


def gather_sets(experiments: ExperimentList, reflections: ReflectionTable, options: SymmetryOptions, *,
                client: Client | None = None, n_threads: int = 1) -> DataSets:
    """Bring data sets to one lattice and one choice of indexing.

    Sweeps that share a crystal are one set.

    Parameters
    ----------
    experiments : ExperimentList
    reflections : ReflectionTable
    options : SymmetryOptions
    client : distributed.Client, optional
        Whose workers pair the reflections of the sets; by default this process.
    n_threads : int
        Threads for that where there is no client.

    Returns
    -------
    DataSets

    Raises
    ------
    XdpError
        If no reflection can be used.
    """
    if len(experiments.unique("crystal")) == 1 and options.reference is None:
        lattice = _find_lattice(experiments, options)
        rows = gather_rows(experiments, reflections, lattice, options)
        mean, n = normalise_rows(rows, lattice, options), len(experiments)
        return DataSets(lattice, rows, mean, (lattice.from_input,) * n, (1.0,) * n, {})
    # cells first: sets with another one cannot be compared
    axes = find_common_axes(experiments, options.relative_length_tolerance, options.absolute_angle_tolerance)
    lattice = _find_lattice(ExperimentList([experiments[axes.first]]), options)
    changes = _list_changes(axes, lattice)
    rows = gather_rows(experiments, reflections, lattice, options, changes)
    mean = normalise_sets(rows, lattice, options)
    reference = None if options.reference is None else place_reference(
        read_indexing_reference(options), lattice, options.relative_length_tolerance,
        options.absolute_angle_tolerance)
    found = _index_alike(experiments, rows, mean, lattice, options, reference, _Workers(client, n_threads))
    excluded = {k: _describe_cell(axes, k) for k, change in enumerate(changes) if change is None}
    excluded.update({k: reason for k, (_, _, reason) in found.items() if reason and k not in excluded})
    excluded.update({k: "it has no reflections that can be used" for k in range(len(experiments))
                     if k not in found and k not in excluded})
    # nothing is dropped in silence
    if len(excluded) == len(experiments):
        raise XdpError("symmetry: no data set is left: " + "; ".join(
            f"experiment {k}: {reason}" for k, reason in sorted(excluded.items())[:3]))
    for k, reason in sorted(excluded.items()):
        logger.warning("Set aside: experiment %d (%s): %s", k, experiments[k].identifier, reason)
    # h R in the common indexing: changes act on columns, rotations on rows
    turned = [None if k in excluded or change is None else lattice.rotations[found[k][0]].T @ change
              for k, change in enumerate(changes)]
    rows = _turn_rows(rows, found, lattice)
    kept = ~np.isin(rows.sweep, list(excluded))
    confidence = tuple(found[k][1] if k in found else 0.0 for k in range(len(experiments)))
    return DataSets(lattice, rows.select(kept), mean[kept], tuple(turned), confidence, excluded, reference)


def renumber_experiment(table: ReflectionTable, old: int, new: int) -> ReflectionTable:
    """Give the reflections of one experiment another number.

    Parameters
    ----------
    table : ReflectionTable
        Of this experiment only.
    old, new : int
        Its numbers.

    Returns
    -------
    ReflectionTable
    """
    moved = table.with_columns(id=np.where(table["id"] == old, new, table["id"]).astype(np.int32))
    moved.identifiers = {new: table.identifiers[old]} if old in table.identifiers else {}
    return moved


def _turn_rows(rows: IntensityRows, found: dict[int, tuple[int, float, str]], lattice: LatticeGroup) -> IntensityRows:
    """Observations with the indices of the common indexing."""
    hkl = rows.hkl.copy()
    for k, (rotation, _, _) in found.items():
        here = rows.sweep == k
        # a rotation acts on rows from the right
        hkl[here] = hkl[here] @ lattice.rotations[rotation]
    return replace(rows, hkl=hkl)


def _list_changes(axes: CommonAxes, lattice: LatticeGroup) -> list[np.ndarray | None]:
    """The lattice's axes in terms of those of each crystal."""
    first = axes.transforms[axes.first]
    assert first is not None
    # the lattice was found from the first crystal, whose common axes may be others
    between = lattice.from_input @ np.linalg.inv(first)
    return [None if change is None else np.round(between, 9) @ change for change in axes.transforms]


def _find_lattice(experiments: ExperimentList, options: SymmetryOptions) -> LatticeGroup:
    """The rotations that are tested."""
    crystal = experiments[0].known.crystal
    lattice = find_lattice_group(crystal.real_space_matrix, find_primitive_change(crystal.space_group),
                                 options.lattice_symmetry_max_delta)
    # all rotations of the lattice, whatever space group the crystal has
    if options.lattice_group is None:
        return lattice
    largest = find_space_group(options.lattice_group)
    wanted = len(list_proper_rotations(largest))
    for group in reversed(lattice.subgroups):
        if len(group) == wanted:
            keep = np.isin(np.arange(len(lattice.rotations)), group)
            return restrict_lattice_group(lattice, keep)
    raise XdpError(f"lattice_group={options.lattice_group}: the lattice has no such symmetry within "
                   f"lattice_symmetry_max_delta={options.lattice_symmetry_max_delta:g} degrees")


def _describe_cell(axes: CommonAxes, k: int) -> str:
    """Why an experiment is set aside for its cell."""
    mine, other = (", ".join(f"{v:.1f}" for v in axes.cells[n]) for n in (k, axes.first))
    return f"its reduced cell {mine} is not the {other} of most (relative_length_tolerance, absolute_angle_tolerance)"


def _index_alike(experiments: ExperimentList, rows: IntensityRows, mean: np.ndarray, lattice: LatticeGroup,
                 options: SymmetryOptions, reference: PlacedReference | None, workers: _Workers
                 ) -> dict[int, tuple[int, float, str]]:
    """For each experiment the rotation to the common indexing, its probability, and why it is set aside, if it is."""
    crystals = experiments.unique("crystal")
    number = np.array([next(i for i, c in enumerate(crystals) if c is e.crystal) for e in experiments])
    sets, names, found = [], [], {}
    # sweeps of one crystal have one indexing
    for n in range(len(crystals)):
        mine = np.flatnonzero(number[rows.sweep] == n)
        members = np.flatnonzero(number == n).tolist()
        if len(mine) < options.min_reflections:
            found.update({k: (0, 0.0, f"only {len(mine)} reflections can be used, min_reflections="
                                      f"{options.min_reflections}") for k in members})
            continue
        sets.append(merge_rows(rows.select(mine), mean[mine], options))
        names.append(members)
    if not sets:
        return found
    if reference is None:
        pairs = join_lattice_pairs(run_tasks(_pair_sets, lattice, [(sets[k:k + _SETS_OF_TASK],) for k in
                                                                   range(0, len(sets), _SETS_OF_TASK)],
                                             client=workers.client, n_threads=workers.n_threads))
        posterior = weigh_groups(pairs, lattice, score_rotations(pairs, lattice))
        likely = posterior.list_likely(_CERTAIN)
        known = tuple(sorted(set(likely[0]).intersection(*likely)))
        choices = choose_indexing(sets, lattice, known, options.min_pairs, max_rounds=options.max_rounds)
    else:
        choices = choose_indexing(sets, lattice, reference.rotations, options.min_pairs, reference.data,
                                  options.max_rounds)
    for members, rotation, p, reason in zip(names, choices.rotation, choices.probability, choices.reason, strict=True):
        found.update({k: (max(int(rotation), 0), float(p), reason) for k in members})
    return found
