"""Hits as images of a CrystFEL stream: peaks, crystals and intensities, in CrystFEL's units and laboratory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from xdp.experiment import Crystal, Detector, Experiment
from xdp.images.formats.hdf5.nexus_beam import EV_ANGSTROM
from xdp.images.geometry_files.crystfel_detector import TURN
from xdp.images.importing.detector_overrides import compute_distance
from xdp.reflections.table import ReflectionTable
from xdp.serial.process.spots import find_resolutions
from xdp.serial.streams.stream import StreamChunk, StreamCrystal
from xdp.serial.streams.write import format_chunk

if TYPE_CHECKING:
    from xdp.serial.process.shot import ShotOutcome

NM = 0.1
"""Å in nm."""
_LAST_NUMBERS = ((2, "triclinic"), (15, "monoclinic"), (74, "orthorhombic"), (142, "tetragonal"), (194, "hexagonal"),
                 (230, "cubic"))
"""The last number of each kind's space groups in International Tables A."""


def format_shot(outcome: ShotOutcome) -> str:
    """Format a hit as the text of an image of a stream.

    Parameters
    ----------
    outcome : ShotOutcome
        With its spots; crystals are those that were integrated, or else those that were indexed, without reflections.

    Returns
    -------
    str
        Lines with their ends.
    """
    return "".join(f"{line}\n" for line in format_chunk(make_chunk(outcome)))


def make_chunk(outcome: ShotOutcome) -> StreamChunk:
    """Make the image of a stream of a hit.

    Parameters
    ----------
    outcome : ShotOutcome

    Returns
    -------
    StreamChunk
    """
    experiment, spots, row = outcome.imported[0], outcome.strong, outcome.row
    assert spots is not None
    file, _, event = row["id"].partition(" //")
    beam, detector = experiment.known.beam, experiment.known.detector
    d_min = row.get("d_min_spots") or float("nan")
    method = "xdp" if outcome.experiments else "none"
    lines = [f"Image filename: {file}", *([f"Event: //{event}"] if event else []),
             f"Image serial number: {row['index'] + 1}", "hit = 1", f"indexed_by = {method}", "n_indexing_tries = 1",
             f"photon_energy_eV = {EV_ANGSTROM / beam.wavelength:f}", "beam_divergence = 0.00e+00 rad",
             "beam_bandwidth = 1.00e-08 (fraction)",
             f"average_camera_length = {compute_distance(detector, beam) / 1000.0:f} m", f"num_peaks = {len(spots)}",
             f"peak_resolution = {10.0 / d_min:f} nm^-1 or {d_min:f} A"]
    made = outcome.integrated_experiments or outcome.experiments
    crystals = []
    for k, lattice in enumerate(made):
        table = None
        if outcome.integrated is not None:
            peaks = outcome.integrated["background.mean"] if outcome.peak_counts is None else outcome.peak_counts
            table = outcome.integrated.with_columns(peak_counts=peaks).select(outcome.integrated["id"] == k)
        crystals.append(make_stream_crystal(lattice, table, outcome.profile_radius))
    return StreamChunk(lines, make_peaks(experiment, spots), [], crystals)


def make_peaks(experiment: Experiment, spots: ReflectionTable) -> dict[str, np.ndarray]:
    """Make the columns of a list of peaks.

    Parameters
    ----------
    experiment : Experiment
    spots : ReflectionTable

    Returns
    -------
    dict of str to array
        See :data:`xdp.serial.streams.stream.PEAKS`.
    """
    fast, slow, names = place_in_file(experiment.known.detector, spots["panel"], spots["xyzobs.px.value"])
    return {"fs": fast, "ss": slow, "inverse_d": 10.0 / find_resolutions(experiment, spots),
            "intensity": spots["intensity.sum.value"], "panel": names}


def place_in_file(detector: Detector, panel: np.ndarray, position: np.ndarray
                  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place positions of panels in the image as the file has it.

    Parameters
    ----------
    detector : Detector
    panel : (n,) int
    position : (n, 2 or 3) float
        Fast and slow in the panel, pixels; the first pixel's centre is (0.5, 0.5), as in a stream.

    Returns
    -------
    fast, slow : (n,) float64
    names : (n,) object
        Of the panels, without blanks.
    """
    shifts = np.array([p.raw_image_offset for p in detector], float)
    names = np.array([(p.name or f"p{i}").replace(" ", "_") for i, p in enumerate(detector)], object)
    panel = panel.astype(np.int64)
    return position[:, 0] + shifts[panel, 0], position[:, 1] + shifts[panel, 1], names[panel]


def make_stream_crystal(experiment: Experiment, table: ReflectionTable | None, radius: float = 0.0) -> StreamCrystal:
    """Make a crystal of a stream.

    Parameters
    ----------
    experiment : Experiment
        With a crystal.
    table : ReflectionTable or None
        Its integrated reflections; None: it has no list.
    radius : float
        Of its reciprocal lattice points, 1/Å; 0 where it is not known.

    Returns
    -------
    StreamCrystal
    """
    crystal = experiment.known.crystal
    cell = crystal.unit_cell
    # columns of A = U B are the reciprocal axes; CrystFEL's laboratory is turned about y
    axes = 10.0 * TURN[:, None] * crystal.A
    family, axis = name_lattice(crystal)
    lengths, angles = (" ".join(f"{v:.5f}" for v in part) for part in ([NM * v for v in cell[:3]], cell[3:]))
    lines = [f"Cell parameters {lengths} nm, {angles} deg"]
    lines += [f"{name}star = " + " ".join(f"{v:+.7f}" for v in column) + " nm^-1"
              for name, column in zip("abc", axes.T, strict=True)]
    lines += [f"lattice_type = {family}", f"centering = {crystal.space_group.xhm()[0]}"]
    lines += [f"unique_axis = {axis}"] if axis else []
    lines += [f"profile_radius = {10.0 * radius:.5f} nm^-1"]
    if table is None:
        return StreamCrystal(lines)
    d_min = float(table["d"].min()) if len(table) else float("nan")
    lines += [f"diffraction_resolution_limit = {10.0 / d_min:.2f} nm^-1 or {d_min:.2f} A",
              f"num_reflections = {len(table)}", "num_saturated_reflections = 0",
              "num_implausible_reflections = 0"]
    return StreamCrystal(lines, make_reflections(experiment, table))


def name_lattice(crystal: Crystal) -> tuple[str, str]:
    """Find the lattice type of a crystal and its unique axis, as CrystFEL calls them.

    Parameters
    ----------
    crystal : Crystal

    Returns
    -------
    kind : str
        triclinic, monoclinic ... cubic.
    axis : str
        a, b or c; empty where the lattice has none.

    Examples
    --------
    >>> name_lattice(Crystal((79.0, 0.0, 0.0), (0.0, 79.0, 0.0), (0.0, 0.0, 38.0), " P 4nw 2abw"))
    ('tetragonal', 'c')
    """
    number = getattr(crystal.space_group, "number", 1)
    cell = crystal.unit_cell
    kind = next(name for last, name in _LAST_NUMBERS if number <= last)
    if kind == "monoclinic":
        # the axis at right angles to both others
        angles = np.abs(np.array(cell[3:]) - 90.0)
        return kind, "abc"[int(np.argmax(angles))]
    if kind == "hexagonal" and number < 168 and abs(cell[5] - 90.0) < 20.0 and abs(cell[5] - cell[3]) < 1.0:
        return "rhombohedral", ""
    return kind, "c" if kind in ("tetragonal", "hexagonal") else ""


def make_reflections(experiment: Experiment, table: ReflectionTable) -> dict[str, np.ndarray]:
    """Make the columns of a list of reflections.

    Parameters
    ----------
    experiment : Experiment
    table : ReflectionTable
        Integrated, with ``peak_counts`` where the highest counts are known.

    Returns
    -------
    dict of str to array
        See :data:`xdp.serial.streams.stream.REFLECTIONS`.
    """
    hkl = table["miller_index"]
    fast, slow, names = place_in_file(experiment.known.detector, table["panel"], table["xyzcal.px"])
    background = table["background.mean"]
    peak = table.get("peak_counts", background)
    return {"h": hkl[:, 0], "k": hkl[:, 1], "l": hkl[:, 2], "intensity": table["intensity.sum.value"],
            "sigma": np.sqrt(np.maximum(table["intensity.sum.variance"], 0.0)), "peak": peak,
            "background": background, "fs": fast, "ss": slow, "panel": names}


def measure_peaks(images: Sequence[np.ndarray], table: ReflectionTable) -> np.ndarray:
    """Measure the highest counts near predicted positions: within one pixel of the nearest pixel.

    Parameters
    ----------
    images : sequence of (slow, fast) array
        Of the panels.
    table : ReflectionTable
        With ``panel`` and ``xyzcal.px``.

    Returns
    -------
    (n,) float64
    """
    peak = np.zeros(len(table))
    panel = table["panel"].astype(np.int64)
    position = np.floor(table["xyzcal.px"][:, :2]).astype(np.int64)
    for p in np.unique(panel).tolist():
        rows, image = np.flatnonzero(panel == p), images[p]
        highest = np.full(len(rows), -np.inf)
        for step_slow in (-1, 0, 1):
            for step_fast in (-1, 0, 1):
                slow = np.clip(position[rows, 1] + step_slow, 0, image.shape[0] - 1)
                fast = np.clip(position[rows, 0] + step_fast, 0, image.shape[1] - 1)
                highest = np.maximum(highest, image[slow, fast])
        peak[rows] = highest
    return peak
