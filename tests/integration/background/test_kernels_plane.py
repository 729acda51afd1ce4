"""Planes through used pixels beside NumPy's least squares."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.background._kernels_pixels import USED, Slab
from xdp.integration.background._kernels_plane import fit_plane

pytestmark = pytest.mark.kernels

DEPTH, HEIGHT, WIDTH, FIRST = 3, 6, 5, 7
SLAB = Slab(FIRST, WIDTH, HEIGHT, DEPTH)


def make_pixels(seed=0):
    """Counts and masks of 7 pixels of another box, then those of the slab; two thirds are used."""
    rng = np.random.default_rng(seed)
    n = FIRST + DEPTH * HEIGHT * WIDTH
    return rng.poisson(30.0, n).astype(np.float32), np.where(rng.random(n) < 0.67, USED, 3).astype(np.uint8)


@pytest.mark.parametrize(("n_par", "names"), [(1, ""), (3, "xy"), (4, "xyz")])
def test_a_plane_is_that_of_least_squares(n_par, names):
    data, mask = make_pixels()
    params, normal = np.full(4, 99.0), np.full((4, 4), 99.0)
    corner = (0.5, -2.0)
    n = fit_plane(data, mask, SLAB, n_par, corner, params, normal)
    is_used = (mask & USED != 0)[FIRST:]
    z, y, x = (axis.ravel()[is_used] for axis in np.indices((DEPTH, HEIGHT, WIDTH)))
    columns = {"x": x + corner[0], "y": y + corner[1], "z": z + 0.5}
    design = np.column_stack([np.ones(len(x)), *(columns[name] for name in names)])
    expected = np.linalg.lstsq(design, data[FIRST:][is_used], rcond=None)[0]
    assert n == is_used.sum()
    np.testing.assert_allclose(params[:n_par], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("n_par", "expected"), [(1, 0), (3, -1), (4, -1)])
def test_without_pixels_there_is_no_plane(n_par, expected):
    data, mask = make_pixels()
    mask[:] = 3
    params = np.ones(4)
    assert fit_plane(data, mask, SLAB, n_par, (0.5, 0.5), params, np.empty((4, 4))) == expected
    if n_par == 1:
        assert params[0] == 0.0
