"""Directions and lengths that repeat: the three-dimensional Fourier transform of the spots' reciprocal positions.

The power |sum exp(2 pi i v.q)|^2 of the points q peaks where v is a vector of the direct lattice. It does not change
when all points are shifted, which is nearly what a wrong beam centre does over a narrow wedge; the real part does.

References
----------
Bricogne (1986) Proceedings of the EEC Cooperative Workshop on Position-Sensitive Detector Software, Phase III, 28;
Campbell (1998) J. Appl. Cryst. 31, 407; Steller, Bolotovsky & Rossmann (1997) J. Appl. Cryst. 30, 1036.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
from scipy import fft

from xdp.indexing.lattice.basis import are_multiples
from xdp.indexing.options import Fft3d
from xdp.options.model import Auto
from xdp.work.cores import count_cores

# The numbers below are choices, tried on the random crystals of benchmarks/indexing_stress.py (docs/indexing.md).
_NEWTON_POINTS = 2000  # the position of a peak gains nothing from more
_PEAKS = 300           # peaks of the map that are looked at
_SHARE = 0.5           # periodicity, relative to the best, that a short vector needs to be preferred
PERIOD = 2.5           #: period of the transform in units of the longest axis: its peaks and those of twice it fit in
_EDGE_WEIGHT = 0.05    # weight of a point at the resolution limit: the map has no ripples from a sharp edge
_ENOUGH = 30           # peaks' grid points without which the cutoff is halved, twice at most
_STRIDE = 7            # every seventh grid point tells the rms of the map as well as all
_RIDGE = 1e-3          # of the trace, added to the curvature: a direction without points does not move
# A vector that moves further than a tenth of its length and 3 Å has left its peak. Vectors closer than a fiftieth of
# their length and 0.2 Å are one.
_LOST = (0.1, 3.0)
_REPEAT = (0.02, 0.2)
_AS_STRONG = 0.8       # of a multiple's periodicity: with so much the shorter vector takes its place

#: Threads of a transform; -1 is SciPy's word for one on each core.
_threads: ContextVar[int] = ContextVar("xdp_fft_threads", default=-1)


@contextlib.contextmanager
def use_threads(nproc: int | Auto | None) -> Iterator[None]:
    """Make the transforms of the block on so many threads; the numbers do not depend on it.

    Parameters
    ----------
    nproc : int, Auto or None
        Auto and None: all cores that this process may use.
    """
    token = _threads.set(count_cores() if nproc is None or isinstance(nproc, Auto) else nproc)
    try:
        yield
    finally:
        _threads.reset(token)


@dataclass(frozen=True)
class Candidates:
    """Candidate lattice vectors, strongest first.

    Attributes
    ----------
    vectors : (n, 3)
        In Å.
    periodicity : (n,)
        1 where all points agree with the vector, near 0 by chance.
    """

    vectors: np.ndarray
    periodicity: np.ndarray


def choose_resolution(points: np.ndarray, max_cell: float, n_points: int) -> float:
    """Choose the resolution limit in Å of the points that a grid can hold.

    The period of the transform is 2.5 times `max_cell`; `n_points` along an edge then reach to this resolution.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    max_cell : float
        Longest axis to look for, Å.
    n_points : int
        Of the grid along each edge.

    Examples
    --------
    >>> import numpy as np
    >>> choose_resolution(np.array([[0.0, 0.0, 1.0]]), 100.0, 250)
    2.0
    """
    finest = 1.0 / float(np.linalg.norm(points, axis=1).max())
    return max(2.0 * PERIOD * max_cell / n_points, finest)


def find_candidates_fft3d(points: np.ndarray, max_cell: float, options: Fft3d | None = None, *, min_cell: float = 3.0,
                          max_candidates: int = 40) -> Candidates:
    """Find candidate lattice vectors as peaks of the three-dimensional Fourier transform.

    The points, damped by a temperature factor, are put on a cubic grid and transformed. Peaks above ``rmsd_cutoff``
    times the rms of the power are taken, brought to their exact place by Newton's method on the points themselves, and
    freed of multiples of shorter ones.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    max_cell : float
        Longest axis to look for, Å.
    options : Fft3d, optional
        The grid, the damping and the height of peaks.
    min_cell : float
        Shortest axis to look for, Å.
    max_candidates : int
        Candidates that are kept at most.

    Returns
    -------
    Candidates
        Empty if the map has no peaks.
    """
    options = options or Fft3d()
    grid, n_points = options.reciprocal_space_grid, options.reciprocal_space_grid.n_points
    limit = choose_resolution(points, max_cell, n_points) if isinstance(grid.d_min, Auto) else grid.d_min
    used = points[np.linalg.norm(points, axis=1) <= 1.0 / limit]
    # exp(-B / 4 d^2) is the weight at the limit
    damping = -4.0 * limit**2 * np.log(_EDGE_WEIGHT) if isinstance(options.b_iso, Auto) else options.b_iso
    power, spacing = _compute_power(used, limit, n_points, damping)
    vectors = _find_peaks(power, spacing, options.rmsd_cutoff, min_cell, 2.0 * max_cell)
    if not len(vectors):
        return Candidates(np.zeros((0, 3)), np.zeros(0))
    weights = np.exp(-damping * np.sum(used**2, axis=1) / 4.0)
    vectors, height = refine_vectors(vectors, used, weights)
    return select_candidates(vectors, height, min_cell, max_candidates)


def _compute_power(points: np.ndarray, limit: float, n: int, b_iso: float) -> tuple[np.ndarray, float]:
    """|FFT|^2 (n, n, n // 2 + 1) of the points on a grid, and its spacing in Å."""
    n = fft.next_fast_len(n, real=True)
    step = 2.0 / (limit * n)
    place = np.round(points / step).astype(np.int64) % n
    weights = np.exp(-b_iso * np.sum(points**2, axis=1) / 4.0)
    spectrum = transform_points(place, weights.astype(np.float32), n)
    power = np.square(spectrum.real)
    power += np.square(spectrum.imag)
    return power, 1.0 / (n * step)


def transform_points(place: np.ndarray, weights: np.ndarray, n: int) -> np.ndarray:
    """Compute the Fourier transform of points on a grid, axis by axis in the order that SciPy's ``rfftn`` takes.

    Lines and planes of the grid without a point are zero and are not transformed: of a hundred points that saves half
    of the time.

    Parameters
    ----------
    place : (m, 3) of int
        Grid points, 0 to n - 1.
    weights : (m,)
        Of the points. The largest counts where several points fall on one.
    n : int
        Points along each edge of the grid.

    Returns
    -------
    (n, n, n // 2 + 1) of complex

    Examples
    --------
    >>> import numpy as np
    >>> spectrum = transform_points(np.array([[0, 0, 1]]), np.ones(1, dtype=np.float32), 4)
    >>> spectrum.shape, spectrum[0, 0].round(3).tolist()
    ((4, 4, 3), [(1+0j), -1j, (-1+0j)])
    """
    x, y, z = place.T
    lines, line = np.unique(x * n + y, return_inverse=True)
    grid = np.zeros((len(lines), n), dtype=np.float32)
    # as DIALS does, a grid point counts once however many spots fall on it: detector artefacts do not add up
    np.maximum.at(grid, (line, z), weights)
    along_z = fft.rfft(grid, axis=1, workers=_threads.get())
    planes, plane = np.unique(lines % n, return_inverse=True)
    slab = np.zeros((n, len(planes), n // 2 + 1), dtype=along_z.dtype)
    slab[lines // n, plane] = along_z
    slab = fft.fft(slab, axis=0, workers=_threads.get(), overwrite_x=True)
    spectrum = slab
    if len(planes) < n:
        spectrum = np.zeros((n, n, n // 2 + 1), dtype=slab.dtype)
        spectrum[:, planes] = slab
    return fft.fft(spectrum, axis=1, workers=_threads.get(), overwrite_x=True)


def _find_peaks(power: np.ndarray, spacing: float, cutoff: float, shortest: float, longest: float) -> np.ndarray:
    """Positions (m, 3) in Å of local maxima above the cutoff, highest first, lengths within limits."""
    n = power.shape[0]
    flat = power.reshape(-1)
    mean = float(flat.mean(dtype=np.float64))
    rms = float(np.sqrt(np.mean((flat[::_STRIDE].astype(np.float64) - mean) ** 2)))
    for factor in (1.0, 0.5, 0.25):
        above = np.flatnonzero(flat > factor * cutoff * rms)
        if len(above) >= _ENOUGH:
            break
    index = np.stack(np.unravel_index(above, power.shape), axis=1)
    signed = np.where(index > n // 2, index - n, index)
    length = np.linalg.norm(signed, axis=1) * spacing
    keep = (length > shortest) & (length < longest)
    index, signed, values = index[keep], signed[keep], flat[above[keep]]
    maximum = np.ones(len(index), dtype=bool)
    for shift in np.ndindex(3, 3, 3):
        if shift == (1, 1, 1):
            continue
        near = index + np.array(shift) - 1
        # the first two axes are periodic, the last one is cut in half and ends
        inside = (near[:, 2] >= 0) & (near[:, 2] < power.shape[2])
        near[:, :2] %= n
        near[:, 2] = np.clip(near[:, 2], 0, power.shape[2] - 1)
        maximum &= ~inside | (values >= power[near[:, 0], near[:, 1], near[:, 2]])
    order = np.argsort(-values[maximum], kind="stable")[:_PEAKS]
    return signed[maximum][order] * spacing


def refine_vectors(vectors: np.ndarray, points: np.ndarray, weights: np.ndarray, n_steps: int = 6
                   ) -> tuple[np.ndarray, np.ndarray]:
    """Move each vector to the nearest maximum of the power of `points`, by damped Newton steps.

    Parameters
    ----------
    vectors : (m, 3)
        In Å.
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    weights : (n,)
        Of the points.
    n_steps : int
        Newton steps.

    Returns
    -------
    vectors : (m, 3)
    periodicity : (m,)
        |sum w exp(2 pi i v.q)| / sum w at the maximum; 0 for a vector that has left its peak.
    """
    if len(points) > _NEWTON_POINTS:
        chosen = np.random.default_rng(0).choice(len(points), _NEWTON_POINTS, replace=False)
        points, weights = points[chosen], weights[chosen]
    v = vectors.copy()
    for _ in range(n_steps):
        wave = weights * np.exp(2j * np.pi * (v @ points.T))
        total = wave.sum(axis=1)
        phase = np.conj(total / np.maximum(np.abs(total), 1e-12))
        # along the ray of the total: |S| = sum w cos(2 pi v.q - arg S)
        aligned = wave * phase[:, None]
        gradient = -2.0 * np.pi * (aligned.imag @ points)
        # points that are out of phase would make the curvature indefinite; without them a step is shorter
        cosine = np.maximum(aligned.real, 0.0)
        curvature = 4.0 * np.pi**2 * np.einsum("mn,ni,nj->mij", cosine, points, points, optimize=True)
        curvature += _RIDGE * np.trace(curvature, axis1=1, axis2=2)[:, None, None] * np.eye(3)
        v += np.linalg.solve(curvature, gradient[..., None])[..., 0]
    height = np.abs((weights * np.exp(2j * np.pi * (v @ points.T))).sum(axis=1)) / weights.sum()
    moved = np.linalg.norm(v - vectors, axis=1)
    lost = moved > _LOST[0] * np.linalg.norm(vectors, axis=1) + _LOST[1]
    height[lost] = 0.0
    return v, height


def select_candidates(vectors: np.ndarray, height: np.ndarray, shortest: float, most: int) -> Candidates:
    """Drop repeated vectors (also opposite ones), and multiples of shorter vectors that are as periodic.

    A small cell has hundreds of lattice vectors that are all as periodic. Its short ones are kept, and of the others
    the most periodic.

    Parameters
    ----------
    vectors : (n, 3)
        In Å.
    height : (n,)
        Their periodicities.
    shortest : float
        Shorter vectors are dropped, Å.
    most : int
        Vectors that are kept at most.

    Examples
    --------
    >>> import numpy as np
    >>> v = np.array([[10.0, 0.0, 0.0], [-10.0, 0.0, 0.1], [20.0, 0.0, 0.0], [0.0, 12.0, 0.0]])
    >>> select_candidates(v, np.array([0.9, 0.8, 0.9, 0.95]), 3.0, 40).vectors.tolist()
    [[0.0, 12.0, 0.0], [10.0, 0.0, 0.0]]
    """
    length = np.linalg.norm(vectors, axis=1)
    order = np.argsort(length, kind="stable")
    order = order[(height[order] > 0.0) & (length[order] >= shortest)]
    v, size, strength = vectors[order], length[order], height[order]
    is_open = np.ones(len(order), dtype=bool)
    kept: list[int] = []
    for k in range(len(order)):
        if not is_open[k]:
            continue
        kept.append(int(order[k]))
        apart = np.minimum(np.linalg.norm(v - v[k], axis=1), np.linalg.norm(v + v[k], axis=1))
        is_open &= apart >= _REPEAT[0] * size + _REPEAT[1]
        is_open &= ~(are_multiples(v, v[k]) & (strength[k] > _AS_STRONG * strength))
    chosen = _select_short_and_strong(np.array(kept, dtype=np.int64), height, most)
    return Candidates(vectors[chosen], height[chosen])


def _select_short_and_strong(rows: np.ndarray, height: np.ndarray, most: int) -> np.ndarray:
    """Of rows in order of length the shortest fairly strong ones and the strongest, half of each, strongest first."""
    if len(rows) > most:
        strong = rows[np.argsort(-height[rows], kind="stable")]
        fair = rows[height[rows] > _SHARE * height[strong[0]]]
        rows = np.array(list(dict.fromkeys([*fair[: most // 2], *strong]))[:most])
    return rows[np.argsort(-height[rows], kind="stable")]
