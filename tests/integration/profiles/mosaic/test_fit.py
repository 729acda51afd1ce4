from __future__ import annotations

import logging

import numpy as np
import pytest

from xdp.integration.profiles.mosaic.fit import fit_spread
from xdp.integration.profiles.mosaic.measure import WidthMeasurements
from xdp.integration.profiles.mosaic.options import MosaicOptions
from xdp.integration.profiles.mosaic.spread import MosaicSpread, RayGeometry

SIGMA_0 = 1e-6


def make_rays(n: int, seed: int = 0, largest: float = 0.55) -> RayGeometry:
    rng = np.random.default_rng(seed)
    two_sine = np.sqrt(rng.uniform(0.01, largest ** 2, n))
    sine = two_sine / 2.0
    normal, axis = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, n, 3)))
    tangent = sine / np.sqrt(1 - sine ** 2)
    return RayGeometry(two_sine, tangent, rng.normal(size=n), 1e-8 * rng.uniform(0.5, 1.5, (n, 2)),
                       np.full((n, 2), 1e-8), axis, normal)


def measure(rays: RayGeometry, spread: MosaicSpread, relative: float = 0.1, scatter: float = 0.05,
            seed: int = 1) -> WidthMeasurements:
    """Curvatures with normal errors, which are `relative` of them, of spots that scatter."""
    rng = np.random.default_rng(seed)
    v = spread.compute_variances(rays) * (1.0 + scatter * rng.normal(size=(len(rays.two_sine), 2)))
    q = -0.5 / v
    faint = rng.uniform(0.0, 0.3, len(v))
    return WidthMeasurements(np.arange(len(v)), q * (1 + relative * rng.normal(size=q.shape)), -q * relative, faint)


@pytest.mark.parametrize("eta", [1e-3, 3e-3, 7e-3])
def test_isotropic_rotation_is_recovered(eta):
    rays = make_rays(600)
    found = fit_spread(rays, measure(rays, MosaicSpread(SIGMA_0, eta ** 2 * np.eye(3), 0.0)), 1e-6, MosaicOptions())
    assert np.sqrt(found.mean_rotation) == pytest.approx(eta, rel=0.05)
    assert found.is_isotropic
    assert found.radial == 0.0
    assert np.sqrt(found.divergence) == pytest.approx(1e-3, rel=0.05)


def test_rotation_and_radial_terms_are_told_apart():
    rays = make_rays(1500)
    found = fit_spread(rays, measure(rays, MosaicSpread(SIGMA_0, 9e-6 * np.eye(3), 25e-6)), 1e-6, MosaicOptions())
    assert np.sqrt(found.mean_rotation) == pytest.approx(3e-3, rel=0.05)
    assert np.sqrt(found.radial) == pytest.approx(5e-3, rel=0.05)


def test_a_known_bandwidth_is_kept_and_tells_domain_size():
    rays = make_rays(1500)
    bandwidth, domain = 0.002, 9e-6
    spots = measure(rays, MosaicSpread(SIGMA_0, 9e-6 * np.eye(3), 4.0 * bandwidth**2 + domain))
    found = fit_spread(rays, spots, 1e-6, MosaicOptions(bandwidth=bandwidth))
    assert np.sqrt(found.radial - 4.0 * bandwidth**2) == pytest.approx(3e-3, rel=0.1)
    assert np.sqrt(found.mean_rotation) == pytest.approx(3e-3, rel=0.05)
    # it is kept where spots show no term at all
    plain = measure(rays, MosaicSpread(SIGMA_0, np.zeros((3, 3)), 4.0 * bandwidth**2))
    found = fit_spread(rays, plain, 1e-6, MosaicOptions(bandwidth=bandwidth))
    assert found.radial == pytest.approx(4.0 * bandwidth**2)
    assert np.sqrt(found.divergence) == pytest.approx(1e-3, rel=0.05)


def test_axes_of_rotation_are_recovered():
    h = np.diag([1e-6, 49e-6, 9e-6])
    rays = make_rays(1500)
    spots = measure(rays, MosaicSpread(SIGMA_0, h, 0.0))
    found = fit_spread(rays, spots, 1e-6, MosaicOptions())
    np.testing.assert_allclose(np.sqrt(np.diag(found.rotation)), np.sqrt(np.diag(h)), rtol=0.2)
    assert np.linalg.eigvalsh(found.rotation)[0] >= -1e-15
    assert fit_spread(rays, spots, 1e-6, MosaicOptions(anisotropic=False)).is_isotropic


def test_terms_that_are_not_there_are_left_out_with_a_line_each(caplog):
    rays = make_rays(400)
    with caplog.at_level(logging.INFO):
        assert fit_spread(rays, measure(rays, MosaicSpread(SIGMA_0, np.zeros((3, 3)), 0.0)), 1e-6,
                          MosaicOptions()) is None
    assert "no term of mosaic rotation" in caplog.text
    assert "no term of bandwidth or domain size" in caplog.text


def test_few_spots_and_one_resolution_give_no_terms(caplog):
    rays = make_rays(10)
    spread = MosaicSpread(SIGMA_0, 9e-6 * np.eye(3), 0.0)
    with caplog.at_level(logging.INFO):
        assert fit_spread(rays, measure(rays, spread), 1e-6, MosaicOptions()) is None
    assert "10 spots are strong enough" in caplog.text
    rays = make_rays(200)
    rays = rays._replace(two_sine=np.full(200, 0.3), tangent=np.full(200, 0.15))
    found = fit_spread(rays, measure(rays, spread), 1e-6, MosaicOptions())
    # at one resolution a term and sigma_0 cannot be told apart, but for e1 and e2; nothing fails
    assert found is None or np.isfinite(found.divergence)


def test_odd_spots_count_little():
    rays = make_rays(600)
    spots = measure(rays, MosaicSpread(SIGMA_0, 9e-6 * np.eye(3), 0.0))
    curvature = spots.curvature.copy()
    curvature[::20] *= 0.05
    curvature[7::50] = 1e5
    found = fit_spread(rays, spots._replace(curvature=curvature), 1e-6, MosaicOptions())
    assert np.sqrt(found.mean_rotation) == pytest.approx(3e-3, rel=0.08)


def test_faint_spots_that_seem_wide_are_no_rotation():
    """Where only strong pixels are kept, faint spots seem wider, and spots get fainter with resolution."""
    rays = make_rays(800)
    spots = measure(rays, MosaicSpread(SIGMA_0, np.zeros((3, 3)), 0.0), relative=0.05)
    faint = np.clip(rays.two_sine ** 2 + 0.1 * np.random.default_rng(2).uniform(size=800), 0, 1)
    widened = spots._replace(curvature=spots.curvature / (1.0 + 0.5 * faint)[:, None], faintness=faint)
    assert fit_spread(rays, widened, 1e-6, MosaicOptions()) is None


def test_drift_is_told_from_rotation():
    rays = make_rays(1500)
    found = fit_spread(rays, measure(rays, MosaicSpread(SIGMA_0, 9e-6 * np.eye(3), 0.0, 16e-6)), 1e-6, MosaicOptions())
    assert np.sqrt(found.mean_rotation) == pytest.approx(3e-3, rel=0.08)
    assert np.sqrt(found.drift) == pytest.approx(4e-3, rel=0.08)


def test_blur_of_pixels_is_told_from_divergence():
    """Pixels subtend less at the edges of a detector."""
    rays = make_rays(1500)
    rays = rays._replace(pixel=1e-6 * (1.0 - 2.0 * rays.two_sine ** 2)[:, None] ** (1.0, 2.0))
    found = fit_spread(rays, measure(rays, MosaicSpread(0.0, 9e-6 * np.eye(3), 0.0, blur=0.25)), 1e-6, MosaicOptions())
    assert np.sqrt(found.blur) == pytest.approx(0.5, rel=0.05)
    assert found.divergence == 0.0
    assert np.sqrt(found.mean_rotation) == pytest.approx(3e-3, rel=0.05)
