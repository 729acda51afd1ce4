"""One shot from its image to its intensities: what stops it on the way is its row in the table."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.experiment import Experiment
from xdp.indexing.options import KnownSymmetry
from xdp.integration.partiality.prior import PartialityPrior
from xdp.refinement.command_options import RefineOptions
from xdp.refinement.refine import refine
from xdp.reflections.table import ReflectionTable
from xdp.serial.calibration.calibrate import Calibration
from xdp.serial.events import Events
from xdp.serial.events.failures import check_shot, explain_failure
from xdp.serial.events.shot import Shot, ShotError
from xdp.serial.process.extras import ShotExtras, reindex_spots
from xdp.serial.process.geometry import ShotGeometry
from xdp.serial.process.integration import ShotIntegrator, count_strong
from xdp.serial.process.known_crystals import make_crystal_identifier
from xdp.serial.process.lattices import ShotIndexer, measure_rmsd
from xdp.serial.process.options import StillsProcessOptions
from xdp.serial.process.pixels import ProcessedImage, has_panel_models
from xdp.serial.process.results.record import ShotRecord
from xdp.serial.process.results.stream import measure_peaks
from xdp.serial.process.spots import ShotSpotFinder, SpotCounts, find_resolutions
from xdp.serial.process.tags import make_tag

MISS, HIT, JUNK, FAILED = "miss", "hit", "junk", "failed"
NOT_INDEXED, INDEXED, INTEGRATED = "not indexed", "indexed", "integrated"
"""How a shot ends, in the column ``verdict``."""


@dataclass
class ShotOutcome:
    """What became of a shot. Of a miss nothing is kept but its row.

    Attributes
    ----------
    row : dict
        Of the table of shots.
    lines : list of str
        For the log.
    imported : list of Experiment
        The shot's models before indexing, of hits.
    strong : ReflectionTable or None
        The spots of a hit.
    experiments : list of Experiment
        Its lattices after indexing.
    indexed : ReflectionTable or None
        Their spots.
    integrated_experiments : list of Experiment
        Those that were integrated.
    integrated : ReflectionTable or None
        Their reflections.
    reindexed : ReflectionTable or None
        All spots, indexed again with the refined models; ``id`` counts `experiments`.
    coset_experiments : list of Experiment
        The integrated crystals with doubled cells, where the negative control is wanted.
    coset : ReflectionTable or None
        Their reflections.
    peak_counts : (n,) float64 or None
        The highest counts near these, where a stream is written.
    profile_radius : float
        Radius of the reciprocal lattice points, 1/Å; 0 where it is not known.
    widths : list of tuple of list of float
        Of each fitted crystal the widths of lattice points by this shot alone and their variances, as
        :meth:`~xdp.integration.partiality.prior.PriorSums.add` takes them.
    """

    row: dict[str, Any]
    lines: list[str] = field(default_factory=list)
    imported: list[Experiment] = field(default_factory=list)
    strong: ReflectionTable | None = None
    experiments: list[Experiment] = field(default_factory=list)
    indexed: ReflectionTable | None = None
    integrated_experiments: list[Experiment] = field(default_factory=list)
    integrated: ReflectionTable | None = None
    reindexed: ReflectionTable | None = None
    coset_experiments: list[Experiment] = field(default_factory=list)
    coset: ReflectionTable | None = None
    peak_counts: np.ndarray | None = None
    profile_radius: float = 0.0
    widths: list[tuple[list[float], list[float]]] = field(default_factory=list)


class ShotProcessor:
    """Processes shots; what they share is made once. It travels to workers as options and names.

    Parameters
    ----------
    events : Events
    options : StillsProcessOptions
    record : ShotRecord
    forms : sequence of KnownSymmetry
        Cells that the shots have in common, where none is known.
    extras : ShotExtras, optional
        What ``xdp xtc_process`` does besides.
    """

    def __init__(self, events: Events, options: StillsProcessOptions, record: ShotRecord,
                 forms: Sequence[KnownSymmetry] = (), extras: ShotExtras | None = None) -> None:
        self.events, self.options, self.record = events, options, record
        self.geometry = ShotGeometry(options)
        self.calibration = Calibration(options.calibration)
        self.extras = extras or ShotExtras()
        self.finder = ShotSpotFinder(options.spotfinder, *self.extras.spot_limits)
        self.indexer = ShotIndexer(options, forms)
        self.integrator = ShotIntegrator(options, *self.extras.integration_limits)

    def with_prior(self, prior: PartialityPrior) -> ShotProcessor:
        """Give a processor that integrates with another prior of the widths of lattice points.

        Parameters
        ----------
        prior : PartialityPrior

        Returns
        -------
        ShotProcessor
            What is made once for all shots is shared with this one.
        """
        changed = copy.copy(self)
        changed.integrator = copy.copy(self.integrator)
        changed.integrator.prior = prior
        return changed

    def process(self, number: int) -> ShotOutcome | None:
        """Process a shot.

        Parameters
        ----------
        number : int
            Among the events.

        Returns
        -------
        ShotOutcome or None
            None for a shot whose time is none of those that are asked for.

        Raises
        ------
        XdpError
            With ``squash_errors=False``, at the first shot that fails.
        """
        tag = make_tag(self.events.get_id(number))
        self.record.write(tag, "start")
        shot = self.events.read(number)
        if not self.extras.is_wanted(shot):
            self.record.write(tag, "not_asked_for", "stop")
            return None
        outcome = ShotOutcome(_make_row(shot, self.extras.name_shot(shot, tag)))
        try:
            step = self._run(shot, tag, outcome)
        except OptionError:
            # what is wrong with a parameter is wrong for all shots
            raise
        # whatever is wrong with one shot, or with us, must not take the others of its worker
        except Exception as error:
            failure = shot.failure or explain_failure(error, shot.id.split(" //")[0])
            if not self.options.dispatch.squash_errors:
                if isinstance(error, XdpError):
                    raise XdpError(f"{tag}: {error}") from error
                raise
            stage = outcome.row["stage"]
            outcome = ShotOutcome(outcome.row | {"verdict": FAILED, "reason": failure.reason,
                                                 "message": failure.message})
            outcome.lines = [f"{tag}: failed ({failure.reason}): {failure.message}"]
            self.record.write(tag, f"{stage}_exception", "fail")
            return outcome
        self.record.write(tag, *step)
        return outcome

    def find_hit(self, number: int) -> tuple[Experiment, ReflectionTable] | None:
        """Find the spots of a shot, and do no more.

        Parameters
        ----------
        number : int
            Among the events.

        Returns
        -------
        Experiment, ReflectionTable
            The models of the shot and its spots; None where it is no hit.

        Raises
        ------
        XdpError
            If the shot cannot be used.
        """
        shot = self.events.read(number)
        image = self._prepare(shot, self._correct(shot))
        spots, _ = self.finder.find(image)
        return (image.experiment, spots) if self._judge(len(spots))[0] == HIT else None

    def _run(self, shot: Shot, tag: str, outcome: ShotOutcome) -> tuple[str, str]:
        """All steps of a shot; the last line of its record."""
        row, dispatch = outcome.row, self.options.dispatch
        corrected = self._correct(shot)
        image = self._prepare(shot, corrected)
        name = row["tag"]
        self.extras.dump("shot", corrected, name)
        row |= self.extras.measure_rings(corrected)
        if not dispatch.find_spots:
            row["verdict"] = MISS
            return "data_loaded", "done"
        row["stage"] = "spotfinding"
        self.record.write(tag, "spotfind_start")
        spots, counts = self.finder.find(image)
        self._note_spots(image, spots, counts, outcome)
        verdict, why = self._judge(len(spots))
        row["verdict"] = verdict
        if why:
            outcome.lines[-1] += f"; {why}"
            return f"{'too_many' if verdict == JUNK else 'not_enough'}_spots_{len(spots)}", "stop"
        outcome.imported, outcome.strong = [image.experiment], spots
        self.extras.dump("hit", corrected, name)
        if not dispatch.index:
            return f"spotfinding_ok_{len(spots)}", "done"
        row["stage"] = "index"
        self.record.write(tag, "index_start")
        try:
            self._index(tag, image, spots, outcome)
        except OptionError:
            raise
        except XdpError as error:
            if not dispatch.squash_errors:
                raise
            row |= {"verdict": NOT_INDEXED, "reason": "not indexed", "message": f"{shot.id}: {error}"}
            outcome.lines.append(f"{row['tag']}: not indexed: {error}")
            return f"indexing_failed_{len(spots)}", "stop"
        self.extras.dump("idx", corrected, name)
        if self.extras.reindexed_name is not None:
            outcome.reindexed = reindex_spots(outcome.experiments, spots)
        return self._finish(tag, image, outcome)

    def _correct(self, shot: Shot) -> Shot:
        """A shot with its geometry, corrected and masked."""
        if shot.failure is None:
            shot = self.geometry.apply(shot)
            self.geometry.check_gain(shot)
        corrected = check_shot(self.calibration.apply(shot), self.options.checks)
        return corrected if corrected.failure is not None else self.extras.mask_shot(corrected)

    def _prepare(self, shot: Shot, corrected: Shot) -> ProcessedImage:
        """The image of a shot that can be used."""
        if corrected.failure is not None:
            raise ShotError(*corrected.failure)
        if corrected.experiment is None or not has_panel_models(corrected.experiment):
            raise ShotError("no geometry", f"{shot.id}: has no detector or no beam: give events.geometry (.geom or "
                            ".expt), or input.reference_geometry")
        experiment = dataclasses.replace(corrected.experiment, goniometer=None, scan=None, crystal=None)
        is_same = self.calibration.does_nothing
        return ProcessedImage(experiment, shot.image, shot.image if is_same else corrected.image, corrected.valid)

    def _judge(self, n_spots: int) -> tuple[str, str]:
        """Whether a shot is a hit, and why not."""
        options = self.options.dispatch.hit_finder
        most = options.maximum_number_of_reflections
        if options.enable and n_spots < options.minimum_number_of_reflections:
            return MISS, f"no hit: at least {options.minimum_number_of_reflections} spots make one"
        if options.enable and most is not None and n_spots > most:
            return JUNK, f"junk: more than {most} spots"
        return (HIT, "") if n_spots else (MISS, "no hit")

    def _note_spots(self, image: ProcessedImage, spots: ReflectionTable, counts: SpotCounts, outcome: ShotOutcome
                    ) -> None:
        """Put what was found into the row and the log."""
        row = outcome.row
        row |= {"n_strong_pixels": counts.strong_pixels, "n_found": counts.found, "n_too_small": counts.too_small,
                "n_too_large": counts.too_large, "n_filtered": counts.far + counts.sloping + counts.crowded,
                "n_peaks": len(spots)}
        if len(spots):
            row["d_min_spots"] = float(find_resolutions(image.experiment, spots).min())
        outcome.lines.append(
            f"{row['tag']}: {counts.strong_pixels} strong pixels, {counts.found} components: {counts.too_small} too "
            f"small, {counts.too_large} too large, {counts.far + counts.sloping + counts.crowded} dropped by filters; "
            f"{len(spots)} spots" + (f", the finest at {row['d_min_spots']:.2f} Å" if len(spots) else ""))

    def _index(self, tag: str, image: ProcessedImage, spots: ReflectionTable, outcome: ShotOutcome) -> None:
        """Find the lattices of a hit."""
        row = outcome.row
        found = self.indexer.find(image.experiment, spots, tag)
        experiments, table, rmsd = found.experiments, found.table, found.rmsd
        if self.options.dispatch.refine:
            row["stage"] = "refine"
            self.record.write(tag, "refine_start")
            refined = refine(experiments, table, RefineOptions(refinement=self.options.refinement))
            experiments, table = refined.experiments, refined.reflections
            table = table.select(table["id"] >= 0)
            rmsd = measure_rmsd(table)
        outcome.experiments = self._name_crystals(experiments, row)
        outcome.indexed = table
        cell = experiments[0].known.crystal.unit_cell
        row |= {"verdict": INDEXED, "n_lattices": len(experiments), "n_indexed": len(table), "rmsd": rmsd,
                "false_alarm": found.false_alarm}
        row |= {f"cell_{name}": float(value) for name, value in zip(CELL, cell, strict=True)}
        shown = " ".join(f"{v:.2f}" for v in cell)
        lattices = "" if len(experiments) == 1 else f" by {len(experiments)} lattices"
        outcome.lines.append(f"{row['tag']}: {len(table)} of {len(spots)} spots indexed{lattices}, cell {shown}, "
                             f"RMSD {rmsd:.3f} px")

    def _name_crystals(self, experiments: Sequence[Experiment], row: dict[str, Any]) -> list[Experiment]:
        """Lattices with identifiers that follow from the shot, so that they are the same in each run."""
        name = make_tag(row["id"])
        if self.extras.time_identifiers and row["timestamp"]:
            name = row["timestamp"]
        return [dataclasses.replace(e, identifier=make_crystal_identifier(name, k)) for k, e in enumerate(experiments)]

    def _finish(self, tag: str, image: ProcessedImage, outcome: ShotOutcome) -> tuple[str, str]:
        """Integrate the lattices of a shot; a shot that cannot be integrated stays indexed."""
        indexed, row = outcome.indexed, outcome.row
        assert indexed is not None
        if not self.options.dispatch.integrate:
            return f"index_ok_{len(indexed)}", "done"
        row["stage"] = "integrate"
        self.record.write(tag, "integrate_start")
        try:
            experiments, table, fits = self.integrator.integrate(image, outcome.experiments, indexed)
        except OptionError:
            raise
        except Exception as error:
            if not self.options.dispatch.squash_errors:
                raise
            row |= {"reason": "not integrated", "message": f"{tag}: {error}"}
            outcome.lines.append(f"{row['tag']}: not integrated: {error}")
            return f"integrate_failed_{len(indexed)}", "fail"
        outcome.integrated_experiments, outcome.integrated = experiments, table
        outcome.widths = [(fit.widths.tolist(), fit.width_variances.tolist()) for fit in fits]
        if self.options.output.stream is not None:
            outcome.peak_counts = measure_peaks(image.image, table)
        if self.options.dispatch.coset:
            outcome.coset_experiments, outcome.coset = self.integrator.integrate_coset(image, experiments)
        row |= {"verdict": INTEGRATED, "n_integrated": len(table), "n_strong": count_strong(table),
                "resolution": float(table["d"].min())}
        outcome.lines.append(f"{row['tag']}: {len(table)} reflections integrated, {row['n_strong']} of at least 3 "
                             "sigma")
        return f"integrate_ok_{len(table)}", "done"


CELL = ("a", "b", "c", "alpha", "beta", "gamma")


def _make_row(shot: Shot, tag: str) -> dict[str, Any]:
    """The row of a shot before anything is known of it."""
    row = {"index": shot.index, "id": shot.id, "tag": tag, "time": -1 if shot.time is None else shot.time,
           "timestamp": shot.timestamp or "", "photon_energy": shot.photon_energy, "distance": shot.distance,
           "pulse_energy": shot.pulse_energy, "verdict": FAILED, "reason": "", "message": "", "stage": "preprocess"}
    return row | {f"scalar.{name}": value for name, value in shot.scalars.items()}
