from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from experiment_examples import beam, flat_panel

from xdp.experiment import Detector, Experiment, Goniometer, ImageSet
from xdp.experiment import shadow as sh

pytestmark = pytest.mark.kernels

AXES = [(1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0)]
GONIOMETER = Goniometer.multi_axis(AXES, (0.0, 0.0, 0.0), ("GON_PHI", "GON_CHI", "GON_OMEGA"), 2)
# a square of 1 mm half width, 25 mm downstream: its shadow on the panel at 50 mm has 2 mm half width
SQUARE = np.array([[x, y, -25.0] for x in (-1.0, 1.0) for y in (-1.0, 1.0)])


def square(axis: int = 0) -> sh.GoniometerShape:
    return sh.GoniometerShape(SQUARE, np.full(4, axis))


def test_a_square_by_hand():
    free = sh.shadow_mask(square(), GONIOMETER, flat_panel(), 0.0)
    expected = np.ones((80, 100), dtype=bool)
    expected[20:60, 30:70] = False
    np.testing.assert_array_equal(free, expected)


def test_an_aperture_is_the_other_way_round():
    shape = dataclasses.replace(square(), is_aperture=True)
    np.testing.assert_array_equal(sh.shadow_mask(shape, GONIOMETER, flat_panel(), 0.0),
                                  ~sh.shadow_mask(square(), GONIOMETER, flat_panel(), 0.0))


def test_what_turns_away_casts_no_shadow():
    assert sh.shadow_mask(square(), GONIOMETER, flat_panel(), 180.0).all()


@pytest.mark.parametrize("angle", np.arange(0.0, 360.0, 7.5))
def test_pixels_are_hidden_where_the_mask_says_so(angle):
    detector = Detector((flat_panel(),))
    hidden = not sh.shadow_mask(square(), GONIOMETER, detector[0], angle).all()
    # a hull that reaches the panel between the centres of pixels hides none
    assert sh.hides_pixels(square(), GONIOMETER, detector, angle) >= hidden
    assert sh.hides_pixels(dataclasses.replace(square(), is_aperture=True), GONIOMETER, detector, angle)


def test_a_shadow_that_turns_away_hides_nothing():
    assert not sh.hides_pixels(square(), GONIOMETER, Detector((flat_panel(),)), 180.0)


@pytest.mark.parametrize(("axis", "moved"), [(0, True), (1, False), (2, False)])
def test_points_turn_with_the_axes_outside_their_own(axis, moved):
    """Phi carries only what is mounted on it."""
    goniometer = Goniometer.multi_axis(AXES, (180.0, 0.0, 0.0), GONIOMETER.names, 2)
    turned = square(axis).points_at(goniometer, 0.0)
    assert np.allclose(turned, SQUARE) is not moved
    np.testing.assert_allclose(square(axis).points_at(goniometer, 90.0)[:, 0], SQUARE[:, 0])


@pytest.mark.parametrize("seed", range(5))
def test_filling_is_the_even_odd_test_at_pixel_centres(seed):
    """Against a slow twin: each pixel centre against each side of the hull."""
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(-6, 6, (12, 2)), np.full(12, -50.0)])
    free = sh.shadow_mask(sh.GoniometerShape(points, np.zeros(12, dtype=int)), GONIOMETER, flat_panel(), 0.0)
    from xdp.experiment.extent import convex_hull

    hull = convex_hull(np.column_stack([points[:, 0] + 5.0, 4.0 - points[:, 1]]) / 0.1)
    for slow in range(0, 80, 3):
        for fast in range(0, 100, 3):
            x, y = fast + 0.5, slow + 0.5
            inside = all((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) > 0
                         for a, b in zip(hull, np.roll(hull, -1, axis=0), strict=True))
            assert free[slow, fast] == (not inside)


def test_masks_of_all_panels():
    masks = sh.shadow_masks(square(), GONIOMETER, Detector((flat_panel(), flat_panel(image_size=(10, 20)))), 0.0)
    assert [m.shape for m in masks] == [(80, 100), (20, 10)]


def experiment(identifier: str, names=("GON_PHI", "GON_CHI", "GON_OMEGA"), shadowing="Auto", n_panels=1, axes=AXES
               ) -> Experiment:
    panels = tuple(flat_panel(identifier=identifier) for _ in range(n_panels))
    return Experiment(beam=beam(), detector=Detector(panels),
                      goniometer=Goniometer.multi_axis(axes, (0.0,) * len(axes), names, 0),
                      imageset=ImageSet("ImageSequence", "a_#.cbf", params={"dynamic_shadowing": shadowing}))


I23_AXES = [(1.0, 0.0, 0.0), (np.cos(np.deg2rad(50)), -np.sin(np.deg2rad(50)), 0.0), (1.0, 0.0, 0.0)]
KAPPA = ("PHI", "KAPPA", "OMEGA")


@pytest.mark.parametrize(("case", "n_points"), [
    (experiment("EIGER 16M XR4i S/N 160-0001 Diamond"), 66),
    (experiment("PILATUS3 6M, S/N 60-0126"), 66),
    (experiment("PILATUS 6M, S/N 60-0100 Diamond"), 66),
    (experiment("PILATUS 6M, S/N 60-0100 Diamond", ("GON_PHI", "GON_KAPPA", "GON_OMEGA")), 361),
    (experiment("", KAPPA, n_panels=24, axes=I23_AXES), 66),
    (experiment("", KAPPA, n_panels=24), None),
    (experiment("PILATUS 2M, S/N 24-0107 Diamond"), None),
    (experiment("EIGER 16M XR4i S/N 160-0001 Diamond", shadowing=False), None),
    (experiment("PILATUS3 6M, S/N 60-0126", ("A", "B"), axes=AXES[:2]), None),
    (Experiment(), None),
])
def test_which_goniometers_are_known(case, n_points):
    shape = sh.known_shape(case)
    assert (None if shape is None else len(shape.points)) == n_points


def test_a_diamond_anvil_cell_lets_light_through_a_cone():
    """Turned to look along the beam, a cone of half opening arctan(1/20) lets through 2.5 mm about the beam centre."""
    cell = sh.diamond_anvil_cell(2 * np.rad2deg(np.arctan(1 / 20)))
    free = sh.shadow_mask(cell, GONIOMETER, flat_panel(), 90.0)
    fast, slow = np.meshgrid(np.arange(100) + 0.5, np.arange(80) + 0.5)
    radius = np.hypot(fast - 50, slow - 40) * 0.1
    assert free[radius < 2.49].all()
    assert not free[radius > 2.51].any()
