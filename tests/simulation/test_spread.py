"""The widths of reflections against a Monte Carlo of mosaic blocks, lattice points, wavelengths and beam directions.

The Monte Carlo shares no formula with the simulator: each block is turned exactly, and the angle at which it meets the
Ewald sphere of its own wavelength and beam direction is solved in closed form.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xdp.experiment import Goniometer
from xdp.experiment.experiment import Experiment
from xdp.experiment.pixels import mm_to_px, ray_intersection
from xdp.prediction.reflections import predict_rotation
from xdp.simulation import SimulationOptions, make_beam, make_crystal, make_detector, make_scan
from xdp.simulation.spots import compute_axis_component, draw_panel_slices
from xdp.simulation.spread import (
    bound_rotation_width,
    compute_spot_covariances,
    slice_reflections,
    widens_spots,
)

ONE_BY_ONE = [{"eta": 0.1}, {"eta_axes": (0.02, 0.05, 0.2)}, {"point_size": 3e-4}, {"bandwidth": 1e-3},
              {"divergence": 0.05}]
ALL = {"eta_axes": (0.02, 0.1, 0.15), "point_size": 2e-4, "bandwidth": 1e-3, "divergence": 0.03}


def make_experiment(n_frames=60):
    """A kappa goniometer off its datum, with a monoclinic crystal: no axis lies along another."""
    goniometer = Goniometer.multi_axis([(1, 0, 0), (0.6, 0.8, 0), (0.96, 0.0, 0.28)], [30.0, 20.0, 0.0],
                                       ["phi", "kappa", "omega"], 2)
    detector = make_detector((1200, 1200), distance=90.0, gaps=False, parallax=False)
    crystal = make_crystal((48.2, 61.3, 74.1, 90, 103.2, 90), " P 2y", orientation=4)
    return Experiment("one", make_beam(1.0), detector, goniometer, make_scan(n_frames, 0.5, 10.0), crystal)


def choose_reflections(experiment, n=12):
    """Reflections of many angles, some with a small zeta."""
    table = predict_rotation(experiment, 1.6)
    zeta = compute_axis_component(table["s1"], experiment.beam, experiment.goniometer.rotation_axis_lab)
    table["zeta"] = zeta
    order = np.argsort(table["d"])
    some = order[np.linspace(0, 0.95 * len(order), n).astype(int)]
    small = np.flatnonzero((np.abs(zeta) > 0.25) & (np.abs(zeta) < 0.35) & (table["d"] < 2.2))[:4]
    rows = np.concatenate([some[np.abs(zeta[some]) > 0.25], small])
    assert len(rows) > 8
    return table.select(rows)


def trace_events(experiment, table, row, options, n, rng):
    """Diffracted unit rays (n, 3) and angles (n,) of events of one reflection, exact."""
    beam, gonio = experiment.beam, experiment.goniometer
    phi, axis = table["xyzcal.mm"][row, 2], gonio.rotation_axis_lab
    etas = np.deg2rad(options.eta_axes or (options.eta,) * 3)
    u, b = experiment.crystal.U, experiment.crystal.B
    blocks = Rotation.from_rotvec(rng.normal(size=(n, 3)) * etas)        # in the crystal's Cartesian frame
    points = blocks.apply(b @ table["miller_index"][row]) @ (gonio.F @ u).T
    points = points + options.point_size * rng.normal(size=(n, 3))
    points = points @ gonio.S.T                                            # on the lab's axis, at angle 0
    across = np.linalg.svd(np.asarray(beam.s0)[None])[2][1:]
    direction = np.asarray(beam.unit_s0) + np.tan(np.deg2rad(options.divergence) * rng.normal(size=(n, 2))) @ across
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    s0 = direction / (beam.wavelength * (1.0 + options.bandwidth * rng.normal(size=n)))[:, None]
    along = (points @ axis)[:, None] * axis
    across = points - along
    # |s0 + r(phi)| = |s0|: c + a cos(phi) + b sin(phi) = 0
    a, b = (s0 * across).sum(1), (s0 * np.cross(axis, across)).sum(1)
    c = (s0 * along).sum(1) + 0.5 * (points * points).sum(1)
    middle, half = np.arctan2(b, a), np.arccos(-c / np.hypot(a, b))
    both = np.stack([middle + half, middle - half])
    off = (both - phi + np.pi) % (2 * np.pi) - np.pi
    off = np.take_along_axis(off, np.abs(off).argmin(axis=0)[None], axis=0)[0]
    angle = phi + off
    s1 = (s0 + along + np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * np.cross(axis, across))
    return s1 / np.linalg.norm(s1, axis=1, keepdims=True), angle


def frame_of(experiment, s1):
    """The axes e1, e2 of a ray, and its direction."""
    e1 = np.cross(s1, experiment.beam.s0)
    e1 /= np.linalg.norm(e1)
    unit = s1 / np.linalg.norm(s1)
    return e1, np.cross(unit, e1), unit


@pytest.mark.parametrize("physics", [*ONE_BY_ONE, ALL], ids=[*(next(iter(p)) for p in ONE_BY_ONE), "all"])
def test_covariances_are_those_of_traced_events(physics):
    experiment = make_experiment()
    table, rng = choose_reflections(experiment), np.random.default_rng(1)
    options = SimulationOptions(sigma_b=1e-6, sigma_m=1e-6, **physics)
    computed = compute_spot_covariances(experiment, table["s1"], table["xyzcal.mm"][:, 2], options)
    n = 20_000
    for row in range(len(table)):
        rays, angles = trace_events(experiment, table, row, options, n, rng)
        e1, e2, unit = frame_of(experiment, table["s1"][row])
        events = np.stack([(rays - unit) @ e1, (rays - unit) @ e2,
                           (angles - table["xyzcal.mm"][row, 2]) * table["zeta"][row]])
        # A covariance of 20,000 events has an error of 1 % of the widths' product; 4 % are four of them. Terms of
        # second order in the angles, some 1e-5 rad, are not in the formulas: 1e-4 rad more of each width allows for it.
        widths = np.sqrt(computed[row].diagonal()) + 1e-4
        np.testing.assert_allclose(np.cov(events) / np.outer(widths, widths), computed[row] / np.outer(widths, widths),
                                   atol=0.04)
        assert np.abs(events.mean(axis=1) / widths).max() < 0.1


def test_the_closed_forms_of_the_docstring():
    experiment = make_experiment()
    table = choose_reflections(experiment)
    options = SimulationOptions(sigma_b=0.03, sigma_m=0.05, eta=0.2, point_size=2e-4, bandwidth=1e-3, divergence=0.04)
    found = compute_spot_covariances(experiment, table["s1"], table["xyzcal.mm"][:, 2], options)
    s0, axis, wavelength = np.asarray(experiment.beam.s0), experiment.goniometer.rotation_axis_lab, 1.0
    theta = np.arcsin(wavelength / (2 * table["d"]))
    sigma_b, sigma_m, eta, delta = np.deg2rad([0.03, 0.05, 0.2, 0.04])
    size = 2e-4 * wavelength
    three = eta**2 + (size / np.sin(2 * theta)) ** 2 + (1e-3 * np.tan(theta)) ** 2 + delta**2
    r = table["s1"] - s0
    e1 = np.cross(table["s1"], s0)
    e1 /= np.linalg.norm(e1, axis=1, keepdims=True)
    p = np.cross(r, e1) / np.linalg.norm(r, axis=1, keepdims=True)
    drift = (2 * np.sin(theta) * (p @ axis) / table["zeta"]) ** 2 * three
    np.testing.assert_allclose(found[:, 0, 0], sigma_b**2 + (2 * eta * np.sin(theta)) ** 2 + size**2 + delta**2 + drift,
                               rtol=1e-9)
    np.testing.assert_allclose(found[:, 1, 1], sigma_b**2 + (size / np.cos(theta)) ** 2
                               + (2e-3 * np.tan(theta)) ** 2 + delta**2, rtol=1e-9)
    np.testing.assert_allclose(found[:, 2, 2], sigma_m**2 + three, rtol=1e-9)


def test_frames_are_those_of_traced_events():
    experiment = make_experiment()
    table, rng = choose_reflections(experiment), np.random.default_rng(2)
    options = SimulationOptions(sigma_b=0.03, sigma_m=0.02, eta=0.3, bandwidth=2e-3)
    covariances = compute_spot_covariances(experiment, table["s1"], table["xyzcal.mm"][:, 2], options)
    tilts = np.abs(covariances[:, 0, 2]) / np.sqrt(covariances[:, 0, 0] * covariances[:, 2, 2])
    row = int(np.argmax(tilts))
    assert tilts[row] > 0.5                                   # the spot moves by half of its width and more
    n, detector = 100_000, experiment.detector
    rays, angles = trace_events(experiment, table, row, options, n, rng)
    e1, e2, _ = frame_of(experiment, table["s1"][row])
    blur = np.deg2rad(options.sigma_b) * rng.normal(size=(n, 2))
    rays = rays + blur[:, :1] * e1 + blur[:, 1:] * e2
    angles = angles + np.deg2rad(options.sigma_m) / table["zeta"][row] * rng.normal(size=n)
    px = mm_to_px(detector[0], ray_intersection(detector, 0, rays)[0])
    frames = experiment.scan.frame_coordinate(np.rad2deg(angles))
    middle = np.rint(table["xyzcal.px"][row]).astype(int)
    size = np.array([20, 20, 10])
    counted, _ = np.histogramdd(np.column_stack([px, frames]), bins=[np.arange(m - s, m + s + 1) for m, s in
                                                                    zip(middle, size, strict=True)])
    drawn = np.zeros_like(counted)
    for k in range(drawn.shape[2]):
        edges = np.deg2rad(experiment.scan.angle(np.array([0.0, 1.0]) + middle[2] - size[2] + k))
        slices = slice_reflections(covariances[[row]], (edges - table["xyzcal.mm"][row, 2])[None] * table["zeta"][row])
        image = np.zeros(detector[0].shape)
        rows = slices.rows
        draw_panel_slices(detector, experiment.beam, 0, rows, np.tile(table["xyzcal.mm"][row, :2], (len(rows), 1)),
                          shifts=slices.shifts, covariances=slices.covariances,
                          parallax=False).draw_on(image, slices.fractions)
        x, y = middle[:2] - size[:2]
        drawn[:, :, k] = image[y : y + 40, x : x + 40].T
    counted /= n
    assert drawn.sum() == pytest.approx(1.0, abs=2e-3)         # the box cuts tails at four sigma
    # Per frame: what is recorded, and where, within three errors of the events and 1 % of the spot's width.
    for k in np.flatnonzero(counted.sum(axis=(0, 1)) > 0.02):
        part = counted[:, :, k].sum()
        assert drawn[:, :, k].sum() == pytest.approx(part, abs=4 * np.sqrt(part / n) + 1e-3)
        for axis in (0, 1):
            where = np.arange(40)
            one, two = (image[:, :, k].sum(axis=1 - axis) / image[:, :, k].sum() for image in (counted, drawn))
            width = np.sqrt(one @ where**2 - (one @ where) ** 2)
            assert two @ where == pytest.approx(one @ where, abs=width * (4 / np.sqrt(part * n) + 0.03))
            assert np.sqrt(two @ where**2 - (two @ where) ** 2) == pytest.approx(
                width, rel=4 / np.sqrt(2 * part * n) + 0.03)
    # Half of the summed differences: the share of photons in wrong pixels. Noise alone gives about 2 %.
    assert np.abs(drawn - counted).sum() / 2 < 0.04


def test_slices_add_up_to_the_whole():
    rng = np.random.default_rng(3)
    roots = rng.normal(size=(30, 3, 3)) * 1e-3
    covariances = roots @ roots.transpose(0, 2, 1) + np.eye(3) * 1e-8
    edges = np.linspace(-8e-3, 8e-3, 9)
    mass, first, second = np.zeros(30), np.zeros((30, 2)), np.zeros((30, 2, 2))
    for low, high in itertools.pairwise(edges):
        # in either order: zeta may be negative
        slices = slice_reflections(covariances, np.tile([high, low], (30, 1)))
        np.add.at(mass, slices.rows, slices.fractions)
        np.add.at(first, slices.rows, slices.fractions[:, None] * slices.shifts)
        outer = slices.covariances + slices.shifts[:, :, None] * slices.shifts[:, None, :]
        np.add.at(second, slices.rows, slices.fractions[:, None, None] * outer)
    np.testing.assert_allclose(mass, 1.0, atol=2e-3)
    widths = np.sqrt(np.einsum("nii->ni", covariances))[:, :2]
    np.testing.assert_allclose(first / widths, 0.0, atol=1e-2)
    # the law of total variance: what is lost beyond 8e-3 rad is below 2 %
    np.testing.assert_allclose(second / (widths[:, :, None] * widths[:, None, :]),
                               covariances[:, :2, :2] / (widths[:, :, None] * widths[:, None, :]), atol=2e-2)


def test_no_reflection_is_wider_than_the_bound():
    experiment = make_experiment()
    table = predict_rotation(experiment, 1.6)
    options = SimulationOptions(d_min=1.6, **ALL)
    covariances = compute_spot_covariances(experiment, table["s1"], table["xyzcal.mm"][:, 2], options)
    widest = np.rad2deg(np.sqrt(covariances[:, 2, 2].max()))
    assert 0.3 * bound_rotation_width(experiment, options) < widest <= bound_rotation_width(experiment, options)


@pytest.mark.parametrize("physics", ONE_BY_ONE)
def test_each_source_widens(physics):
    assert widens_spots(SimulationOptions(**physics))
    assert not widens_spots(SimulationOptions(scale_wave=0.1))
