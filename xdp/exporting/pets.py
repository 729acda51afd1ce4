"""Electron diffraction data for PETS2 and Jana2020: frames with the reflections that are excited on them.

A virtual frame stands for one image or for several in a row. It holds all reflections that lie near the Ewald sphere in
its middle orientation, each with the intensity of its whole rocking curve.

References
----------
Palatinus, L. et al. (2019). Acta Cryst. B75, 512-522, doi:10.1107/S2052520619007534; Klar, P. B. et al. (2023). Nature
Chem. 15, 848-855, doi:10.1038/s41557-023-01186-1, for virtual frames.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.exporting.options import PetsOptions
from xdp.exporting.selection import COLUMN_OF
from xdp.files import atomic_output
from xdp.reflections.flags import Flag
from xdp.reflections.normalise import check_indexed
from xdp.reflections.table import ReflectionTable

if TYPE_CHECKING:
    import gemmi

logger = logging.getLogger(__name__)

#: Relative: a cell that changes by less over the scan is one cell.
_SAME_CELL = 1e-5
_ANGLES = ("alpha", "beta", "omega")


@dataclass(frozen=True)
class VirtualFrame:
    """One frame of the file.

    Attributes
    ----------
    rows : array (n,) of int
        The reflections on it, in order of their indices.
    turn : array (3, 3)
        Rotation of the crystal since the zero of the scan, in the frame of PETS: beam along -z, rotation axis near x.
    zone_axis : array (3,)
        The direction against the beam in the crystal's axes; its largest component is 1 or -1.
    """

    rows: np.ndarray
    turn: np.ndarray
    zone_axis: np.ndarray


def write_pets(path: str | os.PathLike, experiments: ExperimentList, table: ReflectionTable,
               intensity: Sequence[str] = ("auto",), options: PetsOptions | None = None) -> int:
    """Write a ``.cif_pets`` file, and give the number of intensities on all frames.

    Intensities are those of integration, without corrections: dynamical refinement models what these correct.

    Parameters
    ----------
    path : path
        The file.
    experiments : ExperimentList
        With crystals whose cell does not change over the scan.
    table : ReflectionTable
        Integrated reflections.
    intensity : sequence of str
        One of sum and profile; auto, or both of them, is sum.
    options : PetsOptions, optional
        Which experiment is written, and how frames are made.

    Raises
    ------
    XdpError
        If no single experiment is named, it is no rotation series of a static cell, or nothing is left to write.
    """
    options = options or PetsOptions()
    number, experiment = _choose_experiment(experiments, options.id)
    kind = _choose_intensity(table, intensity)
    check_indexed(table, "export")
    table = _choose_reflections(table, number, kind, options)
    frames = make_virtual_frames(experiment, table, options)
    if not any(len(frame.rows) for frame in frames):
        raise XdpError("no reflection is left to export: none lies within pets.virtual_frame.excitation_error_cutoff "
                       "on a frame")
    document = _write_document(experiment, table, kind, frames, options)
    with atomic_output(path) as part:
        document.write_file(os.fspath(part))
    return sum(len(frame.rows) for frame in frames)


def make_virtual_frames(experiment: Experiment, table: ReflectionTable, options: PetsOptions) -> list[VirtualFrame]:
    """Make the frames of a rotation series.

    Parameters
    ----------
    experiment : Experiment
        Its geometry and crystal, whose orientation may vary over the scan.
    table : ReflectionTable
        With ``miller_index``.
    options : PetsOptions
        How many images a frame stands for, from how many images to the next, and how far from the Ewald sphere (Å⁻¹) a
        reflection may lie.

    Returns
    -------
    list of VirtualFrame
        Only frames of as many images as asked for.
    """
    rules, crystal, beam = options.virtual_frame, experiment.known.crystal, experiment.known.beam
    turns, axes = _orient_images(experiment)
    frame = _pets_frame(experiment)
    hkl = table["miller_index"].astype(np.float64)
    order = np.lexsort(hkl.T[::-1])
    frames = []
    for start in range(0, len(turns) - rules.n_merged + 1, rules.step):
        middle, is_odd = start + rules.n_merged // 2, rules.n_merged % 2
        # the middle of an even number of images is between two of them
        turn = turns[middle] if is_odd else _average_rotations(turns[middle - 1], turns[middle])
        axis = axes[middle] if is_odd else 0.5 * (axes[middle - 1] + axes[middle])
        # distance from the Ewald sphere along s1: 1/lambda - |s0 + r|
        s1 = hkl @ (turn @ crystal.A).T + beam.s0
        error = np.abs(1.0 / beam.wavelength - np.linalg.norm(s1, axis=1))
        rows = order[error[order] <= rules.excitation_error_cutoff]
        frames.append(VirtualFrame(rows, frame @ turn @ frame.T, -axis / np.abs(axis).max()))
    return frames


def decompose_turn(turn: np.ndarray) -> tuple[float, float, float]:
    """Angles by which a rotation is one about z after one about x after one about y.

    Parameters
    ----------
    turn : array (3, 3)
        Rz(omega) Rx(alpha) Ry(beta).

    Returns
    -------
    alpha, beta, omega : float
        Degrees; alpha from -90 to 90.

    Examples
    --------
    >>> from xdp.experiment.goniometer import axis_angle_matrix
    >>> alpha, beta, omega = decompose_turn(axis_angle_matrix((1, 0, 0), 20.0))
    >>> round(alpha, 6)
    20.0
    """
    # the last row is (-cos a sin b, sin a, cos a cos b), the middle column (-cos a sin o, cos a cos o, sin a)
    alpha = np.arcsin(np.clip(turn[2, 1], -1.0, 1.0))
    beta = np.arctan2(-turn[2, 0], turn[2, 2])
    omega = np.arctan2(-turn[0, 1], turn[1, 1])
    return float(np.rad2deg(alpha)), float(np.rad2deg(beta)), float(np.rad2deg(omega))


def _choose_experiment(experiments: ExperimentList, number: int | None) -> tuple[int, Experiment]:
    """The experiment that is written, checked to be a rotation series of one cell."""
    if number is None and len(experiments) != 1:
        raise XdpError(f"a PETS file holds one experiment, got {len(experiments)}: choose one with pets.id")
    number = number or 0
    if not 0 <= number < len(experiments):
        raise XdpError(f"pets.id={number}: there are {len(experiments)} experiments, counted from 0")
    experiment = experiments[number]
    if experiment.is_still:
        raise XdpError("a PETS file needs a rotation series, but the experiment is of stills")
    crystal = experiment.known.crystal
    points = np.reshape(crystal.A_at_scan_points or crystal.A, (-1, 3, 3))
    metric = crystal.A.T @ crystal.A
    if np.abs(points.transpose(0, 2, 1) @ points - metric).max() > 2 * _SAME_CELL * np.abs(metric).max():
        raise XdpError("a PETS file has one cell, but the crystal's varies over the scan: refine with "
                       "crystal.unit_cell.force_static=True")
    if "s0_at_scan_points" in experiment.known.beam.extra or (
            "setting_rotation_at_scan_points" in experiment.known.goniometer.extra):
        raise XdpError("a PETS file has one beam and one goniometer setting, but one of them varies over the scan")
    return number, experiment


def _choose_intensity(table: ReflectionTable, wanted: Sequence[str]) -> str:
    """The part of the columns' names, "sum" or "prf", of the intensities that are written."""
    words = [word for word in ("sum", "profile") if word in wanted or tuple(wanted) == ("auto",)]
    for word in words:
        if f"intensity.{COLUMN_OF[word]}.value" in table:
            if len(words) > 1:
                logger.info("A PETS file has one kind of intensities: %s", word)
            return COLUMN_OF[word]
    raise XdpError(f"intensity={'+'.join(wanted)}: a PETS file needs intensities of the kind sum or profile (run xdp "
                   "integrate)")


def _choose_reflections(table: ReflectionTable, number: int, kind: str, options: PetsOptions) -> ReflectionTable:
    """The reflections of the experiment that are whole and, if asked for, flagged as integrated."""
    keep = table["id"] == number
    whole = table.get("partiality", np.ones(len(table))) >= options.partiality_cutoff
    logger.info("Removed %d reflections that are not recorded to pets.partiality_cutoff", int((keep & ~whole).sum()))
    keep &= whole & (table[f"intensity.{kind}.variance"] >= 0)
    if options.flag_filtering:
        keep &= table.any_flags(Flag.INTEGRATED_SUM if kind == "sum" else Flag.INTEGRATED_PRF)
    if not keep.any():
        raise XdpError("no reflection is left to export: look at pets.partiality_cutoff and pets.flag_filtering")
    return table.select(keep)


def _orient_images(experiment: Experiment) -> tuple[np.ndarray, np.ndarray]:
    """In the middle of each image: the crystal's turn in the laboratory (n, 3, 3), and the beam in its axes (n, 3)."""
    goniometer, scan, crystal = experiment.known.goniometer, experiment.known.scan, experiment.known.crystal
    n = scan.n_frames
    # B stays, so that U at a scan point is A there times the inverse of the static B
    settings = np.reshape(crystal.A_at_scan_points or [crystal.A] * (n + 1), (-1, 3, 3))
    if len(settings) != n + 1:
        raise XdpError(f"the crystal has {len(settings)} scan points, but the scan has {n} images")
    inverse = np.linalg.inv(crystal.A)
    ends = np.array([goniometer.rotation(float(scan.angle(float(z)))) @ settings[i] @ inverse
                     for i, z in enumerate(range(scan.array_range[0], scan.array_range[1] + 1))])
    turns = np.array([_average_rotations(a, b) for a, b in itertools.pairwise(ends)])
    # A^T d: the components of d on the reciprocal axes, which are coordinates on the real ones
    axes = np.array([(turn @ crystal.A).T @ experiment.known.beam.unit_s0 for turn in turns])
    return turns, axes


def _average_rotations(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The rotation halfway between two: the nearest one to their sum."""
    left, _, right = np.linalg.svd(first + last)
    return left @ right


def _pets_frame(experiment: Experiment) -> np.ndarray:
    """Rotation (3, 3) from the laboratory to the frame of PETS: beam along -z, rotation axis near x, without y."""
    beam, axis = experiment.known.beam.unit_s0, experiment.known.goniometer.rotation_axis_lab
    across = axis - (axis @ beam) * beam
    length = np.linalg.norm(across)
    # 0.06 degrees, as for the Cambridge frame: nearer to the beam the direction is decided by rounding
    if length < 1e-3:
        raise XdpError("the rotation axis lies along the beam: no frame for a PETS file")
    x = across / length
    return np.stack([x, np.cross(-beam, x), -beam])


def _write_document(experiment: Experiment, table: ReflectionTable, kind: str, frames: Sequence[VirtualFrame],
                    options: PetsOptions) -> gemmi.cif.Document:
    """Cell and orientation, a loop of frames, a loop of intensities."""
    import gemmi

    document = gemmi.cif.Document()
    block = document.add_new_block("pets")
    crystal, rules = experiment.known.crystal, options.virtual_frame
    setting = _pets_frame(experiment) @ crystal.A
    volume = abs(float(np.linalg.det(crystal.real_space_matrix)))
    names = [*(f"_cell_length_{a}" for a in "abc"), *(f"_cell_angle_{a}" for a in ("alpha", "beta", "gamma")),
             "_cell_volume", "_diffrn_radiation_wavelength",
             *(f"_diffrn_orient_matrix_UB_{i}{j}" for i in (1, 2, 3) for j in (1, 2, 3)), "_diffrn_pets_omega"]
    values = [*crystal.unit_cell, volume, experiment.known.beam.wavelength, *setting.ravel(), 0.0]
    for name, value in zip(names, values, strict=True):
        block.set_pair(name, f"{value:.5f}")
    # Jana reads the settings of virtual frames from this text; what PETS would know besides stays 0.
    details = ["data collection geometry: continuous rotation", "dstarmax:  0.000", "RC width:  0.00000",
               "mosaicity:  0.000", "rotation axis position:  000.000", "reflection size:    0.000",
               f"Virtual frame settings: number of merged frames:  {rules.n_merged}",
               f"                        step between frames:      {rules.step}",
               "                        sum all intensities:      1"]
    block.set_pair("_diffrn_measurement_details", "\n".join([";", *details, ";"]))
    half_width = abs(experiment.known.scan.oscillation[1]) * rules.n_merged / 2
    zones = block.init_loop("_diffrn_zone_axis_", ["id", "u", "v", "w", "precession_angle", *_ANGLES, "scale"])
    for i, frame in enumerate(frames, 1):
        zones.add_row([f"{i:4d}", *(f"{v:8.5f}" for v in frame.zone_axis), f"{half_width:12.3f}",
                       *(f"{v:9.3f}" for v in decompose_turn(frame.turn)), f"{1.0:9.3f}"])
    loop = block.init_loop("_refln_", ["index_h", "index_k", "index_l", "intensity_meas", "intensity_sigma",
                                       "zone_axis_id"])
    value, sigma = table[f"intensity.{kind}.value"], np.sqrt(table[f"intensity.{kind}.variance"])
    for i, frame in enumerate(frames, 1):
        for row in frame.rows.tolist():
            h, k, l_ = table["miller_index"][row].tolist()
            loop.add_row([f" {h:3d}", f"{k:3d}", f"{l_:3d}", f"{value[row]:11.2f}", f"{sigma[row]:11.2f}", f"{i:5d}"])
    return document
