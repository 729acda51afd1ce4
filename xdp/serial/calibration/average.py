"""Averages over shots: mean, standard deviation, maximum and minimum of each pixel.

Shots are taken in blocks of a fixed number, each summed by Welford's recurrence; the blocks are joined in their order.
Neither depends on how many workers there are, so that the results are the same to the last bit.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import XdpError
from xdp.serial.calibration._kernels import add_to_sums, join_sums
from xdp.serial.calibration.calibrate import Calibration
from xdp.serial.calibration.filters import ImageFilters
from xdp.serial.calibration.maps import fit_map, read_map
from xdp.serial.calibration.options import AverageOptions, CalibrationOptions
from xdp.serial.events.events import Events
from xdp.serial.events.shot import Shot
from xdp.work.progress import Progress, no_progress
from xdp.work.tasks import run_tasks

if TYPE_CHECKING:
    from distributed import Client

    from xdp.experiment import Experiment

logger = logging.getLogger(__name__)

# Shots of a block: sums of 64 shots are joined in a fifth of the time that summing one shot takes. A choice; another
# number changes the last digits of averages.
_BLOCK = 64


@dataclass
class ShotSums:
    """Sums over shots.

    Attributes
    ----------
    shapes : tuple of (slow, fast)
        Of the panels.
    n : (n_pixels,) int64
        Shots of each pixel.
    mean, squares, highest, lowest : (n_pixels,) float64
        Mean, sum of squares about it, maximum and minimum.
    """

    shapes: tuple[tuple[int, int], ...]
    n: np.ndarray
    mean: np.ndarray
    squares: np.ndarray
    highest: np.ndarray
    lowest: np.ndarray

    @classmethod
    def make_empty(cls, shapes: Sequence[tuple[int, int]]) -> ShotSums:
        """Make sums over no shots.

        Parameters
        ----------
        shapes : sequence of (slow, fast)
            Of the panels.
        """
        size = sum(slow * fast for slow, fast in shapes)
        return cls(tuple(shapes), np.zeros(size, np.int64), np.zeros(size), np.zeros(size), np.full(size, -np.inf),
                   np.full(size, np.inf))

    def add(self, image: Sequence[np.ndarray], valid: Sequence[np.ndarray] | None) -> None:
        """Add a shot.

        Parameters
        ----------
        image : sequence of (slow, fast) array
            Its panels.
        valid : sequence of (slow, fast) bool, or None
            Pixels that count.
        """
        values = np.concatenate([np.asarray(panel, np.float64).reshape(-1) for panel in image])
        used = np.zeros(0, bool) if valid is None else np.concatenate([panel.reshape(-1) for panel in valid])
        add_to_sums(values, used, self.n, self.mean, self.squares, self.highest, self.lowest)

    def join(self, other: ShotSums) -> None:
        """Add the sums over other shots."""
        join_sums(self.n, self.mean, self.squares, self.highest, self.lowest, other.n, other.mean, other.squares,
                  other.highest, other.lowest)


@dataclass
class BlockResult:
    """What a block of shots gives.

    Attributes
    ----------
    sums : ShotSums or None
        None where no shot could be used.
    values : list of (energy, distance, time)
        Of the shots that were used; None where one is not known.
    failures : list of (index, reason, message)
        Of the others.
    n_skipped : int
        Shots that a filter left out.
    experiment : Experiment or None
        Models of the first shot.
    """

    sums: ShotSums | None = None
    values: list[tuple[float | None, float | None, int | None]] = field(default_factory=list)
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    n_skipped: int = 0
    experiment: Experiment | None = None


@dataclass(frozen=True, repr=False)
class Averages(Displayed):
    """Averages over shots; pixels that no shot has are 0.

    Attributes
    ----------
    mean, stddev, maximum, minimum : list of (slow, fast) float64
        One array a panel.
    counts : list of (slow, fast) int64
        Shots of each pixel.
    n_shots, n_skipped : int
        How many shots were used, and how many a filter left out.
    divisor : str
        Of the variance: "n" or "n-1".
    wavelength, distance : float or None
        Means over the shots that have them, Å and mm.
    time : int or None
        Mean time, nanoseconds since 1970.
    failures : list of (index, reason, message)
        Shots that could not be used.
    experiment : Experiment or None
        Models of the first shot.
    """

    mean: list[np.ndarray]
    stddev: list[np.ndarray]
    maximum: list[np.ndarray]
    minimum: list[np.ndarray]
    counts: list[np.ndarray]
    n_shots: int
    n_skipped: int
    divisor: str
    wavelength: float | None
    distance: float | None
    time: int | None
    failures: list[tuple[int, str, str]]
    experiment: Experiment | None

    def _facts(self) -> list[tuple[str, Any]]:
        reasons = Counter(reason for _, reason, _ in self.failures)
        return [("shots", self.n_shots), ("left out", self.n_skipped), ("divisor", self.divisor),
                *((reason, n) for reason, n in sorted(reasons.items()))]


def average_events(events: Events, options: AverageOptions | None = None, *, client: Client | None = None,
                   n_threads: int = 1, progress: Progress | None = None) -> Averages:
    """Average the shots of a run.

    Parameters
    ----------
    events : Events
        The shots.
    options : AverageOptions, optional
        Which shots, calibration and filters.
    client : distributed.Client, optional
        Whose workers read the shots; by default threads of this process.
    n_threads : int, default 1
        Threads where there is no client.
    progress : callable, optional
        Shows how far it is.

    Returns
    -------
    Averages
        The same to the last bit for any number of threads and workers.

    Raises
    ------
    XdpError
        If no shot could be used.
    """
    options = options or AverageOptions()
    stop = len(events) if options.numevents is None else min(options.numevents, len(events))
    # Blocks begin at multiples of their size, whatever is left out before.
    edges = [options.skipevents, *range((options.skipevents // _BLOCK + 1) * _BLOCK, stop, _BLOCK), stop]
    tasks = [(a, b) for a, b in itertools.pairwise(edges) if a < b]
    shared = events, make_calibration(options), options
    total = BlockResult()
    with (progress or no_progress)(max(0, stop - options.skipevents), "shots") as advance:
        for task, block in zip(tasks, run_tasks(sum_block, shared, tasks, client=client, n_threads=n_threads),
                               strict=True):
            _join_blocks(total, block)
            advance(task[1] - task[0])
    return _finish(total, options)


def make_calibration(options: AverageOptions) -> Calibration:
    """Make the calibration of an average.

    Parameters
    ----------
    options : AverageOptions
        ``raw_data`` switches it off; ``gain_mask_value`` is a gain level without common mode.

    Returns
    -------
    Calibration
    """
    if options.raw_data:
        return Calibration(CalibrationOptions())
    chosen = options.calibration
    if options.gain_mask_value is not None:
        chosen = chosen.model_copy(update={"gain_map_level": options.gain_mask_value,
                                           "common_mode_correction": "none"})
    return Calibration(chosen)


def sum_block(shared: tuple[Events, Calibration, AverageOptions], start: int, stop: int) -> BlockResult:
    """Sum a block of shots.

    Parameters
    ----------
    shared : tuple
        Events, calibration and options.
    start, stop : int
        First shot, and the one behind the last.

    Returns
    -------
    BlockResult
    """
    events, calibration, options = shared
    result = BlockResult()
    background = None if options.background_pickle is None else read_map(options.background_pickle)
    filters: ImageFilters | None = None
    for index in range(start, stop):
        shot = events.read(index)
        if shot.failure is None and background is not None:
            shot = _subtract(shot, background, str(options.background_pickle))
        shot = calibration.apply(shot)
        if shot.failure is not None:
            result.failures.append((shot.index, *shot.failure))
            continue
        image: list[np.ndarray] | None = shot.image
        if _has_filters(options):
            filters = filters or _make_filters(options, calibration, shot)
            image = filters.apply(shot.image)
        if image is None:
            result.n_skipped += 1
            continue
        _add_shot(result, shot, image)
    return result


def _has_filters(options: AverageOptions) -> bool:
    """Whether images are changed or left out before they are added."""
    return bool(options.flags) or any(value is not None for value in (
        options.hot_threshold, options.gain_threshold, options.photon_threshold, options.two_photon_threshold))


def _make_filters(options: AverageOptions, calibration: Calibration, shot: Shot) -> ImageFilters:
    """The filters for the panels of a shot."""
    maps = calibration.get_maps([panel.shape for panel in shot.image])
    return ImageFilters(options, maps["dark"], maps["gain"])


def _subtract(shot: Shot, background: list[np.ndarray], where: str) -> Shot:
    """A shot without the background image."""
    from xdp.serial.events.failures import explain_failure

    try:
        panels = fit_map(background, [panel.shape for panel in shot.image], where)
    except XdpError as error:
        return dataclasses.replace(shot, failure=explain_failure(error))
    return dataclasses.replace(shot, image=[a.astype(np.float64) - b for a, b in zip(shot.image, panels, strict=True)])


def _add_shot(result: BlockResult, shot: Shot, image: Sequence[np.ndarray]) -> None:
    """Add a shot to the sums of its block."""
    shapes = tuple((panel.shape[0], panel.shape[1]) for panel in image)
    if result.sums is None:
        result.sums, result.experiment = ShotSums.make_empty(shapes), shot.experiment
    elif result.sums.shapes != shapes:
        result.failures.append((shot.index, "wrong shape", f"{shot.id}: its panels are not those of the shots before"))
        return
    result.sums.add(image, shot.valid)
    result.values.append((shot.photon_energy, shot.distance, shot.time))


def _join_blocks(total: BlockResult, block: BlockResult) -> None:
    """Add a block to those before it."""
    total.failures += block.failures
    total.n_skipped += block.n_skipped
    if block.sums is None:
        return
    if total.sums is None:
        total.sums, total.experiment = block.sums, block.experiment
    elif total.sums.shapes != block.sums.shapes:
        total.failures.append((-1, "wrong shape", f"{len(block.values)} shots have other panels than those before"))
        return
    else:
        total.sums.join(block.sums)
    total.values += block.values


def _finish(total: BlockResult, options: AverageOptions) -> Averages:
    """Averages of the sums."""
    if total.sums is None:
        reasons = Counter(reason for _, reason, _ in total.failures)
        why = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common()) or "there are none"
        first = f"; the first: {total.failures[0][2]}" if total.failures else ""
        raise XdpError(f"no shot could be averaged: {why}{first}")
    sums = total.sums
    has = sums.n > 0
    divisor = sums.n if options.divisor == "n" else np.maximum(sums.n - 1, 1)
    stddev = np.sqrt(sums.squares / np.maximum(divisor, 1))
    energies = [e for e, _, _ in total.values if e is not None and np.isfinite(e) and e > 0.0]
    from xdp.images.formats.hdf5.nexus_beam import EV_ANGSTROM

    distances = [d for _, d, _ in total.values if d is not None]
    times = [t for _, _, t in total.values if t is not None]
    return Averages(
        _split(sums.mean, sums.shapes), _split(stddev, sums.shapes), _split(np.where(has, sums.highest, 0.0),
                                                                            sums.shapes),
        _split(np.where(has, sums.lowest, 0.0), sums.shapes), _split(sums.n, sums.shapes), len(total.values),
        total.n_skipped, options.divisor,
        float(np.mean([EV_ANGSTROM / e for e in energies])) if energies else None,
        float(np.mean(distances)) if distances else None,
        # Whole numbers of Python: the sum of times of 64 bits would overflow.
        sum(times) // len(times) if times else None, total.failures, total.experiment)


def _split(values: np.ndarray, shapes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """Panels of a row of pixels."""
    ends = np.cumsum([slow * fast for slow, fast in shapes])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(values, ends), shapes, strict=True)]
