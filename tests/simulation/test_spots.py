from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.experiment.pixels import px_to_mm, px_to_s1
from xdp.simulation import make_beam, make_detector
from xdp.simulation.spots import (
    compute_axis_component,
    compute_lorentz,
    compute_polarisation,
    draw_panel_slices,
    draw_panel_spots,
)

SIGMA_B = np.deg2rad(0.05)


@pytest.mark.parametrize("parallax", [True, False])
def test_a_spot_lies_where_the_models_say(parallax):
    detector, beam = make_detector((200, 200), distance=40.0), make_beam()
    px = np.array([[30.3, 41.7], [170.9, 160.2], [100.5, 20.1]])
    xy = px_to_mm(detector[0], px)
    # Wide spots (0.8 px): the centroid of a narrow one is drawn to the middle of its pixel.
    spots = draw_panel_spots(detector, beam, 0, np.arange(3), xy, sigma_b=4 * SIGMA_B, parallax=parallax)
    for i in range(3):
        image = np.zeros((200, 200))
        spots.draw_on(image, np.eye(3)[i])
        slow, fast = np.indices(image.shape) + 0.5
        centroid = np.array([(image * fast).sum(), (image * slow).sum()]) / image.sum()
        # px -> mm -> px of the parallax correction agrees to 1e-2 px this far out, the box cuts tails at 4 sigma.
        np.testing.assert_allclose(centroid, px[i], atol=0.03)
        assert image.sum() == pytest.approx(1.0, abs=2e-3)


def test_a_spot_has_the_angular_width_asked_for():
    detector, beam = make_detector((200, 200), distance=400.0, parallax=False), make_beam()
    spots = draw_panel_spots(detector, beam, 0, np.arange(1), np.array([[30.0, 25.0]]), sigma_b=SIGMA_B, parallax=False)
    image = np.zeros((200, 200))
    spots.draw_on(image, np.ones(1))
    rows, columns = np.nonzero(image)
    s1 = px_to_s1(detector, beam, 0, np.column_stack([columns, rows]) + 0.5) * beam.wavelength
    weight = image[rows, columns]
    centre = weight @ s1 / weight.sum()
    variance = weight @ np.square(s1 - centre).sum(axis=1) / weight.sum() / 2.0
    # A pixel's own width (1/12 px²) adds 0.7 % here, tails beyond 4 sigma take 0.1 %.
    assert np.sqrt(variance) == pytest.approx(SIGMA_B, rel=0.015)


def test_depth_spreads_a_spot_along_the_ray():
    detector, beam = make_detector((200, 200), distance=40.0), make_beam()
    xy = np.array([[33.0, 17.0]])
    # The brightest pixel of a spot much narrower than the depth's projection: 0.32 mm x tan(23 deg) is 0.8 px.
    peaks = [draw_panel_spots(detector, beam, 0, np.arange(1), xy, sigma_b=5e-4, parallax=parallax).pixels.max()
             for parallax in (True, False)]
    assert peaks[0] < 0.9 * peaks[1]


def test_a_spot_over_the_edge_is_cut():
    detector, beam = make_detector((200, 200), parallax=False), make_beam()
    edge = detector[0].image_size_mm[0]
    spots = draw_panel_spots(detector, beam, 0, np.arange(2), np.array([[edge, 17.0], [9.0, 17.0]]), sigma_b=SIGMA_B,
                             parallax=False)
    np.testing.assert_allclose(spots.compute_recorded_part(), [0.5, 1.0], atol=3e-3)


def test_lorentz_and_zeta_of_a_ray_across_the_axis():
    beam = make_beam(1.0)
    s1 = np.array([[0.0, np.sin(0.3), -np.cos(0.3)]])  # In the plane across the axis x.
    axis = np.array([1.0, 0.0, 0.0])
    assert abs(compute_axis_component(s1, beam, axis)[0]) == pytest.approx(1.0)
    assert compute_lorentz(s1, beam, axis)[0] == pytest.approx(1 / np.sin(0.3))


def test_polarisation_of_kahn():
    beam = dataclasses.replace(make_beam(), polarization_fraction=1.0)
    angle = 0.4
    across, along = ([np.sin(angle), 0, -np.cos(angle)], [0, np.sin(angle), -np.cos(angle)])
    # All of the electric field along x: nothing is lost in the plane y-z, cos² remains in x-z.
    np.testing.assert_allclose(compute_polarisation(np.array([across, along]), beam), [np.cos(angle) ** 2, 1.0],
                               rtol=1e-12)
    half = dataclasses.replace(beam, polarization_fraction=0.5)
    np.testing.assert_allclose(compute_polarisation(np.array([across, along]), half), (1 + np.cos(angle) ** 2) / 2,
                               rtol=1e-12)


def test_round_slices_are_plain_spots():
    detector, beam = make_detector((200, 200), distance=40.0), make_beam()
    xy = np.array([[5.2, 7.1], [29.0, 27.5]])
    plain = draw_panel_spots(detector, beam, 0, np.arange(2), xy, sigma_b=4 * SIGMA_B, parallax=True)
    slices = draw_panel_slices(detector, beam, 0, np.arange(2), xy, shifts=np.zeros((2, 2)),
                               covariances=np.tile(np.eye(2) * (4 * SIGMA_B) ** 2, (2, 1, 1)), parallax=True)
    np.testing.assert_array_equal(slices.bbox, plain.bbox)
    np.testing.assert_allclose(slices.pixels, plain.pixels, rtol=1e-5, atol=1e-9)  # stored as float32


def test_a_slice_lies_by_its_shift_beside_the_ray():
    detector, beam = make_detector((200, 200), distance=100.0, parallax=False), make_beam()
    xy = np.array([[24.0, 25.0]])
    shift = np.array([[3e-3, -2e-3]])
    image = np.zeros((200, 200))
    draw_panel_slices(detector, beam, 0, np.arange(1), xy, shifts=shift, covariances=np.eye(2)[None] * SIGMA_B**2,
                      parallax=False).draw_on(image, np.ones(1))
    slow, fast = np.indices(image.shape) + 0.5
    found = px_to_s1(detector, beam, 0, np.array([[(image * fast).sum(), (image * slow).sum()]]) / image.sum())
    ray = px_to_s1(detector, beam, 0, xy / 0.172)
    e1 = np.cross(ray, beam.s0)
    e1 /= np.linalg.norm(e1)
    e2 = np.cross(ray * beam.wavelength, e1)
    step = (found - ray) * beam.wavelength
    # the panel bends the small angle by its square; spots of half a pixel are drawn to 0.01 px
    np.testing.assert_allclose([step @ e1[0], step @ e2[0]], shift.T, atol=4e-5)
