"""Shots as refinement of the panels sees them: plain arrays, some hundred shots in each, kept in files.

What is large (the reflections) is read again in each step; what changes (the crystals' settings) stays with the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.detector import Detector
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.prediction.centroids import centroids_to_mm
from xdp.refinement.parameters.metric import find_invariant_metrics, get_rotation_parts
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.serial.metrology._kernels_spot import ShotSpots

SHOTS_OF_A_CHUNK = 250
"""Shots that a task reads. A choice: some ten milliseconds of work, and a few megabytes."""

_LEAST_VARIANCE = 1e-12  # mm2: a centroid stored without a variance does not weigh infinitely
_SYMMETRY_ROUNDS = 3     # of making the metric obey its symmetry: each leaves the square of what was off


@dataclass(frozen=True)
class ShotPack:
    """Some shots: their reflections and settings.

    Attributes
    ----------
    spots : ShotSpots
        The reflections.
    settings : (n_shots, 3, 3)
        The crystals' A, 1/Å.
    rows : (n,) of int64
        Rows of the table that the reflections are from.
    shots : (n_shots,) of int64
        Numbers of the shots.
    """

    spots: ShotSpots
    settings: np.ndarray
    rows: np.ndarray
    shots: np.ndarray

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Give all arrays by name, for a file."""
        return {**self.spots._asdict(), "settings": self.settings, "rows": self.rows, "shots": self.shots}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> ShotPack:
        """Make a pack of arrays that :meth:`to_arrays` gave."""
        return cls(ShotSpots(*(np.ascontiguousarray(arrays[name]) for name in ShotSpots._fields)), arrays["settings"],
                   arrays["rows"], arrays["shots"])


@dataclass
class SymmetryKinds:
    """The changes of the metric that each symmetry among the shots allows.

    Attributes
    ----------
    bases : list of (6, 3, 3) arrays
        Changes of the metric, 1/Å2; those that are not free are zero.
    counts : list of int
        How many are free.
    """

    bases: list[np.ndarray] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    _known: dict[str, int] = field(default_factory=dict)
    _rotations: list[np.ndarray] = field(default_factory=list)

    def find(self, hall: str, a: np.ndarray, group: object, is_free: bool) -> int:
        """Find the kind of a space group with this Hall symbol; `a` (3, 3) sets the size of the changes."""
        if hall not in self._known:
            rotations = get_rotation_parts(group)  # type: ignore[arg-type]
            basis = np.zeros((6, 3, 3))
            found = find_invariant_metrics(rotations)
            size = np.sqrt(np.diag(a.T @ a))
            # relative to the cell, so that parameters are of order one
            for k, element in enumerate(found):
                basis[k] = element / np.abs(element / np.outer(size, size)).max()
            self._known[hall] = len(self.bases)
            self.bases.append(basis)
            self.counts.append(len(found) if is_free else 0)
            self._rotations.append(rotations)
        return self._known[hall]

    def symmetrise(self, a: np.ndarray, kind: int) -> np.ndarray:
        """Strain a setting (3, 3) so that its metric obeys the symmetry of its kind."""
        ops = self._rotations[kind].astype(np.float64)
        for _ in range(_SYMMETRY_ROUNDS):
            metric = a.T @ a
            mean = np.einsum("nij,jl,nml->im", ops, metric, ops) / len(ops)
            a = a @ (np.eye(3) + 0.5 * np.linalg.inv(metric) @ (mean - metric))
        return a


def check_shots(experiments: ExperimentList, reflections: ReflectionTable) -> None:
    """Stop with a message if the shots do not serve.

    Parameters
    ----------
    experiments : ExperimentList
        The shots.
    reflections : ReflectionTable
        Their reflections.

    Raises
    ------
    XdpError
        Unless all are stills with a crystal, a beam and detectors of the same panels.
    """
    if not len(experiments):
        raise XdpError("refine_metrology: there are no experiments")
    for number, experiment in enumerate(experiments):
        for model in ("crystal", "beam", "detector"):
            if getattr(experiment, model) is None:
                raise XdpError(f"refine_metrology: experiment {number} has no {model}; give indexed shots")
        if not experiment.is_still:
            raise XdpError(f"refine_metrology: experiment {number} is a scan; xdp refine is for rotation data")
        wavelength = experiment.known.beam.wavelength
        if not (np.isfinite(wavelength) and wavelength > 0.0):
            raise XdpError(f"refine_metrology: experiment {number} has no photon energy (wavelength {wavelength}); "
                           "give it when the shots are processed (events.energy=)")
    shapes = {tuple((p.image_size, p.pixel_size) for p in d) for d in experiments.unique("detector")}
    if len(shapes) > 1:
        raise XdpError(f"refine_metrology: the shots are of {len(shapes)} detectors, whose panels differ in number or "
                       "size; refine each by itself")
    needed = ("id", "panel", "miller_index", "xyzobs.px.value", "xyzobs.px.variance", "flags")
    missing = [name for name in needed if name not in reflections]
    if missing:
        raise XdpError(f"refine_metrology: the reflections have no column {missing[0]}; give indexed reflections")


def find_sound_rows(experiments: ExperimentList, table: ReflectionTable, n_panels: int) -> np.ndarray:
    """Find the rows that may be used, in the order of their shots.

    Parameters
    ----------
    experiments : ExperimentList
        The shots.
    table : ReflectionTable
        Their reflections.
    n_panels : int
        Of the detector.

    Returns
    -------
    (n,) of int
        Rows that are indexed, not overloaded, finite, on a panel, and of a shot that there is.

    Raises
    ------
    XdpError
        If there are none.
    """
    ids, panel = table["id"].astype(np.int64), table["panel"].astype(np.int64)
    flags = table["flags"]
    sound = (flags & np.uint64(Flag.INDEXED)) != 0
    sound &= (flags & np.uint64(Flag.OVERLOADED)) == 0
    sound &= np.any(table["miller_index"] != 0, axis=1) & (ids >= 0) & (ids < len(experiments))
    sound &= (panel >= 0) & (panel < n_panels)
    # one NaN would spoil the sums of all shots
    sound &= np.isfinite(table["xyzobs.px.value"][:, :2]).all(axis=1)
    sound &= np.isfinite(table["xyzobs.px.variance"][:, :2]).all(axis=1)
    rows = np.flatnonzero(sound)
    if not len(rows):
        raise XdpError(f"refine_metrology: none of {len(table)} reflections is indexed, on a panel of the detector and "
                       "finite; index first")
    return rows[np.argsort(ids[rows], kind="stable")]


def pack_stills(experiments: ExperimentList, table: ReflectionTable, detector: Detector, delta_psi_weight: float,
               is_cell_free: bool = True) -> tuple[list[ShotPack], SymmetryKinds]:
    """Put shots into packs.

    Parameters
    ----------
    experiments : ExperimentList
        The shots (:func:`check_shots`).
    table : ReflectionTable
        Their reflections.
    detector : Detector
        The one of all shots.
    delta_psi_weight : float
        Weight of delta psi, 1/rad2.
    is_cell_free : bool
        Whether cells are refined.

    Returns
    -------
    list of ShotPack, SymmetryKinds
    """
    rows = find_sound_rows(experiments, table, len(detector))
    ids = table["id"][rows].astype(np.int64)
    panel = table["panel"][rows].astype(np.int64)
    # one detector for all: positions of all shots are converted at once
    first = Experiment(beam=experiments[0].beam, detector=detector)
    xyz, variance = centroids_to_mm(first, panel, table["xyzobs.px.value"][rows].astype(np.float64),
                                    table["xyzobs.px.variance"][rows].astype(np.float64))
    weight = np.column_stack([1.0 / np.maximum(variance[:, :2], _LEAST_VARIANCE),
                              np.full(len(rows), float(delta_psi_weight))])
    hkl = table["miller_index"][rows].astype(np.float64)
    # rows are in the order of shots, so that each shot is one piece
    shots, first_rows = np.unique(ids, return_index=True)
    ends = np.append(first_rows, len(rows))
    kinds, packs = SymmetryKinds(), []
    for begin in range(0, len(shots), SHOTS_OF_A_CHUNK):
        some = shots[begin : begin + SHOTS_OF_A_CHUNK]
        part = slice(int(ends[begin]), int(ends[begin + len(some)]))
        kind, beam, settings = _take_models([experiments[int(i)] for i in some], kinds, is_cell_free)
        spots = ShotSpots(ends[begin : begin + len(some) + 1] - ends[begin], beam, kind, hkl[part], panel[part],
                      np.ascontiguousarray(xyz[part, :2]), weight[part])
        packs.append(ShotPack(spots, settings, rows[part], some))
    return packs, kinds


def _take_models(shots: Sequence[Experiment], kinds: SymmetryKinds, is_cell_free: bool
                 ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kinds (n,), beams (n, 4) and settings (n, 3, 3) of shots."""
    kind = np.zeros(len(shots), dtype=np.int64)
    beam, settings = np.zeros((len(shots), 4)), np.zeros((len(shots), 3, 3))
    for i, shot in enumerate(shots):
        crystal, s0 = shot.known.crystal, np.asarray(shot.known.beam.s0)
        length = float(np.linalg.norm(s0))
        beam[i] = [*(s0 / length), length]
        kind[i] = kinds.find(crystal.space_group_hall_symbol, crystal.A, crystal.space_group, is_cell_free)
        settings[i] = kinds.symmetrise(crystal.A, int(kind[i]))
    return kind, beam, settings
