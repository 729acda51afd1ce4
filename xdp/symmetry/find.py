"""Find the Laue group, the space group and the conventional axes of integrated reflections.

The way: `lattice.py` lists the rotations that the lattice has, `normalise.py` makes E^2 of intensities, `laue_group.py`
weighs the groups of rotations, `setting.py` finds their axes, `absences.py` the screw axes. Here the results become
models and indices in the new setting.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import XdpError
from xdp.experiment.crystal import cell_of
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.basis_change import parse_basis_change
from xdp.indexing.lattice.symmetry import find_bravais_type, find_space_group
from xdp.intensities.lattice import LatticeGroup, list_proper_rotations, move_rotations
from xdp.intensities.normalised import NormalisedIntensities
from xdp.intensities.pairs import find_general
from xdp.options.model import AUTO
from xdp.options.named import make_options
from xdp.reflections.normalise import check_indexed
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report
from xdp.symmetry.absences import AxialReflections, gather_axial, list_candidates, weigh_space_groups
from xdp.symmetry.data_sets import DataSets, gather_sets, renumber_experiment
from xdp.symmetry.laue_group import GroupPosterior, gather_pairs, score_rotations, weigh_groups
from xdp.symmetry.move import join_rows, move_data_sets
from xdp.symmetry.normalise import IntensityRows, limit_resolution, merge_all_rows
from xdp.symmetry.options import SymmetryOptions
from xdp.symmetry.report import make_symmetry_report
from xdp.symmetry.setting import ConventionalSetting, find_setting, find_simplest, name_group
from xdp.symmetry.translation import Translation, find_translation, take_out_translation
from xdp.symmetry.twinning import compare_centric
from xdp.symmetry.verdict import SymmetryVerdict, judge_laue_group, judge_space_group
from xdp.work.progress import Progress
from xdp.work.single import run_as_one_task

if TYPE_CHECKING:

    from distributed import Client

    from xdp.space_groups import AnySpaceGroup

logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class Symmetrized(Displayed):
    """What :func:`find_symmetry` gives.

    Attributes
    ----------
    experiments : ExperimentList
        With crystals in the setting and the space group that were found.
    reflections : ReflectionTable
        With Miller indices on these axes.
    verdict : SymmetryVerdict
        What is decided, and what is not.
    lattice : LatticeGroup
    posterior : GroupPosterior
        Of the groups of the lattice's rotations.
    axial : AxialReflections
        The measured reflections that tell space groups apart.
    sets : DataSets
        How each data set is indexed, and which are set aside.
    """

    experiments: ExperimentList
    reflections: ReflectionTable
    verdict: SymmetryVerdict
    lattice: LatticeGroup
    posterior: GroupPosterior
    axial: AxialReflections
    sets: DataSets

    @property
    def report(self) -> Report:
        """Elements, groups, axial reflections, and the verdict."""
        return make_symmetry_report(self.verdict, self.lattice, self.posterior, self.axial, self.sets)

    def select_excluded(self, experiments: ExperimentList, reflections: ReflectionTable
                        ) -> tuple[ExperimentList, ReflectionTable]:
        """Select the data sets that were set aside from what was given.

        Parameters
        ----------
        experiments : ExperimentList
        reflections : ReflectionTable

        Returns
        -------
        ExperimentList, ReflectionTable
            As they were, with numbers of their own.
        """
        chosen = sorted(self.sets.excluded)
        ids = np.asarray(reflections["id"])
        tables = [renumber_experiment(reflections.select(ids == k), k, n) for n, k in enumerate(chosen)]
        return ExperimentList([experiments[k] for k in chosen], experiments.extra), join_rows(tables)

    def _facts(self) -> list[tuple[str, Any]]:
        return list(self.report.facts.items())


def find_symmetry(experiments: ExperimentList, reflections: ReflectionTable,
                  options: SymmetryOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
                  progress: Progress | None = None, **named: Any) -> Symmetrized:
    """Find the symmetry of integrated reflections of one crystal, or of several on the same axes.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals of about one cell.
    reflections : ReflectionTable
        As integrated; they need not be scaled.
    options : SymmetryOptions or dict, optional
        The parameters of ``xdp symmetry``. No file is written.
    client : distributed.Client, optional
        One of its workers does the work; by default this process.
    progress : callable, optional
        Shows when the work is done.
    **named
        Parameters by name, laid over `options`: ``d_min=2.5, laue_group="P422"``.

    Returns
    -------
    Symmetrized
        With ``experiments``, ``reflections`` and ``report``.

    Raises
    ------
    XdpError
        If crystals are missing or have different cells, or nothing can be compared.

    Examples
    --------
    >>> import xdp
    >>> from xdp.simulation import make_integrated
    >>> found = xdp.find_symmetry(*make_integrated())
    >>> found.verdict.laue_class
    'P 1'
    """
    chosen = make_options(SymmetryOptions, options, named)
    return run_as_one_task(_find_symmetry, experiments, reflections, chosen, label="symmetry", client=client,
                           progress=progress)


def _find_symmetry(experiments: ExperimentList, reflections: ReflectionTable, options: SymmetryOptions) -> Symmetrized:
    """The work of :func:`find_symmetry`."""
    check_indexed(reflections, "symmetry")
    check_crystals(experiments)
    return symmetrize(experiments, reflections, options, gather_sets(experiments, reflections, options))


def symmetrize(experiments: ExperimentList, reflections: ReflectionTable, options: SymmetryOptions, sets: DataSets
               ) -> Symmetrized:
    """Find the symmetry of data sets whose indexing is alike, and write it into models and reflections.

    Parameters
    ----------
    experiments : ExperimentList
    reflections : ReflectionTable
    options : SymmetryOptions
    sets : DataSets

    Returns
    -------
    Symmetrized
    """
    lattice, rows, mean = sets.lattice, sets.rows, sets.mean
    data, every, translation = _normalise(rows, mean, lattice, options)
    pairs = gather_pairs([find_general(data, lattice)], lattice)
    posterior = weigh_groups(pairs, lattice, score_rotations(pairs, lattice))
    chosen, verdict = judge_laue_group(posterior, lattice, options)
    fixed = _fix_group(experiments, sets, posterior, options)
    setting = find_setting(fixed or chosen, lattice, options.lattice_symmetry_max_delta, options.best_monoclinic_beta)
    if sets.reference is not None:
        setting = ConventionalSetting(find_simplest(sets.reference.group), np.linalg.inv(sets.reference.change))
    elif options.change_of_basis_op is not None:
        setting = _change_setting(setting, options.change_of_basis_op, sets)
    candidates = list_candidates(setting, options.small_molecule)
    axial = gather_axial(every, setting, candidates)
    # proteins are chiral, so that all groups that are asked for are without inversion
    centric = compare_centric(pairs.neighbours) if options.small_molecule else 0.0
    classes = weigh_space_groups(axial, setting, candidates, centric)
    group, verdict = judge_space_group(verdict, classes, setting, options)
    if sets.reference is not None:
        group = sets.reference.group
    moved, table, verdict = _apply_setting(experiments, reflections, setting, group, sets, verdict, options)
    return Symmetrized(moved, table, replace(verdict, translation=translation), lattice, posterior, axial, sets)


def check_crystals(experiments: ExperimentList) -> None:
    """Raise XdpError unless all crystals are there."""
    if not len(experiments):
        raise XdpError("symmetry: the .expt holds no experiments")
    for k, experiment in enumerate(experiments):
        if experiment.crystal is None:
            raise XdpError(f"symmetry: experiment {k} has no crystal: index and integrate first")


def _normalise(rows: IntensityRows, mean: np.ndarray, lattice: LatticeGroup, options: SymmetryOptions
               ) -> tuple[NormalisedIntensities, NormalisedIntensities, Translation | None]:
    """E^2 up to the resolution that is used, E^2 of all, and a pseudo-translation, which is taken out of both."""
    every, d_of_pairs = merge_all_rows(rows, mean)
    data = limit_resolution(every, d_of_pairs, options)
    translation = find_translation(data, lattice)
    if translation is not None:
        data, every = (take_out_translation(d, translation) for d in (data, every))
    return data, every, translation


def _fix_group(experiments: ExperimentList, sets: DataSets, posterior: GroupPosterior, options: SymmetryOptions
               ) -> tuple[int, ...] | None:
    """The group of rotations that the user named; None where it is to be found."""
    lattice = sets.lattice
    if options.laue_group is AUTO:
        return None
    number = {r.tobytes(): k for k, r in enumerate(lattice.rotations)}
    if options.laue_group is None:
        crystal = experiments[sets.first].known.crystal
        mine = move_rotations(list_proper_rotations(crystal.space_group), np.linalg.inv(sets.first_change))
        if mine is None or any(r.tobytes() not in number for r in mine):
            raise XdpError("laue_group=None: the lattice does not have the symmetry of the crystal's space group "
                           f"{crystal.space_group.xhm()} within lattice_symmetry_max_delta")
        return tuple(sorted(number[r.tobytes()] for r in mine))
    wanted = find_space_group(str(options.laue_group))
    # of groups in several directions the one that the data like best
    order = np.argsort(-posterior.probability, kind="stable")
    for k in order:
        group = posterior.groups[k]
        if len(group) != len(list_proper_rotations(wanted)):
            continue
        found = find_setting(group, lattice, options.lattice_symmetry_max_delta, False)
        if found.group.point_group_hm() == _name_chiral_point_group(wanted) and _share_lattice(found, wanted):
            return group
    raise XdpError(f"laue_group={options.laue_group}: the lattice has no such symmetry within "
                   f"lattice_symmetry_max_delta={options.lattice_symmetry_max_delta:g} degrees")


def _name_chiral_point_group(group: AnySpaceGroup) -> str:
    """The point group of the rotations of a Laue group."""
    import gemmi

    rotations = {r.tobytes() for r in list_proper_rotations(group)}
    for candidate in gemmi.spacegroup_table():
        if candidate.is_sohncke() and {r.tobytes() for r in list_proper_rotations(candidate)} == rotations:
            return candidate.point_group_hm()
    return group.point_group_hm()


def _share_lattice(found: ConventionalSetting, wanted: AnySpaceGroup) -> bool:
    """Whether two groups have one Bravais lattice and one choice of axes within it: 321 is not 312."""
    mine, other = list_proper_rotations(found.group), list_proper_rotations(wanted)
    same = {r.tobytes() for r in mine} == {r.tobytes() for r in other}
    return find_bravais_type(found.group) == find_bravais_type(wanted) and (
        same or found.group.crystal_system_str() != "trigonal")


def _change_setting(setting: ConventionalSetting, change: str, sets: DataSets) -> ConventionalSetting:
    """The axes that the user wants, with the rotations of the setting that was found."""
    transform = parse_basis_change(change) @ np.linalg.inv(sets.first_change)
    moved = ConventionalSetting(setting.group, transform)
    rotations = move_rotations(list_proper_rotations(setting.group), transform)
    mine = move_rotations(list_proper_rotations(setting.group), setting.transform)
    assert mine is not None
    if rotations is None or {r.tobytes() for r in rotations} != {r.tobytes() for r in mine}:
        raise XdpError(f"change_of_basis_op={change}: on these axes the symmetry is not that of "
                       f"{setting.group.xhm()}; leave change_of_basis_op out to see the axes that are found")
    return moved


def _apply_setting(experiments: ExperimentList, reflections: ReflectionTable, setting: ConventionalSetting,
                   group: AnySpaceGroup, sets: DataSets, verdict: SymmetryVerdict, options: SymmetryOptions
                   ) -> tuple[ExperimentList, ReflectionTable, SymmetryVerdict]:
    """Models and indices on the axes of the space group's reference setting."""
    import gemmi

    to_reference = np.eye(3)
    if group.crystal_system_str() == "orthorhombic" and options.change_of_basis_op is None and (
            sets.reference is None):
        # x(group) = R x(reference), so that axes(reference) = R^T axes(group)
        to_reference = np.array(group.basisop.rot).T / group.basisop.DEN
        group = gemmi.find_spacegroup_by_number(group.number)
    models, table = move_data_sets(experiments, reflections, sets.changes, to_reference @ setting.transform, group)
    transform = to_reference @ setting.transform @ sets.first_change
    cell = cell_of(models[0].known.crystal.real_space_matrix)
    verdict = replace(verdict, change_of_basis=transform, cell=cell, written=name_group(group))
    return models, table, verdict

