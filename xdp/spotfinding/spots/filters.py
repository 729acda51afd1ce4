"""Filters of spots that need no images: by distance between peak and centroid, and by how crowded a place is.

A place is crowded where spots stand far closer together than Bragg spots do elsewhere: on ice rings, around streaks of
diffuse scatter, on a bad module, at a pixel that flickers. What is usual is taken from the spots themselves. How many
Bragg spots there are in a direction changes slowly with the scattering angle, and falls at high angles, where weak
reflections are lost. Therefore

1. the density about each spot is its number of nearest neighbours over the solid angle that they fill, a round one and
   one that is long along the powder ring;
2. the usual density at a scattering angle is the median, by solid angle, over all directions at smaller and larger
   angles. Crowded places may hold most of the spots, as long as they fill less than a quarter of the directions;
3. the limit is the highest usual density up to that angle, times a factor that chance does not reach, and times
   another for how uneven the densities of these data are;
4. spots go from the most crowded places first, and the rest is judged again without them, so that those beside a crowd
   stay.

References
----------
D. O. Loftsgaarden & C. P. Quesenberry, Ann. Math. Statist. 36, 1049 (1965), doi:10.1214/aoms/1177700079, on densities
by the distance of the k-th neighbour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xdp.experiment.pixels import px_to_lab

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

    from xdp.experiment import Experiment

NEIGHBOURS = (20, 40, 80)
"""Sizes of the groups whose density is looked at: small ones show narrow crowds, large ones those that are less dense.

The numbers are a choice. In simulations of 3000 spots on 1000 x 1000 pixels (means of three), 20 alone found 4 % of a
block of 100 x 60 pixels that was five times as dense as its surroundings, all three 71 %. Fewer than 20 would make a
crowd of a reflection that is measured on each of many turns of the crystal.
"""

STRETCHES = (1.0, 8.0)
"""How much longer along the powder ring than across it the solid angle of a group is.

The second is for rings, which are narrower than round groups: of a ring of 10 pixels that was 30 times as dense as its
surroundings, in the simulations above, round groups alone found 53 %, both together all. Its value is a choice; 4 did
as well there, and found none of a ring that was 10 times as dense, of which 8 found a tenth.
"""

ENOUGH = 10
"""Groups that a search must have before one can be unusual: of fewer than 200 spots all are kept."""

CHANCE = 0.01
"""Probability to drop anything from spots that fall independently of one another."""

UNEVEN = 3.0
"""Standard deviations of the unevenness of the data that are no crowd yet.

With 2, 38 of 8000 strong reflections of two sweeps of l-cysteine were dropped, which have no crowds; with 3, 4 of them.
"""

WIDEST = 0.25
"""The usual density is sought among this part of all directions at smaller, and at larger, scattering angles.

A quarter is the largest part that gives half of the range a full window.
"""

_NODES = 200
"""Scattering angles, at most, at which the usual density is worked out; it is interpolated between them."""

_SAMPLES = 1001
"""Directions that stand for all of a window: the median of so many is known to 4 % of their scatter."""

CORE = 10.0
"""A spot goes only if no place near it is so many times as crowded as its own.

Else the spots about a pixel that flickers go with it, since its spots are among their neighbours: 283 of 6800 of
`stills_dev` in single pixels, none with this. Within a crowd the density varies by less: by a factor of 4 from the
middle to a corner, and by chance.
"""

_ROUNDS = 20
"""Rounds of removing cores, at most: two or three are usual."""

_AT_A_TIME = 4096
"""Spots whose neighbours are listed at a time: 80 numbers each."""

_CLOSEST = 1e-9
"""Least distance of two rays, far below a pixel: the rays of a pixel that flickers may be the same."""


def is_near_peak(peak: np.ndarray, centroid: np.ndarray, max_separation: float) -> np.ndarray:
    """Which spots have their highest pixel within `max_separation` of their centroid.

    Parameters
    ----------
    peak, centroid : (n, 3) float64
        Of each spot: fast and slow in pixels, frame.
    max_separation : float
        In pixels, a frame counting as one.

    Returns
    -------
    (n,) bool
    """
    return np.sqrt(((peak - centroid) ** 2).sum(axis=1)) <= max_separation


def compute_spot_rays(experiment: Experiment, panel: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Compute the directions of the diffracted rays of spots.

    Parameters
    ----------
    experiment : Experiment
        With a detector.
    panel : (n,) int
    xy : (n, 2) float
        Fast and slow, pixels.

    Returns
    -------
    (n, 3) float64
        Points on the rays in the laboratory, mm.
    """
    rays = np.empty((len(panel), 3))
    for p in np.unique(panel).tolist():
        rays[panel == p] = px_to_lab(experiment.known.detector, int(p), xy[panel == p])
    return rays


def is_uncrowded(rays: np.ndarray, beam: np.ndarray) -> np.ndarray:
    """Which spots do not lie in a crowded place, as the head of this module defines it.

    Frames are not told apart: the spots of a search are looked at as if they were on one image. A few ordinary spots
    right beside a crowd may go with it.

    Parameters
    ----------
    rays : (n, 3) float64
        Directions of the diffracted rays in the laboratory, of any length.
    beam : (3,) float64
        Direction of the incident beam, of any length.

    Returns
    -------
    (n,) bool
        All True for fewer than 200 spots.

    Notes
    -----
    With the k-th neighbour at distance r, the density is proportional to ``1 / r^2``. Where spots fall independently of
    one another, ``1 / density`` has a gamma distribution of shape k: none of n groups is expected to exceed the usual
    density ``k / x`` times, x being the quantile `CHANCE` / n of that distribution. The logarithm of such densities
    scatters by ``1 / sqrt(k)``. What they scatter by beyond that, v with ``s^2 = 1 / k + v^2``, is how uneven the
    diffraction itself is (lunes, blind regions, rings of a small cell): the limit is ``exp(3 v)`` times higher.
    """
    unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    angle = np.arctan2(np.linalg.norm(np.cross(beam, unit), axis=1), unit @ beam)
    keep = np.ones(len(rays), bool)
    sizes = [k for k in NEIGHBOURS if len(rays) >= ENOUGH * k]
    chance = CHANCE / max(1, len(rays) * len(sizes) * len(STRETCHES))
    # What is far too dense goes first, by the smallest groups (a pixel that flickers); then all groups look at the
    # rest. Only the cores go at a time: what stands beside one is judged again without it.
    for groups, excess in ((sizes[:1], CORE), (sizes, 1.0)):
        for _ in range(_ROUNDS):
            cores = np.any([_find_cores(unit[keep], angle[keep], k, chance, excess) for k in groups], axis=0)
            if not np.any(cores):
                break
            keep[np.flatnonzero(keep)[cores]] = False
    return keep


def _find_cores(unit: np.ndarray, angle: np.ndarray, k: int, chance: float, excess: float) -> np.ndarray:
    """Spots in crowded places, about which no place is far more crowded still (n,), by groups of `k`.

    A place is crowded where its density is `excess` times the limit.
    """
    cores = np.zeros(len(unit), bool)
    if len(unit) < ENOUGH * k:
        return cores
    # round groups and long ones see different crowds
    for stretch in STRETCHES:
        tree, density = _measure_densities(unit, angle, k, stretch)
        limit, spread = _limits(angle, density, k)
        crowded = np.flatnonzero(density > limit + np.log(excess * _factor(spread, k, chance)))
        for some in np.split(crowded, range(_AT_A_TIME, len(crowded), _AT_A_TIME)):
            near = tree.query(tree.data[some], k=k + 1)[1]
            cores[some] |= density[some] >= density[near].max(axis=1, initial=-np.inf) - np.log(CORE)
    return cores


def _measure_densities(unit: np.ndarray, angle: np.ndarray, k: int, stretch: float) -> tuple[cKDTree, np.ndarray]:
    """Logarithm of the density about each ray (n,), up to a constant: of the `k` nearest others; and the tree of these.

    A difference in scattering angle counts `stretch` times, so that the nearest ones fill an ellipse along the ring.
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(np.column_stack([unit, np.sqrt(stretch**2 - 1.0) * angle]))
    distance = tree.query(tree.data, k=[k + 1])[0][:, 0]  # the nearest is the ray itself
    return tree, -2.0 * np.log(np.maximum(distance, _CLOSEST))


def _limits(angle: np.ndarray, density: np.ndarray, k: int) -> tuple[np.ndarray, float]:
    """The highest usual log density up to each spot's angle, (n,), and the scatter of all about what is usual.

    A spot stands for a solid angle of one over its density. At every so-many-th spot, in order of their angles, the
    usual density is the median by solid angle over a window that has as much below the spot as above it: such a median
    follows a density that rises or falls, and passes over narrow peaks. Near the beam the window is as small as what
    lies below.
    """
    order = np.lexsort((density, angle))
    density, angle = density[order], angle[order]
    area = np.cumsum(np.exp(density.min() - density))
    step = max(4 * k, len(density) // _NODES)
    nodes = np.arange(step // 2, len(density), step)
    reach = np.minimum(np.minimum(area[nodes], area[-1] - area[nodes]), WIDEST * area[-1])
    parts = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    usual = np.array([np.median(density[np.searchsorted(area, middle + (2.0 * parts - 1.0) * half)])
                      for middle, half in zip(area[nodes], reach, strict=True)])
    everywhere = np.searchsorted(area, parts * area[-1])
    excess = density[everywhere] - np.interp(angle[everywhere], angle[nodes], usual)
    middle, upper = np.quantile(excess, (0.5, 0.75))
    limit = np.empty(len(density))
    limit[order] = np.interp(angle, angle[nodes], np.maximum.accumulate(usual))
    return limit, (upper - middle) / 0.6745  # a quartile of the normal distribution lies 0.6745 sigma from its mean


def _factor(spread: float, k: int, chance: float) -> float:
    """How many times the usual density a group of `k` spots exceeds with the probability `chance`; see is_uncrowded."""
    from scipy.special import gammaincinv

    uneven = np.sqrt(max(spread**2 - 1.0 / k, 0.0))
    return float(k / gammaincinv(k, chance) * np.exp(UNEVEN * uneven))
