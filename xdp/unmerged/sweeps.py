"""Models and tables of sweeps whose intensities another program measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import FormatError
from xdp.experiment.beam import Beam
from xdp.experiment.crystal import Crystal, b_matrix
from xdp.experiment.detector import Detector, Panel
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.goniometer import Goniometer
from xdp.experiment.scan import Scan
from xdp.prediction.rays import make_goniometer_rotations
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

if TYPE_CHECKING:
    from xdp.space_groups import AnySpaceGroup


@dataclass(frozen=True)
class ForeignSweep:
    """A sweep as a file of another program tells it.

    Attributes
    ----------
    group : gemmi.SpaceGroup or UntabulatedGroup
    cell : tuple of 6 float
        Å and degrees.
    wavelength : float
        Å.
    beam : (3,) float64
        From the source to the sample; its length does not matter.
    axis : (3,) float64
        Rotation axis.
    setting : (3, 3) float64 or None
        Columns are a*, b*, c* at zero rotation, 1/Å; None: the file does not tell the orientation.
    images : tuple of 2 int
        Numbers of the first and of the last image.
    start, width : float
        Degrees at the start of the first image, and of an image.
    panel : Panel or None
        None: the file does not tell where the detector is, and a nominal one is put there.
    """

    group: AnySpaceGroup
    cell: tuple[float, ...]
    wavelength: float
    beam: np.ndarray
    axis: np.ndarray
    setting: np.ndarray | None
    images: tuple[int, int]
    start: float
    width: float
    panel: Panel | None


def make_sweep_models(sweep: ForeignSweep, identifier: str) -> Experiment:
    """Make the models of a sweep.

    Parameters
    ----------
    sweep : ForeignSweep
    identifier : str
        Of the experiment.

    Returns
    -------
    Experiment
        Without images. A crystal whose orientation is not known has its cell in the standard orientation.

    Raises
    ------
    FormatError
        If there is no wavelength, or the cell is none.
    """
    if not 0.0 < sweep.wavelength < np.inf:
        raise FormatError(f"{identifier}: the wavelength is {sweep.wavelength:g} Å; it must be above 0")
    B = b_matrix(sweep.cell)
    setting = B if sweep.setting is None else sweep.setting
    if not np.all(np.isfinite(setting)) or abs(np.linalg.det(setting)) < 1e-12:
        raise FormatError(f"{identifier}: the cell or the orientation of the crystal is none: {sweep.cell}")
    # rows of the inverse are a, b, c
    axes = np.linalg.inv(setting)
    direction = -np.asarray(sweep.beam, np.float64) / np.linalg.norm(sweep.beam)
    axis = np.asarray(sweep.axis, np.float64) / np.linalg.norm(sweep.axis)
    panel = sweep.panel or _make_nominal_panel(direction)
    hall = sweep.group.hall
    return Experiment(
        identifier=identifier, beam=Beam(tuple(direction.tolist()), sweep.wavelength), detector=Detector((panel,)),
        goniometer=Goniometer(tuple(axis.tolist())), scan=Scan(sweep.images, (sweep.start, sweep.width)),
        crystal=Crystal(tuple(axes[0].tolist()), tuple(axes[1].tolist()), tuple(axes[2].tolist()),
                        hall if hall.startswith((" ", "-")) else f" {hall}"))


def _make_nominal_panel(direction: np.ndarray) -> Panel:
    """A panel of 1000 x 1000 pixels, square to the beam at 100 mm; no step from symmetry to merging looks at it."""
    across = np.cross(direction, np.eye(3)[np.argmin(np.abs(direction))])
    fast = across / np.linalg.norm(across)
    slow = np.cross(fast, direction)
    origin = -100.0 * direction - 50.0 * (fast + slow)
    return Panel(tuple(fast.tolist()), tuple(slow.tolist()), tuple(origin.tolist()), (1000, 1000), (0.1, 0.1),
                 name="nominal")


def make_sweep_table(experiments: ExperimentList, id_: np.ndarray, hkl: np.ndarray, xyz: np.ndarray,
                     columns: Mapping[str, np.ndarray], *, oriented: bool) -> ReflectionTable:
    """Make the reflection table of measured intensities.

    Parameters
    ----------
    experiments : ExperimentList
    id_ : (n,) int
        The experiment of each.
    hkl : (n, 3) int
        As measured, not in the asymmetric unit.
    xyz : (n, 3) float64
        Pixels and frames.
    columns : dict of str to (n,) float64
        Intensities and what belongs to them. ``intensity.prf.*`` and ``intensity.sum.*`` are before the corrections in
        ``lp`` and ``qe``.
    oriented : bool
        Whether the crystals' orientations are known: then the table gets ``s1``.

    Returns
    -------
    ReflectionTable
        Flagged as integrated (and as scaled where ``intensity.scale.value`` is there).
    """
    flags = np.full(len(hkl), int(Flag.PREDICTED | Flag.OBSERVED | Flag.INDEXED))
    for kind, flag in (("sum", Flag.INTEGRATED_SUM), ("prf", Flag.INTEGRATED_PRF), ("scale", Flag.SCALED)):
        if f"intensity.{kind}.value" in columns:
            flags[columns[f"intensity.{kind}.variance"] > 0.0] |= int(flag)
    everything = {"miller_index": np.asarray(hkl, np.int32), "id": np.asarray(id_, np.int32),
                  "panel": np.zeros(len(hkl), np.uint64), "flags": flags.astype(np.uint64), "xyzcal.px": xyz,
                  "xyzobs.px.value": xyz, "partial_id": np.arange(len(hkl), dtype=np.uint64), **columns}
    if oriented:
        everything["s1"] = _compute_rays(experiments, id_, hkl, xyz[:, 2])
    return ReflectionTable(everything, {k: e.identifier for k, e in enumerate(experiments)})


def _compute_rays(experiments: ExperimentList, id_: np.ndarray, hkl: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Diffracted rays, of length 1/wavelength, at the angles of the centroids."""
    s1 = np.zeros((len(hkl), 3))
    for k, experiment in enumerate(experiments):
        rows = np.flatnonzero(id_ == k)
        known = experiment.known
        turns = make_goniometer_rotations(known.goniometer, np.deg2rad(known.scan.angle(z[rows])))
        q = np.einsum("nij,nj->ni", turns, hkl[rows] @ known.crystal.A.T)
        # the centroid of a reflection is a little off the Ewald sphere: its direction counts
        ray = known.beam.s0 + q
        s1[rows] = ray / np.linalg.norm(ray, axis=1, keepdims=True) / known.beam.wavelength
    return s1
