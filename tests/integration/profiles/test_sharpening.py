"""The blur of pixels: what it does to a profile, and that sharpening takes it off."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from xdp.integration.profiles.sharpening import erf, make_blur, sharpen


def test_blur_keeps_counts_and_has_the_variance_of_its_boxes():
    area = np.array([1.0, 2.5])
    kernel = make_blur(41, area)
    x = np.arange(41) - 20
    for matrix, a in zip(kernel, area, strict=True):
        assert matrix[20].sum() == pytest.approx(1.0)
        assert np.allclose(matrix, matrix.T)
        assert matrix[20] @ x ** 2 == pytest.approx(3.0 / 12.0 + 2.0 * a / 12.0, rel=1e-6)


def gaussian_profile(sigma: float, n_side: int = 11) -> np.ndarray:
    """A round Gaussian on the grid, (1, n_side, n_side^2)."""
    x = np.arange(n_side) - n_side // 2
    line = np.exp(-0.5 * (x / sigma) ** 2)
    out = line[:, None, None] * line[:, None] * line
    return (out / out.sum()).reshape(1, n_side, -1)


def blur_planes(profiles: np.ndarray, area: float) -> np.ndarray:
    """Twin: share each point's counts among its neighbours, along e1 and along e2."""
    n_side = profiles.shape[1]
    line = make_blur(n_side, np.array([area]))[0]
    return np.einsum("ij,nmjk,kl->nmil", line, profiles.reshape(-1, n_side, n_side, n_side), line).reshape(
        profiles.shape)


def test_sharpening_narrows_a_profile_by_its_blur():
    true = gaussian_profile(1.5)
    seen = blur_planes(true, 2.0)
    sharp = sharpen(seen / seen.sum(), np.array([2.0]))
    assert sharp.shape == (1, 11, 169)
    assert sharp.sum() == pytest.approx(1.0)
    assert sharp.min() >= 0.0
    inner = sharp.reshape(11, 13, 13)[:, 1:-1, 1:-1]
    assert sharp.sum() == pytest.approx(inner.sum()), "the border must be empty"

    def width(profile):
        line = profile.reshape(11, 11, 11).sum(axis=(0, 1))
        return np.sqrt(line @ (np.arange(11) - 5.0) ** 2 / line.sum())

    # twelve rounds take off most of the blur, whose variance is 3/12 + 2 * 2/12
    assert width(seen) > 1.1 * width(true)
    assert width(inner) == pytest.approx(width(true), rel=0.02)
    # along e3 nothing was blurred
    assert np.allclose(inner.sum(axis=(1, 2)), seen.sum(axis=2)[0] / seen.sum(), atol=2e-3)


def test_the_error_function_is_that_of_scipy():
    x = np.linspace(-4.0, 4.0, 81)
    assert np.abs(erf(x) - special.erf(x)).max() < 1e-15
