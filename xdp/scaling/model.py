"""Which parameters the scales of some sweeps have, and what each observation has to do with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.options.model import AUTO
from xdp.prediction.rays import make_goniometer_rotations
from xdp.reflections.table import ReflectionTable
from xdp.scaling._kernels_normal import ScaleDesign
from xdp.scaling.components import average_harmonics, spline_values
from xdp.scaling.observations import ObservationGroups
from xdp.scaling.options import ScaleOptions

_SCALE_INTERVAL, _DECAY_INTERVAL = 5.0, 10.0
"""Degrees between nodes. A choice: finer than what changes smoothly; restraints smooth what need not be so fine."""
_FEWEST = 4  # splines of degree 3 on one interval
_LEAST_WIDTH = 1.0
"""Sweeps of fewer degrees have one scale and one B factor, as in DIALS."""
_ABSORBS = 60.0
"""Sweeps of fewer degrees get no surface unless it is asked for, as in DIALS: their rays hardly differ in direction."""
_MOST_FRAMES = 1500
"""Effects of frames over all sweeps: if there are more frames, neighbours share one. A choice: the normal matrix is
dense, and grows with the square."""
_START = {"scale": 1e-3, "decay": 1.0, "frames": 1e-4, "absorption": 1e-3}
"""Variances to begin with: of second differences of log scales and of B (Å⁴), of effects of frames (1 %), of
coefficients. Estimates follow within a few rounds wherever they begin."""
_FREE = {"scale": 1e-6, "decay": 1e-3}
"""Precisions that hold what second differences leave free (a straight line): next to nothing for a log scale (variance
10⁶) and for a B factor (10³ Å⁴)."""


@dataclass(frozen=True)
class ScalePart:
    """Parameters beside each other that are one component of one sweep.

    Attributes
    ----------
    kind : str
        "scale", "decay", "frames", or "absorption" with the degree behind it.
    sweep : int
        The experiment.
    first, n : int
        Numbers of the parameters.
    """

    kind: str
    sweep: int
    first: int
    n: int

    @property
    def columns(self) -> slice:
        """The parameters, as a slice."""
        return slice(self.first, self.first + self.n)

    @property
    def differences(self) -> np.ndarray:
        """The combinations of them that are restrained to 0, a row each: second differences, or themselves."""
        order = 2 if self.kind in ("scale", "decay") and self.n > 1 else 0
        return np.diff(np.eye(self.n), order, axis=0) if self.n > order else np.zeros((0, self.n))


@dataclass(frozen=True)
class ScaleModel:
    """The parameters of the scales of all sweeps.

    Attributes
    ----------
    parts : tuple of ScalePart
    n_parameters : int
    lmax : int
        Highest degree of the absorption surfaces; 0 without.
    """

    parts: tuple[ScalePart, ...]
    n_parameters: int
    lmax: int

    def get_part(self, kind: str, sweep: int) -> ScalePart | None:
        """The part of a kind that a sweep has, if any.

        Parameters
        ----------
        kind : str
        sweep : int

        Returns
        -------
        ScalePart or None
        """
        return next((part for part in self.parts if part.kind == kind and part.sweep == sweep), None)

    def make_gauges(self, undamaged: Collection[int] = ()) -> np.ndarray:
        """Combinations of the parameters that are held at 0, since observations cannot tell them.

        All scales may be multiplied by a factor, and a number be added to all B.

        Parameters
        ----------
        undamaged : collection of int
            Sweeps whose B factors are 0 at their first frame, on average; by default the mean of all B is 0.

        Returns
        -------
        (k, n_parameters) float64
            Of length 1.
        """
        gauges = []
        for kind in ("scale", "decay"):
            direction = np.zeros(self.n_parameters)
            for part in self.parts:
                if part.kind == kind == "decay" and undamaged:
                    if part.sweep in undamaged:
                        place, value = _place_spline(part, np.zeros(1), 0, 1)
                        direction[place[0]] = value[0]
                elif part.kind == kind:
                    direction[part.columns] = 1.0
            if np.any(direction):
                gauges.append(direction / np.linalg.norm(direction))
        return np.array(gauges).reshape(-1, self.n_parameters)

    def make_restraints(self, variances: dict[str, float]) -> np.ndarray:
        """The matrix that restraints add to the normal matrix.

        Parameters
        ----------
        variances : dict of str to float
            Of the combinations of each kind of part.

        Returns
        -------
        (n_parameters, n_parameters) float64
        """
        matrix = np.zeros((self.n_parameters, self.n_parameters))
        for part in self.parts:
            differences = part.differences
            block = differences.T @ differences / variances[part.kind] + _FREE.get(part.kind, 0.0) * np.eye(part.n)
            matrix[part.columns, part.columns] += block
        return matrix

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of parts, each once."""
        return tuple(dict.fromkeys(part.kind for part in self.parts))

    def make_start(self) -> dict[str, float]:
        """Variances of the kinds of parts to begin with.

        Returns
        -------
        dict of str to float
        """
        return {kind: _START[kind.rstrip("0123456789")] for kind in self.kinds}


def plan_model(experiments: ExperimentList, options: ScaleOptions, lmax: int | None = None) -> ScaleModel:
    """Decide which parts the scales of each sweep have.

    Parameters
    ----------
    experiments : ExperimentList
        With scans.
    options : ScaleOptions
        The model and its intervals.
    lmax : int, optional
        Degree of the surfaces where the options say Auto; 4 by default.

    Returns
    -------
    ScaleModel
        Surfaces come first, then splines, then frames: the kernels rely on this.
    """
    physical, frames_per_effect = options.physical, count_frames_per_effect(experiments)
    degree = (lmax or 4) if physical.lmax is AUTO else int(physical.lmax)  # type: ignore[arg-type]
    wanted: list[tuple[str, int, int]] = []
    with_surface = [k for k, e in enumerate(experiments) if _has_surface(e, options)]
    for k in with_surface:
        wanted += [(f"absorption{n}", k, 2 * n + 1) for n in range(1, degree + 1)]
    for k, experiment in enumerate(experiments):
        n_scale, n_decay = _count_nodes(experiment, options)
        wanted += [("scale", k, n_scale)] + [("decay", k, n_decay)] * (n_decay > 0)
    for k, experiment in enumerate(experiments):
        if is_physical(experiment, options) and options.frames.correction:
            wanted.append(("frames", k, -(-experiment.known.scan.n_frames // frames_per_effect)))
    parts, first = [], 0
    for kind, sweep, n in wanted:
        parts.append(ScalePart(kind, sweep, first, n))
        first += n
    return ScaleModel(tuple(parts), first, degree if with_surface else 0)


def is_physical(experiment: Experiment, options: ScaleOptions) -> bool:
    """Whether a sweep gets the physical model; else it has one scale and one B factor."""
    return options.model == "physical" or (options.model is None and _width(experiment) >= _LEAST_WIDTH)


def count_frames_per_effect(experiments: ExperimentList) -> int:
    """How many frames share an effect, so that there are not too many effects."""
    return max(1, -(-sum(e.known.scan.n_frames for e in experiments) // _MOST_FRAMES))


def build_design(model: ScaleModel, experiments: ExperimentList, table: ReflectionTable, seen: ObservationGroups
                 ) -> ScaleDesign:
    """Work out the derivatives of the logarithms of scales by the parameters.

    Parameters
    ----------
    model : ScaleModel
    experiments : ExperimentList
    table : ReflectionTable
        With ``xyzcal.px`` and, for surfaces, ``s1``.
    seen : ObservationGroups
        Rows of the table.

    Returns
    -------
    ScaleDesign
        A row for each observation.

    Raises
    ------
    XdpError
        If a sweep has a surface, and the table no ``s1``.
    """
    n, n_dense = len(seen), model.lmax * (model.lmax + 2)
    # places that a sweep has no use for are -1, which the kernels leave out
    place = np.full((n, 9), -1, np.int32)
    value, block, dense = np.zeros((n, 9), np.float32), np.zeros(n, np.int32), np.zeros((n, n_dense), np.float32)
    per_effect = count_frames_per_effect(experiments)
    z = table["xyzcal.px"][seen.row, 2]
    for k, experiment in enumerate(experiments):
        mine = np.flatnonzero(seen.sweep == k)
        first, last = experiment.known.scan.array_range
        scale, decay, frames = (model.get_part(kind, k) for kind in ("scale", "decay", "frames"))
        columns: list[tuple[np.ndarray, np.ndarray]] = []
        assert scale is not None  # every sweep has a scale
        columns.append(_place_spline(scale, z[mine], first, last))
        if decay is not None:
            at, values = _place_spline(decay, z[mine], first, last)
            columns.append((at, values / (2.0 * np.square(seen.d[mine]))[:, None]))
        if frames is not None:
            frame = np.clip(np.floor(z[mine]).astype(np.int64) - first, 0, last - first - 1) // per_effect
            columns.append((frames.first + frame[:, None], np.ones((len(mine), 1))))
        at = np.concatenate([c[0] for c in columns], axis=1)
        place[mine, :at.shape[1]] = at
        value[mine, :at.shape[1]] = np.concatenate([c[1] for c in columns], axis=1)
        surface = model.get_part("absorption1", k)
        if surface is not None:
            if "s1" not in table:
                raise XdpError("scale: the reflections have no directions of rays (s1), which absorption needs; scale "
                               "without it: physical.absorption_correction=False")
            dense[mine] = average_harmonics(_turn_rays(experiment, table["s1"][seen.row[mine]], z[mine]), model.lmax)
            block[mine] = surface.first
    return ScaleDesign(place, value, block, dense)


def _place_spline(part: ScalePart, z: np.ndarray, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and values of the splines that are not 0 at frame coordinates; one constant if the part has one."""
    if part.n == 1:
        return np.full((len(z), 1), part.first), np.ones((len(z), 1))
    place, value = spline_values(z, first, last, part.n)
    return part.first + place, value


def _turn_rays(experiment: Experiment, s1: np.ndarray, z: np.ndarray) -> Sequence[np.ndarray]:
    """Directions in the crystal's frame: to where the beam comes from, and to where it is diffracted."""
    scan, goniometer = experiment.known.scan, experiment.known.goniometer
    turns = make_goniometer_rotations(goniometer, np.deg2rad(scan.angle(z)))
    s0 = np.asarray(experiment.known.beam.s0)
    # R^T v, row by row
    incident = np.einsum("nji,j->ni", turns, -s0 / np.linalg.norm(s0))
    diffracted = np.einsum("nji,nj->ni", turns, s1 / np.linalg.norm(s1, axis=1, keepdims=True))
    return incident, diffracted


def _width(experiment: Experiment) -> float:
    """Degrees of a sweep."""
    first, last = experiment.known.scan.array_range
    return abs(float(experiment.known.scan.angle(float(last)) - experiment.known.scan.angle(float(first))))


def _has_surface(experiment: Experiment, options: ScaleOptions) -> bool:
    """Whether a sweep gets an absorption surface."""
    wanted = options.physical.absorption_correction
    if not is_physical(experiment, options):
        return False
    return _width(experiment) >= _ABSORBS if wanted is AUTO else bool(wanted)


def _count_nodes(experiment: Experiment, options: ScaleOptions) -> tuple[int, int]:
    """How many parameters the smooth scale and the B factor of a sweep have."""
    if not is_physical(experiment, options):
        return 1, int(options.KB.decay_correction)
    physical, width = options.physical, _width(experiment)
    every = [default if given is AUTO else float(given)  # type: ignore[arg-type]
             for given, default in ((physical.scale_interval, _SCALE_INTERVAL),
                                    (physical.decay_interval, _DECAY_INTERVAL))]
    n_scale, n_decay = (int(np.ceil(width / step)) + 3 for step in every)
    # over less than two intervals decay is a number
    return max(n_scale, _FEWEST), (n_decay if width >= 2.0 * every[1] else 1) * physical.decay_correction
