"""Where the beam really meets the detector: the shift of the detector under which the spots are most periodic.

A wrong beam centre moves all spots of a narrow wedge by nearly the same vector in reciprocal space. Their Fourier
transform keeps its peaks, only the phases change: sum exp(2 pi i v.q) is no longer real at a lattice vector v. The
shift is sought that makes the sum of its real parts over several v the largest, first on a grid, then from the best
grid points by Newton steps in turn for the vectors and for the shift.

References
----------
Sauter, Grosse-Kunstleve & Adams (2004) J. Appl. Cryst. 37, 399 (LABELIT: the target over the direct beam position).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.detector import move_panels
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.options import BeamSearch
from xdp.indexing.search.fft3d import Candidates, fft3d_candidates
from xdp.indexing.search.max_cell import estimate_max_cell
from xdp.indexing.spots import Spots, in_image_range, load_spots, map_spots
from xdp.reflections.table import ReflectionTable

_SAMPLE = 500     # spots that are scored on the grid
_VECTORS = 15     # lattice vectors of each search that are scored
_WEDGE = 10.0     # degrees: within them a wrong beam centre is the same shift for all spots, nearly
_WEDGE_SPOTS = 60  # spots that a wedge needs to show the lattice
_FEW = 10         # spots that are needed
_STARTS = 8       # grid points that are followed
_MOST_GRID = 49   # grid points along an edge at most


@dataclass(frozen=True)
class Shift:
    """A shift of the detector (mm along fast and slow of its first panel) and how periodic the spots are under it."""

    mm: tuple[float, float]
    score: float   # mean over vectors of sum cos(2 pi v.q) / n, at most 1


def shifted_sweeps(sweeps: ExperimentList, shift: tuple[float, float]) -> ExperimentList:
    """The sweeps with every detector moved by (fast, slow) mm along the axes of its first panel; sharing is kept."""
    made = {}
    for sweep in sweeps:
        detector = sweep.detector
        if id(detector) not in made:
            first = detector.d_matrix(0)
            frames = [detector.d_matrix(i).copy() for i in range(len(detector))]
            for frame in frames:
                frame[:, 2] += first[:, 0] * shift[0] + first[:, 1] * shift[1]
            made[id(detector)] = move_panels(detector, frames)
    return ExperimentList([replace(s, detector=made[id(s.detector)]) for s in sweeps], sweeps.extra)


def search_beam(sweeps: ExperimentList, spots: Spots, max_cell: float, *, scope: float = 4.0, n_points: int = 256,
                d_min: float | None = None, n_best: int = 3, coarseness: float = 1.0) -> list[Shift]:
    """Shifts of the detector under which the spots are most periodic, best first; none where there is no periodicity.

    Parameters
    ----------
    scope : float
        Largest shift along each axis, mm.
    n_best : int
        How many shifts to give: with a narrow wedge, shifts by a whole lattice spacing look much the same.
    coarseness : float
        Factor on the step of the grid, a quarter of the spacing that the longest vector resolves.
    """
    points, slope = spots.points, shift_slopes(sweeps, spots)
    vectors = _vectors(spots, max_cell, n_points, d_min)
    if not len(vectors):
        return []
    rows = _sample(len(points), _SAMPLE)
    step = step_of(vectors, slope[rows], scope, coarseness)
    grid = shift_grid(scope, step)
    scores = periodicity(vectors, points[rows], slope[rows], grid)
    found = [climb(vectors, points[rows], slope[rows], grid[k], scope) for k in tops(grid, scores, 1.5 * step)]
    return _distinct(found, step)[:n_best]


def optimise_beam_position(experiments: ExperimentList, reflections: ReflectionTable, options: BeamSearch | None = None
                           ) -> tuple[ExperimentList, Shift]:
    """The experiments with their detectors where the spots are most periodic, and the shift that took.

    Raises
    ------
    XdpError
        If the spots show no periodicity.
    """
    options = options or BeamSearch()
    if options.image_range is not None:
        reflections = in_image_range(experiments, reflections, options.image_range)
    spots = load_spots(experiments, reflections)
    keep = np.ones(len(spots), dtype=bool) if not options.d_min else spots.d >= options.d_min
    rows = np.flatnonzero(keep)
    rows = rows[_sample(len(rows), options.max_reflections or len(rows))]
    if len(rows) < _FEW:
        raise XdpError(f"beam search: {len(rows)} spots are too few, at least {_FEW} are needed")
    table = spots.table.select(rows)
    total, sweeps, shift = np.zeros(2), experiments, Shift((0.0, 0.0), 0.0)
    for _ in range(options.n_macro_cycles):
        spots = map_spots(sweeps, table)
        max_cell = options.max_cell or estimate_max_cell(spots.points, np.degrees(spots.phi), block=spots.sweep)
        found = search_beam(sweeps, spots, max_cell, scope=options.mm_search_scope, n_best=1,
                            coarseness=options.wide_search_binning / 2.0)
        if not found:
            raise XdpError(f"beam search: the Fourier transform of {len(rows)} spots shows no lattice vectors to "
                           f"{max_cell:.0f} Å; try max_cell=..., fewer images (image_range=) or d_min=")
        total, sweeps = total + found[0].mm, shifted_sweeps(sweeps, found[0].mm)
        shift = Shift((float(total[0]), float(total[1])), found[0].score)
    return sweeps, shift


def shift_slopes(sweeps: ExperimentList, spots: Spots, h: float = 0.05) -> np.ndarray:
    """Derivative (n, 3, 2) of each reciprocal lattice point (1/Å) by the detector's shift (1/Å for each mm)."""
    columns = []
    for direction in ((h, 0.0), (0.0, h)):
        there = map_spots(shifted_sweeps(sweeps, direction), spots.table).points
        back = map_spots(shifted_sweeps(sweeps, (-direction[0], -direction[1])), spots.table).points
        columns.append((there - back) / (2.0 * h))
    return np.stack(columns, axis=2)


def _vectors(spots: Spots, max_cell: float, n_points: int, d_min: float | None) -> np.ndarray:
    """Likely lattice vectors of all spots, and of the wedge of the scan with most spots."""
    found = [_candidates(spots.points, max_cell, n_points, d_min).vectors[:_VECTORS]]
    degrees = np.degrees(spots.phi) + 1e5 * spots.sweep
    if np.ptp(degrees) > 2.0 * _WEDGE:
        block = np.floor(degrees / _WEDGE)
        names, counts = np.unique(block, return_counts=True)
        for k in np.argsort(-counts, kind="stable")[:2]:
            if counts[k] >= _WEDGE_SPOTS:
                part = spots.points[block == names[k]]
                found.append(_candidates(part, max_cell, n_points, d_min).vectors[:_VECTORS])
    return np.concatenate(found)


def _candidates(points: np.ndarray, max_cell: float, n_points: int, d_min: float | None) -> Candidates:
    return fft3d_candidates(points, max_cell, n_points=n_points, d_min=d_min, rmsd_cutoff=10.0)


def _sample(n: int, most: int) -> np.ndarray:
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def step_of(vectors: np.ndarray, slope: np.ndarray, scope: float, coarseness: float = 1.0) -> float:
    """The step in mm of a grid of shifts, a quarter of the period of the fastest vector."""
    # a vector's phase changes by 2 pi v.slope for each mm
    rate = np.abs(np.einsum("vk,nkm->vnm", vectors, slope[:100])).max()
    return float(np.clip(coarseness * 0.25 / max(rate, 1e-6), 2.0 * scope / (_MOST_GRID - 1), scope / 4.0))


def shift_grid(scope: float, step: float) -> np.ndarray:
    """Shifts (n, 2) on a square grid, mm."""
    n = max(int(np.ceil(scope / step)), 1)
    line = np.arange(-n, n + 1) * (scope / n)
    return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)


def periodicity(vectors: np.ndarray, points: np.ndarray, slope: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """For each shift the mean over the better half of the vectors of sum cos(2 pi v.q) / n."""
    base = (2.0 * np.pi * (vectors @ points.T)).astype(np.float32)
    rate = (2.0 * np.pi * np.einsum("vk,nkm->mvn", vectors, slope)).astype(np.float32)
    scores = np.empty(len(shifts))
    for k, (x, y) in enumerate(shifts.astype(np.float32)):
        periodic = np.cos(base + x * rate[0] + y * rate[1]).mean(axis=1)
        scores[k] = np.sort(periodic)[len(periodic) // 2 :].mean()
    return scores


def tops(grid: np.ndarray, scores: np.ndarray, apart: float) -> list[int]:
    """The best grid points that are some way from each other."""
    chosen: list[int] = []
    for k in np.argsort(-scores, kind="stable"):
        if all(np.linalg.norm(grid[k] - grid[i]) > apart for i in chosen):
            chosen.append(int(k))
        if len(chosen) == _STARTS:
            break
    return chosen


def climb(vectors: np.ndarray, points: np.ndarray, slope: np.ndarray, start: np.ndarray, scope: float) -> Shift:
    """Climb from a grid point: vectors and shift in turn by damped Newton steps on the sum of cosines."""
    shift, v = start.copy(), vectors
    for _ in range(8):
        q = points + slope @ shift
        wave = np.exp(2j * np.pi * (v @ q.T))
        v = v + _newton(wave, q, 0.05 * np.linalg.norm(v, axis=1))
        wave = np.exp(2j * np.pi * (v @ q.T))
        rate = np.einsum("vk,nkm->vnm", v, slope)
        weight = np.clip(wave.real.mean(axis=1), 0.0, None)[:, None]
        gradient = -2.0 * np.pi * np.einsum("vn,vnm->m", weight * wave.imag, rate)
        curvature = 4.0 * np.pi**2 * np.einsum("vn,vnm,vnk->mk", weight * np.maximum(wave.real, 0.0), rate, rate)
        move = np.linalg.solve(curvature + 1e-6 * np.trace(curvature) * np.eye(2) + 1e-12 * np.eye(2), gradient)
        shift = np.clip(shift + np.clip(move, -0.3, 0.3), -1.2 * scope, 1.2 * scope)
    periodic = np.cos(2.0 * np.pi * (v @ (points + slope @ shift).T)).mean(axis=1)
    best = np.sort(periodic)[len(periodic) // 2 :]
    return Shift((float(shift[0]), float(shift[1])), float(best.mean()))


def _newton(wave: np.ndarray, q: np.ndarray, most: np.ndarray) -> np.ndarray:
    """One step of each vector towards the maximum of its sum of cosines, no longer than `most`."""
    gradient = -2.0 * np.pi * (wave.imag @ q)
    curvature = 4.0 * np.pi**2 * np.einsum("vn,ni,nj->vij", np.maximum(wave.real, 0.0), q, q, optimize=True)
    curvature += 1e-3 * np.trace(curvature, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    step = np.linalg.solve(curvature + 1e-12 * np.eye(3), gradient[..., None])[..., 0]
    length = np.linalg.norm(step, axis=1)
    return step * np.minimum(1.0, most / np.maximum(length, 1e-12))[:, None]


def _distinct(found: list[Shift], apart: float) -> list[Shift]:
    """Different shifts, best first; of nearly equal ones (within a fiftieth) the smallest shift first."""
    kept: list[Shift] = []
    for shift in sorted(found, key=lambda s: -s.score):
        if all(np.hypot(shift.mm[0] - k.mm[0], shift.mm[1] - k.mm[1]) > 0.5 * apart for k in kept):
            kept.append(shift)
    if not kept:
        return []
    near = [s for s in kept if s.score > 0.98 * kept[0].score]
    return sorted(near, key=lambda s: float(np.hypot(*s.mm))) + [s for s in kept if s not in near]
