"""Refinement in every Bravais setting that the lattice allows, and change of basis.

A setting is likely if imposing its symmetry does not worsen the fit of the spots' positions, and if the intensities
that it relates agree.

References
----------
Sauter, Grosse-Kunstleve & Adams (2006) J. Appl. Cryst. 39, 158.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed, format_value
from xdp.errors import XdpError
from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.basis_change import change_basis
from xdp.indexing.command_options import RefineSettingsOptions
from xdp.indexing.lattice.bravais import LATTICES, Setting, find_bravais_settings
from xdp.indexing.lattice.symmetry import LOWEST_GROUP, find_primitive_change, impose_symmetry
from xdp.options.named import make_options
from xdp.prediction.completion import complete_table
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.metric import get_rotation_parts
from xdp.refinement.parameters.setup import list_unknown_names
from xdp.refinement.refine import refine_models
from xdp.refinement.unused_inputs import log_unused_models
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report, Table
from xdp.work.progress import Progress
from xdp.work.single import run_as_one_task

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

# Choices. A setting that raises the RMSD further than the first factor does not fit, unless related intensities agree
# so well that the second serves.
_RMSD_RATIO, _LARGER_RATIO = 1.5, 2.0
_GOOD_CC, _FAIR_CC = 0.7, 0.5  # rank correlations of related intensities that agree well, and well enough
_MIN_PAIRS = 20        # fewer related intensities say nothing; both reflections of a pair count
#: Degrees: settings whose metric fits differ by less are one family, whose members DIALS orders by symmetry.
_SAME_FIT = 0.01


@dataclass(frozen=True)
class Solution:
    """One setting, refined.

    Attributes
    ----------
    setting : Setting
        The lattice, and the change of basis to it.
    experiments : ExperimentList
        Refined in the setting.
    rmsd : float
        Of the positions, mm.
    n_spots : int
        Reflections that were used.
    correlations : tuple of float
        Of intensities related by each rotation of the setting; empty where there are too few.
    recommended : bool
        Whether it fits as well as the triclinic setting, or its intensities agree.
    """

    setting: Setting
    experiments: ExperimentList
    rmsd: float
    n_spots: int
    correlations: tuple[float, ...]
    recommended: bool = False

    def to_dict(self) -> dict[str, Any]:
        """What the summary file says of the setting, under the names that DIALS uses: numbers, texts and lists."""
        ccs = self.correlations
        return {"max_angular_difference": self.setting.delta, "rmsd": self.rmsd, "nspots": self.n_spots,
                "bravais": self.setting.lattice, "unit_cell": list(self.experiments[0].known.crystal.unit_cell),
                "cb_op": self.setting.operator, "max_cc": max(ccs) if ccs else None,
                "min_cc": min(ccs) if ccs else None, "correlation_coefficients": list(ccs),
                "recommended": self.recommended}


@dataclass(frozen=True, repr=False)
class Settings(Displayed):
    """What :func:`refine_settings` gives.

    Attributes
    ----------
    solutions : tuple of Solution
        One for each setting, in the order of DIALS (:func:`sort_solutions`): the last is setting 1.
    indexed : ReflectionTable
        The reflections as they were given, in the setting that they were indexed in.
    """

    solutions: tuple[Solution, ...]
    indexed: ReflectionTable

    @property
    def best(self) -> Solution:
        """The most symmetric of the recommended settings."""
        return choose_setting(self.solutions)

    @property
    def experiments(self) -> ExperimentList:
        """The experiments, refined in the best setting."""
        return self.best.experiments

    @cached_property
    def reflections(self) -> ReflectionTable:
        """The reflections, their indices changed to the best setting."""
        from xdp.indexing.reindex import reindex_reflections

        return reindex_reflections(self.indexed, self.best.setting.transform)

    @property
    def report(self) -> Report:
        """The settings as they are numbered, the last one 1; the recommended ones are starred."""
        rows = tuple(("*" if s.recommended else "", s.setting.lattice, f"{s.setting.delta:.4f}", f"{s.rmsd:.4f}",
                      format_value(s.experiments[0].known.crystal.unit_cell), s.setting.operator)
                     for s in self.solutions)
        heads = {"recommended": "recommended", "lattice": "lattice", "delta": "metric fit (deg)", "rmsd": "RMSD (mm)",
                 "cell": "unit cell", "operator": "change of basis"}
        return Report((Table("settings", "Bravais settings", heads, rows),), facts=dict(self._facts()))

    def _facts(self) -> list[tuple[str, Any]]:
        return [("settings", len(self.solutions)), ("best", self.best.setting.lattice),
                ("cell", self.experiments[0].known.crystal.unit_cell), ("change of basis", self.best.setting.operator)]


def refine_settings(experiments: ExperimentList, reflections: ReflectionTable,
                    options: RefineSettingsOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
                    progress: Progress | None = None, **named: Any) -> Settings:
    """Refine the models in each Bravais setting of the crystal's lattice, and say which fit.

    Parameters
    ----------
    experiments : ExperimentList
        Indexed as one crystal.
    reflections : ReflectionTable
        Indexed reflections.
    options : RefineSettingsOptions or dict, optional
        The parameters of ``xdp refine_bravais_settings``. No file is written.
    client : distributed.Client, optional
        One of its workers does the work; by default this process.
    progress : callable, optional
        Shows when the work is done.
    **named
        Parameters by name, laid over `options`: ``lepage_max_delta=2.0``.

    Returns
    -------
    Settings
        ``experiments`` and ``reflections`` are in the best setting; ``solutions`` are all of them.

    Raises
    ------
    XdpError
        If there is not exactly one crystal, or no reflection is indexed.

    Examples
    --------
    >>> import xdp
    >>> from xdp.simulation import make_spots
    >>> found = xdp.index(*make_spots())
    >>> settings = xdp.refine_settings(found.experiments, found.reflections)
    >>> settings.best.setting.lattice
    'tP'
    """
    chosen = make_options(RefineSettingsOptions, options, named)
    for line in chosen.refinement.list_unused():
        logger.info("%s", line)
    reflections = complete_table(experiments, reflections)
    log_unused_models(experiments, reflections)
    solutions = run_as_one_task(find_solutions, experiments, reflections, chosen.lepage_max_delta, chosen.refinement,
                                label="settings", client=client, progress=progress)
    # the triclinic setting has most parameters
    for line in list_unknown_names(solutions[-1].experiments, chosen.refinement.parameterisation):
        logger.warning("%s", line)
    return Settings(tuple(solutions), reflections)


def find_solutions(experiments: ExperimentList, reflections: ReflectionTable, max_delta: float = 5.0,
                   refinement: Refinement | None = None, sample: int = 3000) -> list[Solution]:
    """Refine the models in each setting, for :func:`refine_settings`.

    Parameters
    ----------
    experiments : ExperimentList
        Indexed as one crystal.
    reflections : ReflectionTable
        Indexed reflections.
    max_delta : float
        Largest allowed deviation from the symmetry, degrees.
    refinement : Refinement, optional
        How the models are refined.
    sample : int
        Reflections used at most in each refinement. 3000 determine the some twenty parameters of static models to a
        small part of their spread, which is all that a comparison of settings needs.

    Returns
    -------
    list of Solution
        In the order of :func:`sort_solutions`.
    """
    crystals = experiments.unique("crystal")
    if len(crystals) != 1:
        raise XdpError(f"Bravais settings are of one crystal, got {len(crystals)}: split the experiments first")
    indexed = reflections.select((reflections["id"] >= 0) & reflections.flags(Flag.INDEXED))
    if not len(indexed):
        raise XdpError("there are no indexed reflections: run xdp index first")
    options = (refinement or Refinement()).simplify(sample)
    primitive, to_primitive = _make_primitive(crystals[0])
    solutions = []
    for setting in find_bravais_settings(primitive, max_delta):
        transform = setting.transform @ to_primitive
        solutions.append(_refine_setting(experiments, indexed, replace(setting, transform=transform), options))
    return sort_solutions(_recommend(solutions))


def sort_solutions(solutions: Sequence[Solution]) -> list[Solution]:
    """Sort settings as DIALS numbers them: scripts name ``bravais_setting_9.expt``.

    Parameters
    ----------
    solutions : sequence of Solution

    Returns
    -------
    list of Solution
        The worst metric fit first, settings that fit equally well from the highest symmetry down. The last one,
        triclinic, is number 1.
    """
    falling = sorted(solutions, key=lambda s: -s.setting.delta)  # stable: equals stay as they stand
    groups: list[list[Solution]] = []
    for solution in falling:
        if groups and groups[-1][-1].setting.delta - solution.setting.delta < _SAME_FIT:
            groups[-1].append(solution)
        else:
            groups.append([solution])
    return [s for group in groups for s in sorted(group, key=lambda s: -LATTICES.index(s.setting.lattice))]


def choose_setting(solutions: Sequence[Solution]) -> Solution:
    """Choose the most symmetric of the recommended settings, of equal ones that which fits better.

    Parameters
    ----------
    solutions : sequence of Solution
        With the triclinic setting, which is always recommended.

    Returns
    -------
    Solution
    """
    recommended = [s for s in solutions if s.recommended]
    return min(recommended, key=lambda s: (-LATTICES.index(s.setting.lattice), s.setting.delta))


def _make_primitive(crystal: Crystal) -> tuple[np.ndarray, np.ndarray]:
    """Primitive axes of a crystal, and their matrix on its own axes (of thirds and halves where it is centred)."""
    matrix = find_primitive_change(crystal.space_group)
    return matrix @ crystal.real_space_matrix, matrix


def _refine_setting(experiments: ExperimentList, indexed: ReflectionTable, setting: Setting, options: Refinement
                    ) -> Solution:
    """The models refined in one setting, with the correlations of the intensities that its lattice relates."""
    import gemmi

    group = gemmi.find_spacegroup_by_number(LOWEST_GROUP[setting.lattice])
    moved, table = change_basis(experiments, indexed, setting.transform)
    crystal = impose_symmetry(moved[0].known.crystal.real_space_matrix, group)
    constrained = ExperimentList([replace(e, crystal=crystal) for e in moved], experiments.extra)
    result = refine_models(constrained, table, options)
    rms = result.steps[-1].rms
    correlations = correlate_related(table, _list_lattice_rotations(setting))
    return Solution(setting, result.experiments, float(np.hypot(rms[0], rms[1])), result.steps[-1].n_reflections,
                    correlations)


def _list_lattice_rotations(setting: Setting) -> np.ndarray:
    """Rotations of the highest chiral group of the lattice, without the identity."""
    import gemmi

    highest = {"a": "P1", "m": "P2", "o": "P222", "t": "P422", "h": "P622", "c": "P432"}
    name = "R32" if setting.lattice == "hR" else highest[setting.lattice[0]]
    return get_rotation_parts(gemmi.find_spacegroup_by_name(name))[1:]


def correlate_related(table: ReflectionTable, rotations: np.ndarray) -> tuple[float, ...]:
    """Correlate the intensities of reflections h and h W for each rotation W; Friedel mates count as one.

    Parameters
    ----------
    table : ReflectionTable
        With ``miller_index``, and ``intensity.prf.value`` or ``intensity.sum.value``.
    rotations : (n, 3, 3) of int
        On fractional coordinates.

    Returns
    -------
    tuple of float
        Spearman's rank correlations; none for a rotation that relates fewer than twenty reflections, or without
        intensities.
    """
    column = "intensity.prf.value" if "intensity.prf.value" in table else "intensity.sum.value"
    if column not in table:
        return ()
    unique, inverse = np.unique(_choose_friedel_mates(table["miller_index"]), axis=0, return_inverse=True)
    total = np.bincount(inverse.ravel(), weights=table[column])
    mean = total / np.bincount(inverse.ravel())
    place = {tuple(h): k for k, h in enumerate(unique.tolist())}
    found = []
    for w in rotations:
        other = _choose_friedel_mates(unique @ w)
        pairs = [(k, place[tuple(h)]) for k, h in enumerate(other.tolist()) if tuple(h) in place]
        first, second = (np.array([p[i] for p in pairs if p[0] != p[1]], dtype=np.int64) for i in (0, 1))
        if len(first) >= _MIN_PAIRS:
            found.append(_correlate_ranks(mean[first], mean[second]))
    return tuple(found)


def _correlate_ranks(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's correlation: spots cut off by the scan's ends, overloads and hot pixels do not dominate it."""
    first, second = (np.argsort(np.argsort(v, kind="stable"), kind="stable").astype(np.float64) for v in (x, y))
    return float(np.corrcoef(first, second)[0, 1])


def _choose_friedel_mates(hkl: np.ndarray) -> np.ndarray:
    """Of h and -h the one whose last non-zero index is positive."""
    h, k, m = hkl.T
    negative = (m < 0) | ((m == 0) & (k < 0)) | ((m == 0) & (k == 0) & (h < 0))
    return np.where(negative[:, None], -hkl, hkl)


def _recommend(solutions: Sequence[Solution]) -> list[Solution]:
    """Mark the settings that fit as well as the triclinic one, or whose intensities agree."""
    triclinic = solutions[-1].rmsd
    marked = []
    for solution in solutions:
        worst = min(solution.correlations, default=None)
        fits = solution.rmsd <= _RMSD_RATIO * triclinic
        agree = worst is None or worst >= _FAIR_CC
        strongly = worst is not None and worst >= _GOOD_CC
        good = (fits and agree) or (strongly and solution.rmsd <= _LARGER_RATIO * triclinic)
        marked.append(replace(solution, recommended=bool(good)))
    return marked
