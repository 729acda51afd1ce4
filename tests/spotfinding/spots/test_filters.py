"""Filters of spots: distance between peak and centroid, crowded places."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.experiment import Beam, Detector, Panel
from xdp.experiment.experiment import Experiment
from xdp.experiment.pixels import px_to_s1
from xdp.spotfinding.spots import filters
from xdp.spotfinding.spots.filters import compute_spot_rays, is_near_peak, is_uncrowded

BEAM = np.array([0.0, 0.0, 1.0])
SIZE, DISTANCE = 1000.0, 1000.0
"""Pixels along the sides of the simulated detector, and pixels from it to the sample."""


def test_near_peak_counts_a_frame_as_a_pixel_and_keeps_the_limit():
    centroid = np.zeros((3, 3))
    peak = np.array([[3.0, 0.0, 4.0], [0.0, 0.0, 5.0], [0.0, 0.1, 5.0]])
    assert is_near_peak(peak, centroid, 5.0).tolist() == [True, True, False]


# --- spots without a crowd --------------------------------------------------------------------------------------------

def on_detector(xy):
    """Rays to points on a detector with the beam in its middle."""
    return np.column_stack([xy - SIZE / 2, np.full(len(xy), DISTANCE)])


def normal(rng, n, width):
    """Points about the beam whose density falls off with the angle, as that of Bragg spots does."""
    xy = rng.normal(SIZE / 2, width, (4 * n, 2))
    return xy[((xy > 0) & (xy < SIZE)).all(axis=1)][:n]


def uniform(rng, n):
    return rng.uniform(0, SIZE, (n, 2))


def between_modules(rng):
    xy = normal(rng, 3000, 250)
    return xy[(xy[:, 0] % 200 > 15) & (xy[:, 1] % 150 > 15)]


def weak_crystal(rng):
    """Bragg spots close to the beam, and a few of noise everywhere."""
    return np.concatenate([normal(rng, 2400, 40), uniform(rng, 600)])


def anisotropic(rng):
    """Far out, spots in two opposite directions only, and noise in the others."""
    xy = normal(rng, 4000, 300)
    x, y = (xy - SIZE / 2).T
    return np.concatenate([xy[(np.hypot(x, y) < 200) | (np.abs(y) < 0.35 * np.hypot(x, y))], uniform(rng, 300)])


def rotation(rng, cell, d_min, degrees, *, aligned=False, turns=1, fall=0.0):
    """Rays of an orthorhombic lattice (Å) turned about x by an angle in front of a beam of 1 Å along +z.

    A reflection shows a spot with the probability 0.7 exp(-fall / d^2), each time that it passes the sphere.
    """
    limits = [int(edge / d_min) + 1 for edge in cell]
    index = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in limits]), axis=-1).reshape(-1, 3)
    setting = np.eye(3) if aligned else np.linalg.qr(rng.normal(size=(3, 3)))[0]
    q = (index / np.array(cell)) @ setting.T
    square = (q**2).sum(axis=1)
    q, square = (a[(square > 0) & (square < d_min**-2)] for a in (q, square))
    # on the Ewald sphere z = -q^2 / 2; the points turn about x with the radius r
    start, r = np.arctan2(q[:, 1], q[:, 2]), np.hypot(q[:, 1], q[:, 2])
    passes = square / 2 < 0.999 * r
    rays = []
    for turn in np.repeat((1, -1), turns):
        phi = start + turn * np.arccos(-square / 2 / np.where(passes, r, 1.0), where=passes, out=np.zeros(len(q)))
        seen = passes & (np.rad2deg(phi) % 360 < degrees) & (rng.random(len(q)) < 0.7 * np.exp(-fall * square))
        y = q[:, 1] * np.cos(phi) - q[:, 2] * np.sin(phi)
        rays.append(np.column_stack([q[:, 0], y, 1.0 - square / 2])[seen])
    return np.concatenate(rays) + rng.normal(0, 3e-4, (sum(map(len, rays)), 3))


CLEAN = {
    "spots everywhere": lambda rng: on_detector(uniform(rng, 3000)),
    "density falls off": lambda rng: on_detector(normal(rng, 3000, 250)),
    "gaps between modules": lambda rng: on_detector(between_modules(rng)),
    "weak crystal in noise": lambda rng: on_detector(weak_crystal(rng)),
    "few spots of a weak crystal": lambda rng: on_detector(weak_crystal(rng)[::6]),
    "anisotropic": lambda rng: on_detector(anisotropic(rng)),
    "protein, 60 degrees": lambda rng: rotation(rng, (70, 78, 38), 2.3, 60, fall=8),
    "protein, 60 degrees, axes along x, y, z": lambda rng: rotation(rng, (70, 78, 38), 2.3, 60, aligned=True, fall=8),
    "large cell, 1 degree: lunes": lambda rng: rotation(rng, (200, 210, 220), 4.0, 1, fall=8),
    "small cell: powder-like rings": lambda rng: rotation(rng, (6, 8, 10), 0.8, 180),
    "small cell, measured five times": lambda rng: rotation(rng, (6, 8, 10), 0.8, 360, turns=5, fall=1),
}


@pytest.mark.parametrize("name", CLEAN)
def test_spots_without_a_crowd_are_kept(name):
    rays = CLEAN[name](np.random.default_rng(7))
    dropped = np.count_nonzero(~is_uncrowded(rays, BEAM))
    assert len(rays) >= 300
    assert dropped <= 0.002 * len(rays)  # chance alone drops none; real lattices are not quite chance


# --- crowds -----------------------------------------------------------------------------------------------------------

def ring(rng, radius, width, times):
    """A powder ring (pixels) that is `times` as dense as 3000 spots of `normal` are there."""
    n = int((times - 1) * density_at(radius) * 2 * np.pi * radius * width)
    angle, r = rng.uniform(0, 2 * np.pi, n), radius + rng.uniform(-width / 2, width / 2, n)
    return SIZE / 2 + r[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


def block(rng, x, y, width, height, times):
    """A bad module."""
    n = int((times - 1) * density_at(np.hypot(x - SIZE / 2, y - SIZE / 2)) * width * height)
    return np.array([x, y]) + (rng.random((n, 2)) - 0.5) * (width, height)


def density_at(radius):
    """Spots a square pixel of 3000 of `normal` with a width of 250."""
    return 3000 / (2 * np.pi * 250**2) * np.exp(-0.5 * (radius / 250) ** 2)


CROWDS = {
    "wide ring": (lambda rng: ring(rng, 250, 25, 10), 0.85),
    "narrow ring": (lambda rng: ring(rng, 350, 10, 30), 0.97),
    "three rings with most of the spots": (lambda rng: np.concatenate([ring(rng, r, 15, 30) for r in (250, 280, 310)]),
                                           0.97),
    "bad module": (lambda rng: block(rng, 750, 430, 100, 60, 10), 0.97),
    "bad module, five times as dense": (lambda rng: block(rng, 750, 430, 100, 60, 5), 0.3),
    "streak": (lambda rng: block(rng, 720, 500, 250, 12, 40), 0.9),
    "pixel that flickers": (lambda rng: np.full((40, 2), 300.5), 1.0),
}


@pytest.mark.parametrize("name", CROWDS)
def test_crowded_places_lose_their_spots_and_others_keep_theirs(name):
    rng = np.random.default_rng(4)
    make, least = CROWDS[name]
    ordinary, crowd = normal(rng, 3000, 250), make(rng)
    keep = is_uncrowded(on_detector(np.concatenate([ordinary, crowd])), BEAM)
    assert np.mean(~keep[3000:]) >= least
    lost = ordinary[~keep[:3000]]
    beside = np.array([np.linalg.norm(crowd - spot, axis=1).min() for spot in lost])
    # those whose 20 neighbours reach into the crowd go with it: in four simulations up to 109 (streak), and 68 pixels
    assert np.count_nonzero(beside > 10) <= 0.05 * 3000
    assert beside.max(initial=0.0) < 100


def test_a_crowd_across_panels_is_one():
    """Two panels side by side, with half of a crowd of 36 spots each: too few for either alone."""
    rng = np.random.default_rng(2)
    panels = [Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (x, 50.0, -100.0), (500, 1000), (0.1, 0.1))
              for x in (-50.0, 0.0)]
    experiment = Experiment(beam=Beam.along_z(1.0), detector=Detector(tuple(panels)))
    ordinary = normal(rng, 3000, 250)
    xy = np.concatenate([ordinary, 500 + rng.uniform(-4, 4, (36, 2)) + (0, 200)])
    panel = (xy[:, 0] >= 500).astype(int)
    rays = compute_spot_rays(experiment, panel, xy - panel[:, None] * (500, 0))
    assert 10 < panel[3000:].sum() < 26
    assert not is_uncrowded(rays, experiment.beam.unit_s0)[3000:].any()


def test_rays_point_as_those_of_prediction_do():
    experiment = Experiment(beam=Beam.along_z(1.2), detector=Detector((
        Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-20.0, 30.0, -150.0), (500, 1000), (0.1, 0.1)),)))
    xy = np.array([[3.0, 4.0], [400.0, 900.5]])
    rays = compute_spot_rays(experiment, np.zeros(2, int), xy)
    s1 = px_to_s1(experiment.detector, experiment.beam, 0, xy)
    np.testing.assert_allclose(np.cross(rays, s1), 0.0, atol=1e-12)
    assert (np.sum(rays * s1, axis=1) > 0).all()


# --- properties -------------------------------------------------------------------------------------------------------

def test_order_lengths_and_the_axes_of_the_laboratory_do_not_matter():
    rng = np.random.default_rng(3)
    rays = on_detector(np.concatenate([normal(rng, 1500, 250), block(rng, 750, 430, 100, 60, 10)]))
    keep = is_uncrowded(rays, BEAM)
    assert 20 < np.count_nonzero(~keep) < 400
    order, turn = rng.permutation(len(rays)), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    np.testing.assert_array_equal(is_uncrowded(rays[order], BEAM), keep[order])
    scaled = rays * rng.uniform(0.5, 2.0, (len(rays), 1))
    np.testing.assert_array_equal(is_uncrowded(scaled @ turn.T, 3.0 * turn @ BEAM), keep)


@pytest.mark.parametrize("n", [0, 1, 30, 199])
def test_of_few_spots_all_are_kept(n):
    assert is_uncrowded(on_detector(np.full((n, 2), 300.0)), BEAM).tolist() == [True] * n


def test_densities_are_those_of_the_nearest_neighbours_one_by_one():
    rng = np.random.default_rng(5)
    unit = on_detector(uniform(rng, 60))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    angle = np.arccos(unit[:, 2])
    found = filters._measure_densities(unit, angle, 7, 8.0)[1]
    for i in range(60):
        squares = ((unit - unit[i]) ** 2).sum(axis=1) + 63.0 * (angle - angle[i]) ** 2
        assert found[i] == pytest.approx(-np.log(np.sort(squares)[7]))


def test_the_factor_is_what_chance_does_not_reach():
    """Of a million groups of 20 spots with a usual density of 1, one in ten thousand exceeds the factor for that."""
    rng = np.random.default_rng(6)
    density = 20 / rng.gamma(20, size=1_000_000)
    exceeding = np.mean(density > filters._factor(20**-0.5, 20, 1e-4))
    assert exceeding == pytest.approx(1e-4, rel=0.4)  # 100 +- 10 of them: four standard deviations
    assert filters._factor(1.0, 20, 1e-4) > 10 * filters._factor(20**-0.5, 20, 1e-4)


def test_spots_beside_a_pixel_that_flickers_stay():
    """Its 60 spots are among the neighbours of all that is near."""
    rng = np.random.default_rng(11)
    xy = rng.uniform(0, 1000, (4000, 2))
    flicker = np.repeat([[300.5, 420.5], [700.5, 650.5]], 60, axis=0)
    points = np.concatenate([xy, flicker])
    rays = np.column_stack([0.1 * (points - 500), np.full(len(points), 100.0)])
    keep = is_uncrowded(rays, np.array([0.0, 0.0, 1.0]))
    assert not keep[len(xy):].any()
    assert np.count_nonzero(~keep[:len(xy)]) <= 2


def test_spots_beside_a_dense_block_stay():
    """200 times as dense as its surroundings. Beside one that is 20 times as dense some still go with it."""
    rng = np.random.default_rng(12)
    xy, block = rng.uniform(0, 1000, (4000, 2)), rng.uniform((600, 300), (630, 320), (500, 2))
    points = np.concatenate([xy, block])
    rays = np.column_stack([0.1 * (points - 500), np.full(len(points), 100.0)])
    keep = is_uncrowded(rays, np.array([0.0, 0.0, 1.0]))
    inside = ((xy > (590, 290)) & (xy < (640, 330))).all(axis=1)
    assert keep[len(xy):].sum() <= 10
    assert np.count_nonzero(~keep[:len(xy)] & ~inside) <= 3
