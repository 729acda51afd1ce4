"""The lattices of a shot: those of the known cells, of the run's own cells, or of a search in the shot alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.experiment import Experiment, ExperimentList
from xdp.indexing.index import index_sweeps
from xdp.indexing.options import KnownSymmetry
from xdp.indexing.shots.options import ShotSearch
from xdp.indexing.shots.result import make_shot_result
from xdp.indexing.shots.shot import ShotLattices, find_shot_lattices
from xdp.reflections.table import ReflectionTable
from xdp.serial.consensus.form_lattices import find_form_lattices
from xdp.serial.process.known_crystals import KnownCrystals, index_with_crystals
from xdp.serial.process.options import ShotProcessing

CELL_SEARCH = "fft1d"
"""The method that stands for the search for known cells, or for those of the run: the program's default."""
_FREE = {"ML_domain_size_ang": 1e6, "ML_half_mosaicity_deg": 0.0}
"""A crystal without mosaicity, where only one of the two is fixed: domains of 100 µm widen nothing."""


@dataclass(frozen=True)
class FoundLattices:
    """The lattices of a shot.

    Attributes
    ----------
    experiments : ExperimentList
        One a lattice.
    table : ReflectionTable
        Their spots; ``id`` counts the lattices.
    rmsd : float
        Root mean square distance of the spots from their predictions, pixels.
    false_alarm : float
        The largest false-alarm probability of the lattices; NaN where the method gives none.
    method : str
        How they were found.
    """

    experiments: ExperimentList
    table: ReflectionTable
    rmsd: float
    false_alarm: float
    method: str


class ShotIndexer:
    """Indexes shots.

    Parameters
    ----------
    options : ShotProcessing
        ``indexing`` and ``refinement``.
    forms : sequence of KnownSymmetry
        Cells that the shots of the run have in common, where none is known.

    Raises
    ------
    OptionError
        If an isoform has a ``beam_restraint``, which nothing here could obey.
    """

    def __init__(self, options: ShotProcessing, forms: Sequence[KnownSymmetry] = ()) -> None:
        if any(form.beam_restraint is not None for form in options.indexing.stills.isoforms):
            raise OptionError("indexing.stills.isoforms.beam_restraint: the beam of a shot is not refined, so that "
                              "there is nothing to compare; leave it out, and limit lattices by rmsd_target_mm")
        self.options = options
        self.forms = tuple(forms)

    @cached_property
    def known(self) -> KnownCrystals | None:
        """Crystals of an earlier run, read once; None where none are named."""
        names = self.options.indexing.stills.known_orientations
        return KnownCrystals(names) if names else None

    @property
    def cells(self) -> list[tuple[KnownSymmetry, float | None]]:
        """The cells that are sought, each with its limit of the RMSD (mm): the known ones, or those of the run."""
        known = self.options.indexing.known_symmetry
        cells: list[tuple[KnownSymmetry, float | None]] = [(known, None)] if known.unit_cell is not None else []
        for form in self.options.indexing.stills.isoforms:
            if form.cell is not None:
                cells.append((known.model_copy(update={"unit_cell": form.cell, "space_group": form.lookup_symbol}),
                              form.rmsd_target_mm))
        return cells or [(form, None) for form in self.forms]

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that are tried, in order."""
        indexing = self.options.indexing
        return indexing.stills.method_list or (indexing.method,)

    @property
    def needs_forms(self) -> bool:
        """Whether the cells of the run are wanted: none is known, and the search for cells is asked for."""
        return not self.cells and CELL_SEARCH in self.methods and self._may_search_cells

    @property
    def _may_search_cells(self) -> bool:
        """Whether shots may be searched for cells at all."""
        indexing = self.options.indexing
        return indexing.stills.indexer != "sequences" and indexing.known_symmetry.A_matrix is None

    def find(self, experiment: Experiment, spots: ReflectionTable, tag: str = "") -> FoundLattices:
        """Find the lattices of a shot.

        Parameters
        ----------
        experiment : Experiment
            Its beam and detector.
        spots : ReflectionTable
            Its spots.
        tag : str
            By which known crystals are found.

        Returns
        -------
        FoundLattices

        Raises
        ------
        XdpError
            If there is none, with the reason.
        """
        if self.known is not None:
            crystals = self.known.find(experiment, tag)
            if crystals:
                experiments, table = index_with_crystals(experiment, spots, crystals)
                return self._settle(FoundLattices(experiments, table, measure_rmsd(table), float("nan"), "known"))
            if self.options.indexing.stills.require_known_orientation:
                raise XdpError("it has no crystal in indexing.stills.known_orientations")
        reasons = []
        for method in self.methods:
            try:
                if method == CELL_SEARCH and self._may_search_cells and self.cells:
                    return self._settle(self._find_cells(experiment, spots))
                return self._settle(self._search_alone(experiment, spots, method))
            except XdpError as error:
                reasons.append(str(error))
        raise XdpError("; ".join(dict.fromkeys(reasons)))

    def _settle(self, found: FoundLattices) -> FoundLattices:
        """The lattices with the mosaicity that the options fix."""
        stills = self.options.indexing.stills
        fixed = {"ML_domain_size_ang": stills.set_domain_size_ang_value,
                 "ML_half_mosaicity_deg": stills.set_mosaic_half_deg_value}
        fixed = {name: value for name, value in fixed.items() if value is not None}
        if not fixed:
            return found
        changed = [replace(e, crystal=replace(e.known.crystal, extra=_FREE | e.known.crystal.extra | fixed))
                   for e in found.experiments]
        return replace(found, experiments=ExperimentList(changed))

    def _find_cells(self, experiment: Experiment, spots: ReflectionTable) -> FoundLattices:
        """The lattices of the cells; a shot may have crystals of several forms."""
        if all(target is None for _, target in self.cells):
            best = find_form_lattices(experiment, spots, [known for known, _ in self.cells],
                                      make_shot_search(self.options)).found
        else:
            best = self._find_isoform(experiment, spots)
        if not best.lattices:
            raise XdpError(best.reason)
        experiments, table = make_shot_result(experiment, best)
        n = np.array([lattice.n_explained for lattice in best.lattices])
        squares = np.array([lattice.rmsd_px for lattice in best.lattices]) ** 2
        return FoundLattices(experiments, table.select(table["id"] >= 0), float(np.sqrt((n * squares).sum() / n.sum())),
                             max(lattice.false_alarm_probability for lattice in best.lattices), "cell")

    def _find_isoform(self, experiment: Experiment, spots: ReflectionTable) -> ShotLattices:
        """The lattices of the one form that explains most spots, of those whose spots lie near their predictions."""
        trials, reasons = list[ShotLattices](), list[str]()
        for known, target in self.cells:
            found = find_shot_lattices(experiment, spots, known, make_shot_search(self.options))
            reasons.append(found.reason)
            trials.append(found if target is None else _keep_near(found, experiment, target, reasons))
        best = max(trials, key=_count_explained)
        return best if best.lattices else replace(best, reason="; ".join(dict.fromkeys(reasons)))

    def _search_alone(self, experiment: Experiment, spots: ReflectionTable, method: str) -> FoundLattices:
        """The lattices by a search that looks at this shot alone."""
        indexing = self.options.indexing.model_copy(update={"method": method})
        found = index_sweeps(ExperimentList([experiment]), spots, indexing, self.options.refinement)
        table = found.reflections.select(found.reflections["id"] >= 0)
        return FoundLattices(found.experiments, table, measure_rmsd(table), float("nan"), method)


def _keep_near(found: ShotLattices, experiment: Experiment, target: float, reasons: list[str]) -> ShotLattices:
    """The lattices of a form if their spots lie near enough to their predictions, mm."""
    size = float(np.mean(experiment.known.detector[0].pixel_size))
    if all(lattice.rmsd_px * size <= target for lattice in found.lattices):
        return found
    reasons.append(f"the best lattice has an RMSD above rmsd_target_mm={target:g}")
    return replace(found, lattices=())


def _count_explained(found: ShotLattices) -> int:
    """Spots that the lattices of a shot explain."""
    return sum(lattice.n_explained for lattice in found.lattices)


def measure_rmsd(table: ReflectionTable) -> float:
    """Measure the root mean square distance of indexed spots from their predictions.

    Parameters
    ----------
    table : ReflectionTable
        With ``xyzcal.px`` and ``xyzobs.px.value``.

    Returns
    -------
    float
        Pixels; NaN without spots.
    """
    if not len(table):
        return float("nan")
    offsets = table["xyzcal.px"][:, :2] - table["xyzobs.px.value"][:, :2]
    return float(np.sqrt((offsets ** 2).sum(axis=1).mean()))


def make_shot_search(options: ShotProcessing) -> ShotSearch:
    """Make the limits of the search for a cell from the parameters of indexing.

    Parameters
    ----------
    options : ShotProcessing

    Returns
    -------
    ShotSearch
    """
    several, stills = options.indexing.multiple_lattice_search, options.indexing.stills
    return ShotSearch(
        max_lattices=several.max_lattices, rmsd_max_px=stills.rmsd_min_px,
        max_proximal_volume=stills.ewald_proximal_volume_max, proximal_d_min=stills.ewald_proximity_resolution_cutoff,
        tries_others=stills.refine_all_candidates, rejects_outliers=stills.candidate_outlier_rejection)
