"""The spots that are to be indexed: where they are in reciprocal space under the present geometry."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.prediction.centroids import centroids_to_mm, compute_diffracted_rays, compute_lattice_points
from xdp.prediction.completion import complete_table
from xdp.reflections.flags import Flag
from xdp.reflections.sound import keep_sound_rows
from xdp.reflections.table import ReflectionTable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReciprocalSpots:
    """Strong spots with their reciprocal lattice points.

    Attributes
    ----------
    table : ReflectionTable
        With ``xyzobs.mm.*``, ``s1``, ``rlp``, ``imageset_id`` and ``id`` (-1 where not indexed).
    """

    table: ReflectionTable

    def __len__(self) -> int:
        return len(self.table)

    @property
    def points(self) -> np.ndarray:
        """Reciprocal lattice points (n, 3) in 1/Å."""
        return self.table["rlp"]

    @property
    def phi(self) -> np.ndarray:
        """Rotation angles (n,), radians."""
        return self.table["xyzobs.mm.value"][:, 2]

    @property
    def sweep(self) -> np.ndarray:
        """The sweep of each spot (n,): its place in the list of experiments that were given."""
        return self.table["imageset_id"]

    @property
    def d(self) -> np.ndarray:
        """Resolution (n,) in Å."""
        # a spot on the direct beam has no resolution: a very large one
        return 1.0 / np.maximum(np.linalg.norm(self.points, axis=1), 1e-12)


def find_sweep_of_spots(experiments: ExperimentList, table: ReflectionTable) -> np.ndarray:
    """Find the experiment whose images each spot is on.

    ``imageset_id`` numbers image sets, of which several experiments, such as stills of one series or crystals of one
    sweep, may share one. Then ``id`` names the experiment of a spot, and where it is -1 the frame does.

    Parameters
    ----------
    experiments : ExperimentList
        As they were read with the table.
    table : ReflectionTable
        With ``id``, ``imageset_id`` or both.

    Returns
    -------
    (n,) of int
        A number may lie outside of the list: the caller says so.

    Examples
    --------
    >>> from xdp.simulation import make_spots
    >>> experiments, spots = make_spots(n_spots=5)
    >>> find_sweep_of_spots(experiments, spots).tolist()
    [0, 0, 0, 0, 0]
    """
    if "imageset_id" not in table:
        return table["id"].astype(np.int64)
    number = table["imageset_id"].astype(np.int64)
    owners = [e.imageset for e in experiments]
    if len(owners) < 2 or None in owners or len({id(s) for s in owners}) == len(owners) or "id" not in table:
        return number
    ids = table["id"].astype(np.int64)
    found = np.where(ids >= 0, ids, number)
    frame = table["xyzobs.px.value"][:, 2]
    sets = {id(s): k for k, s in enumerate(experiments.unique("imageset"))}
    # the last experiments first, so that of several on the same frames the first one counts
    for k in reversed(range(len(experiments))):
        scan = experiments[k].scan
        inside = np.ones(len(table), dtype=bool) if scan is None else (
            (frame >= scan.array_range[0]) & (frame <= scan.array_range[1]))
        found[(ids < 0) & (number == sets[id(owners[k])]) & inside] = k
    return found


def join_sweeps(experiments: ExperimentList, table: ReflectionTable) -> tuple[ExperimentList, ReflectionTable]:
    """Take crystals away, and join experiments of one sweep; crystals that are not used are mentioned.

    Parameters
    ----------
    experiments : ExperimentList
        With or without crystals.
    table : ReflectionTable
        The spots.

    Returns
    -------
    sweeps : ExperimentList
        Without crystals, each set of images once.
    table : ReflectionTable
        ``imageset_id`` and ``id`` name the sweep.
    """
    crystals = experiments.unique("crystal")
    if crystals:
        logger.info("%s of the input %s not used: the spots are indexed anew", f"{len(crystals)} crystals" if
                    len(crystals) > 1 else "The crystal", "are" if len(crystals) > 1 else "is")
    sweep, place, kept = find_sweep_of_spots(experiments, table), [], list[Experiment]()
    for experiment in experiments:
        models = ("beam", "detector", "goniometer", "scan", "imageset")
        # experiments without images are told apart by nothing: each is a sweep of its own
        same = [k for k, other in enumerate(kept) if experiment.imageset is not None and all(
            getattr(experiment, name) is getattr(other, name) for name in models)]
        place.append(same[0] if same and experiment.crystal is not None else len(kept))
        if place[-1] == len(kept):
            kept.append(replace(experiment, crystal=None))
    inside = (sweep >= 0) & (sweep < len(place))
    sweep = np.where(inside, np.array([*place, 0])[np.where(inside, sweep, 0)], sweep)
    number = sweep.astype(np.int32)
    return ExperimentList(kept, experiments.extra), table.with_columns(imageset_id=number, id=number)


def load_spots(sweeps: ExperimentList, table: ReflectionTable) -> ReciprocalSpots:
    """Take the strong spots of a table and map them to reciprocal space.

    Parameters
    ----------
    sweeps : ExperimentList
        The geometry.
    table : ReflectionTable
        With pixel positions; ``imageset_id`` (or ``id``) names the sweep. All rows are taken if none has the flag
        ``strong``.

    Returns
    -------
    ReciprocalSpots
        None of them is indexed.

    Raises
    ------
    XdpError
        If there are no spots, or they belong to sweeps that are not there.
    """
    table = complete_table(sweeps, table)
    if table.flags(Flag.STRONG).any():
        table = table.select(table.flags(Flag.STRONG))
    table = keep_sound_rows(table)
    if not len(table):
        raise XdpError("indexing: there are no strong spots to index; look at the images and the spot finding")
    sweep = find_sweep_of_spots(sweeps, table)
    if sweep.min() < 0 or sweep.max() >= len(sweeps):
        raise XdpError(f"indexing: the spots refer to experiment {int(sweep.max())}, but there are {len(sweeps)}: "
                       "give the .expt that the spots were found with")
    for number, experiment in enumerate(sweeps):
        _check_sweep(experiment, number, table["xyzobs.px.value"][sweep == number, 2])
    n = len(table)
    # from here on `imageset_id` is the sweep, and `id` the crystal
    table = table.with_columns(imageset_id=sweep.astype(np.int32), id=np.full(n, -1, dtype=np.int32),
                               miller_index=np.zeros((n, 3), dtype=np.int32))
    return map_spots(sweeps, table)


def _check_sweep(experiment: Experiment, number: int, frames: np.ndarray) -> None:
    """Stop if a sweep lacks a model that is needed, or its spots do not lie on its frames."""
    for name in ("beam", "detector"):
        if getattr(experiment, name) is None:
            raise XdpError(f"indexing: experiment {number} has no {name}; import the images again, with geometry if "
                           "the headers have none")
    if experiment.scan is None or not len(frames):
        return
    if experiment.goniometer is None and not experiment.scan.is_still and experiment.scan.n_frames > 1:
        raise XdpError(f"indexing: experiment {number} is a scan of {experiment.scan.n_frames} images without a "
                       "goniometer; give the rotation axis on import (geometry.goniometer.axis=1,0,0)")
    first, last = experiment.scan.array_range
    # centroids of spots that are cut off by the ends of the scan may lie a little outside
    if not experiment.is_still and (frames.min() < first - 1 or frames.max() > last + 1):
        raise XdpError(f"indexing: spots lie on frames {frames.min():.0f} to {frames.max():.0f}, but experiment "
                       f"{number} has {first} to {last}: the .expt and the .refl do not belong together")


def select_images(sweeps: ExperimentList, table: ReflectionTable, image_range: tuple[int, int]) -> ReflectionTable:
    """Select the spots on some images.

    Parameters
    ----------
    sweeps : ExperimentList
        Their scans number the images.
    table : ReflectionTable
        The spots.
    image_range : (int, int)
        First and last image, numbered as in the file names.

    Raises
    ------
    XdpError
        If the last image comes before the first, or there are no spots.
    """
    first, last = image_range
    if last < first:
        raise XdpError(f"image_range={first},{last}: the last image must not be before the first")
    frame = table["xyzobs.px.value"][:, 2]
    sweep = find_sweep_of_spots(sweeps, table)
    # frames count from the scan's own start, images from 1
    offset = np.array([0 if s.scan is None else s.scan.image_range[0] - 1 - s.scan.array_range[0] for s in sweeps])
    number = np.floor(frame).astype(np.int64) + 1 + offset[np.clip(sweep, 0, len(sweeps) - 1)]
    chosen = table.select((number >= first) & (number <= last))
    if not len(chosen):
        raise XdpError(f"image_range={first},{last}: no spots there; they are on images {number.min()} to "
                       f"{number.max()}")
    return chosen


def map_spots(sweeps: ExperimentList, table: ReflectionTable) -> ReciprocalSpots:
    """Map spots to reciprocal space under the geometry of `sweeps` (one experiment for each ``imageset_id``).

    Raises
    ------
    XdpError
        If a spot lies on a panel that the detector does not have.
    """
    n = len(table)
    value, variance, s1, rlp = (np.zeros((n, 3)) for _ in range(4))
    panel = table["panel"].astype(np.int64)
    for number, sweep in enumerate(sweeps):
        rows = np.flatnonzero(table["imageset_id"] == number)
        if not len(rows):
            continue
        n_panels = len(sweep.known.detector)
        if panel[rows].max() >= n_panels:
            raise XdpError(f"indexing: spots lie on panel {int(panel[rows].max())}, but the detector has "
                           f"{n_panels}: the .expt and the .refl do not belong together")
        value[rows], variance[rows] = centroids_to_mm(
            sweep, panel[rows], table["xyzobs.px.value"][rows], table["xyzobs.px.variance"][rows])
        s1[rows] = compute_diffracted_rays(sweep, panel[rows], value[rows, :2])
        rlp[rows] = compute_lattice_points(sweep, s1[rows], value[rows, 2])
    return ReciprocalSpots(table.with_columns(**{
        "xyzobs.mm.value": value, "xyzobs.mm.variance": variance, "s1": s1, "rlp": rlp}))
