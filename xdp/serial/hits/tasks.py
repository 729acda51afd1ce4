"""Tasks of hit finding: batches of shots, measured one by one. An error of one is recorded, and the others go on."""

from __future__ import annotations

import dataclasses
import functools
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xdp.experiment import Detector, Experiment
from xdp.serial.calibration import Calibration
from xdp.serial.events import Events
from xdp.serial.events.failures import check_shot, explain_failure
from xdp.serial.events.options import ShotChecks
from xdp.serial.events.shot import Shot, ShotFailure
from xdp.serial.hits.measures import HitCount, HitMeasure, RingMeasure, estimate_shot_resolution
from xdp.serial.hits.own_misses import ShotRings
from xdp.serial.hits.powder import PowderSums
from xdp.serial.hits.table import Columns

log = logging.getLogger(__name__)

LOWEST = -1e30
"""Stands for no limit: below all counts, and a finite number, as models have them."""


class KeptShots:
    """Shots that were read for the sample and are measured later: a short run is then read once, not twice.

    They stay in this process: a copy that is sent to a worker is empty.

    Parameters
    ----------
    n_bytes : int
        Most bytes of images that are kept.
    """

    def __init__(self, n_bytes: int = 0) -> None:
        self.n_bytes = n_bytes
        self._shots: dict[int, Shot] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type, tuple]:
        return type(self), ()

    def add(self, number: int, shot: Shot) -> None:
        """Keep a shot if there is room.

        Parameters
        ----------
        number : int
            By which it is asked for.
        shot : Shot
        """
        size = sum(panel.nbytes for panel in shot.image or ())
        with self._lock:
            if size <= self.n_bytes:
                self.n_bytes -= size
                self._shots[number] = shot

    def take(self, number: int) -> Shot | None:
        """Give a shot away; None where it was not kept."""
        with self._lock:
            return self._shots.pop(number, None)


@dataclass(frozen=True)
class HitWork:
    """What all tasks of a run have in common.

    Attributes
    ----------
    events : Events
    measure : HitMeasure
    checks : ShotChecks
        When a shot is set aside.
    with_powder : bool
        Whether sums and maxima are wanted.
    with_experiments : bool
        Whether the experiments of the hits are wanted.
    kept : KeptShots
        Shots of the sample.
    calibration : Calibration, optional
        Corrects raw counts.
    """

    events: Events
    measure: HitMeasure
    checks: ShotChecks
    with_powder: bool = True
    with_experiments: bool = False
    kept: KeptShots = field(default_factory=KeptShots)
    calibration: Calibration | None = None

    def prepare(self, shot: Shot) -> Shot:
        """Check a shot as it was read, and correct its counts.

        Parameters
        ----------
        shot : Shot

        Returns
        -------
        Shot
            With its failure, where there is one. The lower end of the trusted range is that of raw counts: corrected
            ones have none.
        """
        shot = check_shot(shot, self.checks)
        if shot.failure is not None or self.calibration is None or self.calibration.does_nothing:
            return shot
        shot = self.calibration.apply(shot)
        models = shot.experiment
        if models is None or models.detector is None:
            return shot
        return dataclasses.replace(shot, experiment=dataclasses.replace(models, detector=open_ranges(models.detector)))


@functools.lru_cache(maxsize=64)
def open_ranges(detector: Detector) -> Detector:
    """A detector without lowest trusted counts; the same object for the same detector.

    Parameters
    ----------
    detector : Detector

    Returns
    -------
    Detector
    """
    return dataclasses.replace(detector, panels=tuple(
        dataclasses.replace(panel, trusted_range=(LOWEST, panel.trusted_range[1])) for panel in detector))


@dataclass
class HitBatch:
    """What was found on the shots of a batch.

    Attributes
    ----------
    columns : dict of str to (n,) array
        Rows of the table.
    powder : (PowderSums, PowderSums)
        Of the hits and of the misses.
    experiments : list of Experiment
        Of the hits, where they were asked for.
    """

    columns: Columns
    powder: tuple[PowderSums, PowderSums]
    experiments: list[Experiment] = field(default_factory=list)


def look_at_shots(work: HitWork, shots: Sequence[int]) -> list[ShotRings]:
    """Look at shots of the sample from which the run's thresholds follow.

    Parameters
    ----------
    work : HitWork
        With a measure by rings.
    shots : sequence of int
        Numbers of the shots.

    Returns
    -------
    list of ShotRings
        Of those that can be used.
    """
    found: list[ShotRings] = []
    assert isinstance(work.measure, RingMeasure)
    for number in shots:
        read = work.events.read(number)
        work.kept.add(number, read)
        shot = work.prepare(read)
        if shot.failure is None:
            # what goes wrong here goes wrong again when all shots are measured, and is recorded then
            try:
                found.append(work.measure.look(shot)[0])
            except Exception as error:
                log.debug("%s: %s", shot.id, error)
    return found


def measure_shots(work: HitWork, first: int, last: int) -> HitBatch:
    """Measure the shots of a batch.

    Parameters
    ----------
    work : HitWork
    first, last : int
        Numbers of the shots, the last one excluded.

    Returns
    -------
    HitBatch
    """
    rows, experiments = [], []
    powder = PowderSums(), PowderSums()
    for number in range(first, last):
        shot, count, resolution = measure_shot(work, number)
        rows.append(_make_row(shot, count, resolution))
        if count is None:
            continue
        if work.with_powder:
            powder[0 if count.is_hit else 1].add(shot.image, shot.valid)
        if count.is_hit and work.with_experiments and shot.experiment is not None:
            experiments.append(shot.experiment)
    return HitBatch(_make_columns(rows), powder, experiments)


def measure_shot(work: HitWork, number: int) -> tuple[Shot, HitCount | None, float]:
    """Read, check and measure one shot; whatever goes wrong becomes its failure.

    Parameters
    ----------
    work : HitWork
    number : int

    Returns
    -------
    Shot, HitCount or None, float
        The shot, with its failure; what was found; the resolution, Å.
    """
    read = shot = work.kept.take(number) or work.events.read(number)
    try:
        shot = work.prepare(read)
        if shot.failure is not None:
            return shot, None, float("nan")
        count = work.measure.measure(shot)
        # corrections change the counts alone
        shot = dataclasses.replace(shot, experiment=read.experiment)
        models = shot.experiment
        if models is None or models.detector is None or models.beam is None:
            return shot, count, float("nan")
        return shot, count, estimate_shot_resolution(models.detector, models.beam, count)
    except Exception as error:
        return dataclasses.replace(shot, failure=explain_failure(error, shot.id.split(" //")[0])), None, float("nan")


def _make_row(shot: Shot, count: HitCount | None, resolution: float) -> dict:
    """The row of a shot in the table."""
    failure = shot.failure or ShotFailure("", "")
    row = {"index": shot.index, "id": shot.id, "time": -1 if shot.time is None else shot.time,
           "timestamp": shot.timestamp or "", "photon_energy": shot.photon_energy, "distance": shot.distance,
           "pulse_energy": shot.pulse_energy, "n_peaks": 0 if count is None else count.n_peaks,
           "resolution": resolution, "background": None if count is None else count.background,
           "verdict": "failed" if count is None else "hit" if count.is_hit else "miss", "reason": failure.reason,
           "message": failure.message}
    return row | {f"scalar.{name}": value for name, value in shot.scalars.items()}


def _make_columns(rows: Sequence[dict]) -> Columns:
    """Rows as columns; what a row lacks is NaN."""
    from xdp.serial.hits.table import COLUMNS, TEXT

    names = list(COLUMNS) + sorted({name for row in rows for name in row} - set(COLUMNS))
    columns: Columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        kind = COLUMNS.get(name, "float64")
        if kind == TEXT:
            columns[name] = np.array(values, object)
        else:
            columns[name] = np.array([np.nan if v is None else v for v in values], kind)
    return columns
