"""Spot lists without images: the centroids a spot finder would report, with errors, spurious spots and known truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xdp.experiment.crystal import Crystal, b_matrix
from xdp.experiment.detector import Detector, move_panels
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.prediction.reflections import predict_rotation, predict_stills
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import (
    draw_rotation,
    make_beam,
    make_crystal,
    make_detector,
    make_goniometer,
    make_scan,
)

#: For each Bravais type the Hall symbol of its lowest chiral space group.
HALL = {"aP": " P 1", "mP": " P 2y", "mC": " C 2y", "oP": " P 2 2", "oC": " C 2 2", "oF": " F 2 2", "oI": " I 2 2",
        "tP": " P 4", "tI": " I 4", "hP": " P 3", "hR": " R 3", "cP": " P 2 2 3", "cF": " F 2 2 3", "cI": " I 2 2 3"}


@dataclass(frozen=True)
class SpotList:
    """Simulated strong spots and what they really are.

    Attributes
    ----------
    table : ReflectionTable
        As a spot finder writes it: ``xyzobs.px.*``, ``bbox``, ``panel``, ``id``, ``imageset_id``, ``flags``, intensity.
    crystal : (n,) int
        The crystal a spot comes from, -1 for a spurious one.
    miller_index : (n, 3) int
        Its true index, (0, 0, 0) for a spurious one.
    """

    table: ReflectionTable
    crystal: np.ndarray
    miller_index: np.ndarray


def draw_cell(lattice: str, shortest: float, longest: float, rng: np.random.Generator) -> tuple[float, ...]:
    """Draw a conventional cell of a Bravais type with random edges.

    Parameters
    ----------
    lattice : str
        The Bravais type, such as "oP"; its first letter says which edges and angles are free.
    shortest, longest : float
        Limits of the edges, Å.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of six float
        Å, degrees.
    """
    # evenly in the logarithm: short edges are as frequent as long ones
    a, b, c = np.exp(rng.uniform(np.log(shortest), np.log(longest), 3))
    if lattice[0] == "a":
        return (a, b, c, *rng.uniform(75.0, 110.0, 3))
    if lattice[0] == "m":
        return (a, b, c, 90.0, rng.uniform(91.0, 118.0), 90.0)
    if lattice[0] == "o":
        return (a, b, c, 90.0, 90.0, 90.0)
    if lattice[0] == "t":
        return (a, a, c, 90.0, 90.0, 90.0)
    return (a, a, c, 90.0, 90.0, 120.0) if lattice[0] == "h" else (a, a, a, 90.0, 90.0, 90.0)


def draw_crystal(lattice: str, cell: Sequence[float], seed: int) -> Crystal:
    """Draw a crystal in a random orientation.

    Parameters
    ----------
    lattice : str
        The Bravais type, one of :data:`HALL`.
    cell : six float
        Conventional cell, Å and degrees.
    seed : int
        Of the orientation.

    Returns
    -------
    Crystal
        In the lowest chiral space group of its type.
    """
    a, b, c = (tuple(float(v) for v in row) for row in np.linalg.inv(draw_rotation(seed) @ b_matrix(tuple(cell))))
    return Crystal(a, b, c, HALL[lattice])


def simulate_spot_list(experiments: Sequence[Experiment], rng: np.random.Generator, *, n_spots: int = 1000,
                       d_min: float = 2.0, spurious: float = 0.0, sigma_px: float = 0.2, sigma_frame: float = 0.1
                       ) -> SpotList:
    """The spots of one or more crystals on one sweep or still, `spurious` of all of them at random places.

    Intensities follow Wilson's exponential distribution and fall with resolution; the strongest are the spots.

    Parameters
    ----------
    experiments : sequence of Experiment
        One for each crystal, of one sweep.
    n_spots : int
        Spots from crystals at most, equally many from each.
    d_min : float
        Finest resolution, Å.
    spurious : float
        The fraction of all spots that belong to nothing, below 1.
    sigma_px, sigma_frame : float
        Errors of the centroids.

    Returns
    -------
    SpotList
        In the order of frames, panels and rows.
    """
    parts = [_choose_strongest(e, n_spots // len(experiments), d_min, rng) for e in experiments]
    xyz = np.concatenate([p["xyzcal.px"] for p in parts])
    crystal = np.concatenate([np.full(len(p), k) for k, p in enumerate(parts)])
    panel = np.concatenate([p["panel"].astype(np.int64) for p in parts])
    hkl = np.concatenate([p["miller_index"] for p in parts])
    # spurious spots are a fraction of all, not of those from crystals
    n_false = round(len(xyz) * spurious / (1.0 - spurious))
    false_panel, false_xyz = _draw_anywhere(experiments[0], n_false, rng)
    is_still = experiments[0].is_still
    xyz = xyz + rng.normal(size=xyz.shape) * [sigma_px, sigma_px, 0.0 if is_still else sigma_frame]
    xyz, panel = np.concatenate([xyz, false_xyz]), np.concatenate([panel, false_panel])
    crystal = np.concatenate([crystal, np.full(n_false, -1)])
    hkl = np.concatenate([hkl, np.zeros((n_false, 3), dtype=np.int32)])
    # spurious spots must not be recognisable by their rows
    order = np.lexsort((xyz[:, 0], xyz[:, 1], panel, np.floor(xyz[:, 2])))
    return SpotList(_make_table(xyz[order], panel[order], sigma_px, sigma_frame, rng), crystal[order], hkl[order])


def _choose_strongest(experiment: Experiment, n: int, d_min: float, rng: np.random.Generator) -> ReflectionTable:
    """Predict reflections, draw intensities that fall with resolution, and choose the strongest `n`."""
    predict = predict_stills if experiment.is_still else predict_rotation
    table = predict(experiment, d_min)
    # by a factor of e² at the finest resolution
    falls = np.exp(-2.0 * (d_min / table["d"]) ** 2)
    strength = rng.exponential(size=len(table)) * falls
    return table.select(np.sort(np.argsort(-strength, kind="stable")[:n]))


def _draw_anywhere(experiment: Experiment, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw panels and positions (px, px, frame) of `n` spots at random."""
    detector = experiment.known.detector
    panel = rng.integers(0, len(detector), n)
    size = np.array([p.image_size for p in detector], dtype=np.float64)[panel]
    frames = (0, 1) if experiment.scan is None else experiment.scan.array_range
    z = np.full(n, 0.5) if experiment.is_still else rng.uniform(*frames, n)
    return panel, np.column_stack([rng.random(n) * size[:, 0], rng.random(n) * size[:, 1], z])


def _make_table(xyz: np.ndarray, panel: np.ndarray, sigma_px: float, sigma_frame: float, rng: np.random.Generator
                ) -> ReflectionTable:
    """Make the table that a spot finder would write, with boxes of 3 x 3 pixels on one frame."""
    n = len(xyz)
    low = np.floor(xyz).astype(np.int32)
    bbox = np.column_stack([low[:, 0] - 1, low[:, 0] + 2, low[:, 1] - 1, low[:, 1] + 2, low[:, 2], low[:, 2] + 1])
    counts = 50.0 + rng.exponential(500.0, n)
    return ReflectionTable({
        "bbox": bbox.astype(np.int32), "flags": np.full(n, int(Flag.STRONG), np.uint64),
        "id": np.zeros(n, np.int32), "imageset_id": np.zeros(n, np.int32),
        "intensity.sum.value": counts, "intensity.sum.variance": counts.copy(),
        "n_signal": np.full(n, 9, np.int32), "panel": panel.astype(np.uint64), "xyzobs.px.value": xyz,
        "xyzobs.px.variance": np.tile(np.square([sigma_px, sigma_px, sigma_frame]), (n, 1))})


def shift_experiment(experiment: Experiment, shift: tuple[float, float]) -> Experiment:
    """Shift the detector of an experiment, as a header with a wrong beam centre describes it.

    Parameters
    ----------
    experiment : Experiment
    shift : (float, float)
        mm along the fast and slow axes of the first panel.

    Returns
    -------
    Experiment
    """
    return replace(experiment, detector=shift_detector(experiment.known.detector, shift))


def shift_detector(detector: Detector, shift: Sequence[float]) -> Detector:
    """Shift all panels of a detector together.

    Parameters
    ----------
    detector : Detector
    shift : (float, float)
        mm along the fast and slow axes of the first panel.

    Returns
    -------
    Detector
    """
    first = detector.d_matrix(0)
    move = first[:, 0] * shift[0] + first[:, 1] * shift[1]
    frames = []
    for i in range(len(detector)):
        frame = detector.d_matrix(i).copy()
        frame[:, 2] += move
        frames.append(frame)
    return move_panels(detector, frames)


def remove_crystal(experiment: Experiment) -> ExperimentList:
    """Remove the crystal of an experiment: as it is before indexing.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    ExperimentList
        Of this one experiment.
    """
    return ExperimentList([replace(experiment, crystal=None)])


def make_spots(n_frames: int = 60, n_spots: int = 400, seed: int = 1) -> tuple[ExperimentList, ReflectionTable]:
    """A sweep of half-degree frames and the spots of its one crystal, for examples and tests.

    Parameters
    ----------
    n_frames : int
        Frames of the sweep.
    n_spots : int
        How many spots.
    seed : int
        Of the crystal's orientation and the errors of the spots.

    Returns
    -------
    experiments : ExperimentList
        One experiment without its crystal, as import gives it.
    spots : ReflectionTable
        As a spot finder gives them.
    """
    truth = Experiment(identifier="sweep", beam=make_beam(), detector=make_detector(), goniometer=make_goniometer(),
                       scan=make_scan(n_frames, 0.5), crystal=make_crystal(orientation=seed))
    spots = simulate_spot_list([truth], np.random.default_rng(seed), n_spots=n_spots)
    return ExperimentList([replace(truth, crystal=None)]), spots.table
