"""Where the beam really meets the detector: the shift of the detector under which the spots are most periodic.

A wrong beam centre moves all spots of a narrow wedge by nearly the same vector in reciprocal space. The peaks of their
Fourier transform stay where they are, only the phases change: sum exp(2 pi i v.q) is no longer real at a lattice vector
v. The shift is sought that makes the sum of its real parts over several v the largest. It is sought on a grid first,
and then from the best grid points by Newton steps in turn for the vectors and for the shift.

References
----------
Sauter, Grosse-Kunstleve & Adams (2004) J. Appl. Cryst. 37, 399 (LABELIT: the target over the direct beam position).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.geometry import shift_sweeps
from xdp.indexing.options import BeamSearch, Fft3d, ReciprocalSpaceGrid
from xdp.indexing.search.fft3d import find_candidates_fft3d, use_threads
from xdp.indexing.search.max_cell import estimate_max_cell
from xdp.indexing.spots import ReciprocalSpots, load_spots, map_spots, select_images
from xdp.reflections.table import ReflectionTable

# The numbers below are choices, tried on the random crystals of benchmarks/indexing_stress.py, whose beam centres are
# off by up to 3 mm (docs/indexing.md).
_SAMPLE = 500     # spots that are scored on the grid
_VECTORS = 15     # lattice vectors of each search that are scored
_WEDGE = 10.0     # degrees: within them a wrong beam centre is the same shift for all spots, nearly
_WEDGE_SPOTS = 60  # spots that a wedge needs to show the lattice
_FEW = 10         # spots that are needed
_STARTS = 8       # grid points that are followed
_MOST_GRID = 49   # grid points along an edge at most
_CUTOFF = 10.0    # peaks of the transform are higher than this multiple of its rms, lower than for lattice vectors
_STEPS = 8        # Newton steps from a grid point
_MOST_STEP = 0.3  # mm of a step of the shift: it stays on the hill where it began
_MOST_TURN = 0.05  # of its length, a step of a vector
_BEYOND = 1.2     # of the scope, that a shift may end at: the maximum may lie just outside the grid
_EQUAL = 0.98     # of the best score: a smaller shift with so much is preferred
_SAME = 0.5       # of a grid step: shifts that are closer are one
_RIDGE = 1e-3     # of the trace, added to the curvature: a direction without points does not move
_SMALL_RIDGE, _TINY = 1e-6, 1e-12  # the same for the shift, which all points determine; and against no points at all


@dataclass(frozen=True)
class Shift:
    """A shift of the detector and how well the spots fit with it.

    Attributes
    ----------
    mm : (float, float)
        Along fast and slow of the detector's first panel.
    score : float
        Mean over vectors of sum cos(2 pi v.q) / n, at most 1; or a log likelihood ratio.
    """

    mm: tuple[float, float]
    score: float


def search_beam(sweeps: ExperimentList, spots: ReciprocalSpots, max_cell: float, *, scope: float = 4.0,
                n_points: int = 256, n_best: int = 3, coarseness: float = 1.0) -> list[Shift]:
    """Find shifts of the detector under which the spots are most periodic.

    Parameters
    ----------
    sweeps : ExperimentList
        The geometry.
    spots : ReciprocalSpots
        The spots, mapped with it.
    max_cell : float
        Longest axis to look for, Å.
    scope : float
        Largest shift along each axis, mm.
    n_points : int
        Of the grid of the Fourier transform along each edge.
    n_best : int
        How many shifts to give: with a narrow wedge, shifts by a whole lattice spacing look much the same.
    coarseness : float
        Factor on the step of the grid, a quarter of the spacing that the longest vector resolves.

    Returns
    -------
    list of Shift
        Best first; empty if the transform shows no periodicity.
    """
    points, slope = spots.points, differentiate_by_shift(sweeps, spots)
    vectors = _find_vectors(spots, max_cell, n_points)
    if not len(vectors):
        return []
    rows = sample_rows(len(points), _SAMPLE)
    step = choose_step(vectors, slope[rows], scope, coarseness)
    grid = make_shift_grid(scope, step)
    scores = score_periodicity(vectors, points[rows], slope[rows], grid)
    found = [refine_shift(vectors, points[rows], slope[rows], grid[k], scope)
             for k in pick_starts(grid, scores, 1.5 * step)]
    return _drop_repeated_shifts(found, step)[:n_best]


def optimise_beam_position(experiments: ExperimentList, reflections: ReflectionTable, options: BeamSearch | None = None
                           ) -> tuple[ExperimentList, Shift]:
    """Move the detectors to where the spots are most periodic.

    Parameters
    ----------
    experiments : ExperimentList
        The sweeps.
    reflections : ReflectionTable
        The strong spots.
    options : BeamSearch, optional
        The spots that are used, and how far to look.

    Returns
    -------
    experiments : ExperimentList
        With the detectors moved.
    shift : Shift
        The whole shift, and the score of the last search.

    Raises
    ------
    XdpError
        If the spots show no periodicity.
    """
    options = options or BeamSearch()
    if options.image_range is not None:
        reflections = select_images(experiments, reflections, options.image_range)
    spots = load_spots(experiments, reflections)
    keep = np.ones(len(spots), dtype=bool) if not options.d_min else spots.d >= options.d_min
    rows = np.flatnonzero(keep)
    rows = rows[sample_rows(len(rows), options.max_reflections or len(rows))]
    if len(rows) < _FEW:
        raise XdpError(f"beam search: {len(rows)} spots are too few, at least {_FEW} are needed")
    table = spots.table.select(rows)
    total, sweeps, shift = np.zeros(2), experiments, Shift((0.0, 0.0), 0.0)
    for _ in range(options.n_macro_cycles):
        spots = map_spots(sweeps, table)
        max_cell = options.max_cell or estimate_max_cell(spots.points, np.degrees(spots.phi), block=spots.sweep)
        # wide_search_binning=2 is the usual step
        with use_threads(options.nproc):
            found = search_beam(sweeps, spots, max_cell, scope=options.mm_search_scope, n_best=1,
                                coarseness=options.wide_search_binning / 2.0)
        if not found:
            raise XdpError(f"beam search: the Fourier transform of {len(rows)} spots shows no lattice vectors to "
                           f"{max_cell:.0f} Å; try max_cell=..., fewer images (image_range=) or d_min=")
        total, sweeps = total + found[0].mm, shift_sweeps(sweeps, found[0].mm)
        shift = Shift((float(total[0]), float(total[1])), found[0].score)
    return sweeps, shift


def differentiate_by_shift(sweeps: ExperimentList, spots: ReciprocalSpots, h: float = 0.05) -> np.ndarray:
    """Differentiate each reciprocal lattice point by the detector's shift.

    Parameters
    ----------
    sweeps : ExperimentList
        The geometry.
    spots : ReciprocalSpots
        The spots, mapped with it.
    h : float
        Half the step of the central differences, mm.

    Returns
    -------
    (n, 3, 2)
        1/Å for each mm along fast and slow.
    """
    columns = []
    for direction in ((h, 0.0), (0.0, h)):
        there = map_spots(shift_sweeps(sweeps, direction), spots.table).points
        back = map_spots(shift_sweeps(sweeps, (-direction[0], -direction[1])), spots.table).points
        columns.append((there - back) / (2.0 * h))
    return np.stack(columns, axis=2)


def _find_vectors(spots: ReciprocalSpots, max_cell: float, n_points: int) -> np.ndarray:
    """Likely lattice vectors of all spots, and of the two wedges of the scan with most spots."""
    options = Fft3d(rmsd_cutoff=_CUTOFF, reciprocal_space_grid=ReciprocalSpaceGrid(n_points=n_points))
    found = [find_candidates_fft3d(spots.points, max_cell, options).vectors[:_VECTORS]]
    degrees = np.degrees(spots.phi) + 1e5 * spots.sweep  # far apart where sweeps differ
    if np.ptp(degrees) > 2.0 * _WEDGE:
        block = np.floor(degrees / _WEDGE)
        names, counts = np.unique(block, return_counts=True)
        for k in np.argsort(-counts, kind="stable")[:2]:
            if counts[k] >= _WEDGE_SPOTS:
                part = spots.points[block == names[k]]
                found.append(find_candidates_fft3d(part, max_cell, options).vectors[:_VECTORS])
    return np.concatenate(found)


def sample_rows(n: int, most: int) -> np.ndarray:
    """Draw at most so many of `n` row numbers, in increasing order, always the same.

    Examples
    --------
    >>> sample_rows(3, 10).tolist()
    [0, 1, 2]
    >>> len(sample_rows(100, 10))
    10
    """
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def choose_step(vectors: np.ndarray, slope: np.ndarray, scope: float, coarseness: float = 1.0) -> float:
    """Choose the step in mm of a grid of shifts: a quarter of the period of the fastest vector.

    Parameters
    ----------
    vectors : (m, 3)
        Lattice vectors in Å.
    slope : (n, 3, 2)
        Derivatives of the points by the shift, 1/Å for each mm.
    scope : float
        Largest shift along each axis, mm. The grid has no more than 49 points on an edge and no fewer than 8.
    coarseness : float
        Factor on the step.
    """
    # a vector's phase changes by 2 pi v.slope for each mm; a hundred spots tell the fastest
    rate = np.abs(np.einsum("vk,nkm->vnm", vectors, slope[:100])).max()
    return float(np.clip(coarseness * 0.25 / max(rate, 1e-6), 2.0 * scope / (_MOST_GRID - 1), scope / 4.0))


def make_shift_grid(scope: float, step: float) -> np.ndarray:
    """Make shifts (n, 2) in mm on a square grid from -`scope` to `scope`, about `step` apart; zero is one of them.

    Examples
    --------
    >>> make_shift_grid(1.0, 1.0).tolist()[:4]
    [[-1.0, -1.0], [-1.0, 0.0], [-1.0, 1.0], [0.0, -1.0]]
    """
    n = max(int(np.ceil(scope / step)), 1)
    line = np.arange(-n, n + 1) * (scope / n)
    return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)


def score_periodicity(vectors: np.ndarray, points: np.ndarray, slope: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Score shifts by the mean over the better half of the vectors of sum cos(2 pi v.q) / n.

    Parameters
    ----------
    vectors : (v, 3)
        Lattice vectors in Å.
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    slope : (n, 3, 2)
        Their derivatives by the shift, 1/Å for each mm.
    shifts : (m, 2)
        In mm.

    Returns
    -------
    (m,)
        At most 1.
    """
    # phases are linear in the shift; single precision halves the time, which is that of the cosines
    base = (2.0 * np.pi * (vectors @ points.T)).astype(np.float32)
    rate = (2.0 * np.pi * np.einsum("vk,nkm->mvn", vectors, slope)).astype(np.float32)
    scores = np.empty(len(shifts))
    for k, (x, y) in enumerate(shifts.astype(np.float32)):
        periodic = np.cos(base + x * rate[0] + y * rate[1]).mean(axis=1)
        scores[k] = np.sort(periodic)[len(periodic) // 2 :].mean()
    return scores


def pick_starts(grid: np.ndarray, scores: np.ndarray, apart: float) -> list[int]:
    """Pick the numbers of the best points of a `grid` (n, 2), at most eight, that are further than `apart` mm apart."""
    chosen: list[int] = []
    for k in np.argsort(-scores, kind="stable"):
        if all(np.linalg.norm(grid[k] - grid[i]) > apart for i in chosen):
            chosen.append(int(k))
        if len(chosen) == _STARTS:
            break
    return chosen


def refine_shift(vectors: np.ndarray, points: np.ndarray, slope: np.ndarray, start: np.ndarray, scope: float) -> Shift:
    """Refine a shift from a grid point: vectors and shift in turn by damped Newton steps on the sum of cosines.

    Parameters
    ----------
    vectors : (v, 3)
        Lattice vectors in Å.
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    slope : (n, 3, 2)
        Their derivatives by the shift, 1/Å for each mm.
    start : (2,)
        The grid point, mm.
    scope : float
        Largest shift along each axis, mm; the result may be a fifth larger.
    """
    shift, v = start.copy(), vectors
    for _ in range(_STEPS):
        q = points + slope @ shift
        wave = np.exp(2j * np.pi * (v @ q.T))
        v = v + _step_vectors(wave, q, _MOST_TURN * np.linalg.norm(v, axis=1))
        wave = np.exp(2j * np.pi * (v @ q.T))
        rate = np.einsum("vk,nkm->vnm", v, slope)
        # vectors count as much as the points are in phase with them: those of other lattices do not disturb
        weight = np.clip(wave.real.mean(axis=1), 0.0, None)[:, None]
        gradient = -2.0 * np.pi * np.einsum("vn,vnm->m", weight * wave.imag, rate)
        curvature = 4.0 * np.pi**2 * np.einsum("vn,vnm,vnk->mk", weight * np.maximum(wave.real, 0.0), rate, rate)
        damped = curvature + _SMALL_RIDGE * np.trace(curvature) * np.eye(2) + _TINY * np.eye(2)
        move = np.linalg.solve(damped, gradient)
        shift = np.clip(shift + np.clip(move, -_MOST_STEP, _MOST_STEP), -_BEYOND * scope, _BEYOND * scope)
    periodic = np.cos(2.0 * np.pi * (v @ (points + slope @ shift).T)).mean(axis=1)
    best = np.sort(periodic)[len(periodic) // 2 :]
    return Shift((float(shift[0]), float(shift[1])), float(best.mean()))


def _step_vectors(wave: np.ndarray, q: np.ndarray, most: np.ndarray) -> np.ndarray:
    """One Newton step of each vector towards the maximum of its sum of cosines, no longer than `most`."""
    gradient = -2.0 * np.pi * (wave.imag @ q)
    curvature = 4.0 * np.pi**2 * np.einsum("vn,ni,nj->vij", np.maximum(wave.real, 0.0), q, q, optimize=True)
    curvature += _RIDGE * np.trace(curvature, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    step = np.linalg.solve(curvature + _TINY * np.eye(3), gradient[..., None])[..., 0]
    length = np.linalg.norm(step, axis=1)
    return step * np.minimum(1.0, most / np.maximum(length, 1e-12))[:, None]


def _drop_repeated_shifts(found: list[Shift], apart: float) -> list[Shift]:
    """Different shifts, best first; of nearly equal ones (within a fiftieth) the smallest shift first."""
    kept: list[Shift] = []
    for shift in sorted(found, key=lambda s: -s.score):
        if all(np.hypot(shift.mm[0] - k.mm[0], shift.mm[1] - k.mm[1]) > _SAME * apart for k in kept):
            kept.append(shift)
    if not kept:
        return []
    near = [s for s in kept if s.score > _EQUAL * kept[0].score]
    return sorted(near, key=lambda s: float(np.hypot(*s.mm))) + [s for s in kept if s not in near]
