"""What kernels are given, from models and tables."""

from __future__ import annotations

import numpy as np

from xdp.integration.profiles.arguments import BoxPixels, Fits, Rays, RotationGeometry


def test_geometry_is_that_of_the_models(drawn):
    e = drawn.experiment
    found = RotationGeometry.from_experiment(e)
    np.testing.assert_array_equal(found.s0, e.beam.s0)
    np.testing.assert_array_equal(found.m2, e.goniometer.rotation_axis_lab)
    assert found.turn == np.deg2rad(0.5)
    assert found.scan.tolist() == [0, 40]
    np.testing.assert_allclose(found.d_inverse[0] @ found.d[0], np.eye(3), atol=1e-12)
    assert found.pixel_size.tolist() == [[0.172, 0.172]]


def test_the_grid_reaches_half_as_far_again_as_the_foreground(drawn, strong):
    grid = drawn.grid(grid_size=4).describe(drawn.table, strong).grid
    assert grid.half == 4
    assert (grid.half + 0.5) * grid.step_b == np.float64(1.5 * 3.0 * drawn.model.sigma_b)
    # the Gaussian is as wide in steps along all axes
    np.testing.assert_allclose(grid.sigma, drawn.model.sigma_m / grid.step_m)
    assert grid.edge_erf.shape == (10,)
    np.testing.assert_allclose(grid.edge_erf, -grid.edge_erf[::-1])


def test_pixels_are_not_copied(strong):
    found = BoxPixels.from_shoeboxes(strong)
    assert found.panel.dtype == np.int64
    for name in ("bbox", "offsets", "data", "background", "mask"):
        assert getattr(found, name) is getattr(strong, name)


def test_rays_are_contiguous_whatever_the_table(drawn):
    found = Rays.from_table(drawn.table.select(slice(None, None, 2)))
    assert found.s1.flags.c_contiguous
    np.testing.assert_array_equal(found.centre, drawn.table["xyzcal.px"][::2])


def test_without_a_fit_the_variance_is_minus_one():
    value, variance, correlation = Fits.make_empty(2)
    assert (value.tolist(), variance.tolist(), correlation.tolist()) == ([0.0, 0.0], [-1.0, -1.0], [0.0, 0.0])
