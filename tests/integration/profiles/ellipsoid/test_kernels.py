"""Kernels of the ellipsoid model beside slow twins, and derivatives beside finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from ellipsoid_data import S0, make_models

from xdp.integration.profiles.arguments import BoxPixels
from xdp.integration.profiles.ellipsoid._kernels import (
    Ellipses,
    ModelSlopes,
    SpotShapes,
    compute_angular_variances,
    compute_likelihood,
    mark_ellipses,
    mark_strong,
    measure_shapes,
)
from xdp.integration.profiles.ellipsoid.geometry import compute_rays, get_panel_arrays
from xdp.integration.profiles.ellipsoid.shape import differentiate_covariance, make_covariance
from xdp.integration.profiles.ellipsoid.sphere import make_ray_frames, rotate_to_frames

pytestmark = pytest.mark.kernels


def spots_of(model, r, rng, shift=0.0):
    """Arguments of the likelihood for spots at nodes r."""
    frames = make_ray_frames(S0 + r * (1.0 + shift), S0)
    turns = np.ascontiguousarray(rotate_to_frames(model, frames, r, S0))
    mu = np.einsum("nij,nj->ni", frames, S0 + r)
    mu[:, 2] = np.linalg.norm(S0) + 1e-3 * rng.normal(size=len(r))
    mean = mu[:, :2] + 1e-3 * rng.normal(size=(len(r), 2))
    return turns, mu, rng.random(len(r)), mean, np.tile([1e-6, 2e-7, 2e-6], (len(r), 1))


def slow_likelihood(turns, sigma, mu, radius, weight, mean, shape):
    """The formula with plain matrices."""
    total = 0.0
    for t, m, w, x, c in zip(turns, mu, weight, mean, shape, strict=True):
        s = t @ sigma @ t.T
        conditional = s[:2, :2] - np.outer(s[:2, 2], s[:2, 2]) / s[2, 2]
        epsilon = radius - m[2]
        off = x - m[:2] - s[:2, 2] / s[2, 2] * epsilon
        observed = np.array([[c[0], c[1]], [c[1], c[2]]]) + np.outer(off, off)
        total -= 0.5 * w * (np.log(s[2, 2]) + epsilon**2 / s[2, 2] + np.log(np.linalg.det(conditional))
                            + np.trace(np.linalg.inv(conditional) @ observed))
    return total


@pytest.mark.parametrize("index", range(4))
def test_likelihood_agrees_with_matrices_and_its_gradient_with_differences(index):
    rng = np.random.default_rng(4)
    model = make_models(rng)[index]
    r = rng.normal(size=(7, 3)) * 0.3
    turns, mu, weight, mean, shape = spots_of(model, r, rng)
    radius, d_r = float(np.linalg.norm(S0)), rng.normal(size=(7, 3, 3))
    p = np.asarray(model.parameters)

    def evaluate(change):
        own, moved = p + change[:len(p)], mu + np.einsum("nkj,k->nj", d_r, change[len(p):])
        n = len(change)
        slopes = np.concatenate([differentiate_covariance(model.parameterisation, own), np.zeros((3, 3, 3))])
        d_mu = np.concatenate([np.zeros((7, len(p), 3)), d_r], axis=1)
        score, information = np.zeros(n), np.zeros((n, n))
        sigma = make_covariance(model.parameterisation, own)
        spots = SpotShapes(weight, mean, shape, radius)
        value = compute_likelihood(ModelSlopes(turns, sigma, slopes, moved, d_mu), spots, score, information)
        assert value == pytest.approx(slow_likelihood(turns, sigma, moved, radius, weight, mean, shape), rel=1e-10)
        return value, score, information

    _, score, information = evaluate(np.zeros(len(p) + 3))
    for k in range(len(score)):
        step = np.zeros(len(score))
        step[k] = 1e-8
        numeric = (evaluate(step)[0] - evaluate(-step)[0]) / 2e-8
        assert score[k] == pytest.approx(numeric, rel=1e-5, abs=1e-3)
    np.testing.assert_allclose(information, information.T, rtol=1e-9, atol=1e-6)
    assert np.linalg.eigvalsh(information)[0] > 0.0


def boxes_of(still, rng, n=6):
    """Boxes, frames, counts and masks on the still's panel."""
    detector = still.detector
    centre = rng.uniform(40, 220, (n, 2))

    panel = np.zeros(n, np.int64)
    rays = compute_rays(detector, still.beam, panel, centre)
    corner = np.floor(centre).astype(np.int64) - 5
    bbox = np.column_stack([corner[:, 0], corner[:, 0] + 11, corner[:, 1], corner[:, 1] + 9, np.zeros(n), np.ones(n)])
    offsets = np.arange(n + 1, dtype=np.int64) * 99
    data = rng.poisson(5, n * 99).astype(np.float32)
    mask = rng.choice(np.array([0, 1, 3, 5, 13], np.uint8), n * 99)
    frames = np.ascontiguousarray(make_ray_frames(rays, still.beam.s0))
    background = rng.uniform(0, 4, n * 99).astype(np.float32)
    return rays, frames, BoxPixels(panel, bbox.astype(np.int32), offsets, data, background, mask)


def pixel_rays(still, bbox):
    """Unit rays (slow, fast, 3) of the pixels of a box, and of their corners."""

    def at(offset, extra):
        y, x = np.mgrid[bbox[2]:bbox[3] + extra, bbox[0]:bbox[1] + extra]
        points = np.stack([x + offset, y + offset], axis=-1).reshape(-1, 2).astype(float)
        rays = compute_rays(still.detector, still.beam, np.zeros(len(points), np.int64), points)
        return (rays / np.linalg.norm(rays, axis=1, keepdims=True)).reshape(*x.shape, 3)

    return at(0.5, 0), at(0.0, 1)


def test_spots_are_measured_as_by_numpy(still):
    rng = np.random.default_rng(8)
    _, frames, boxes = boxes_of(still, rng)
    panel, bbox, offsets, data, background, mask = boxes
    out = np.zeros((len(panel), 6))
    measure_shapes(frames, 1.3, boxes, get_panel_arrays(still.detector), out)
    for i in range(len(panel)):
        part = slice(offsets[i], offsets[i + 1])
        rays = pixel_rays(still, bbox[i])[0].reshape(-1, 3)
        xy = 1.3 * rays @ frames[i, :2].T
        counts = data[part].astype(float) - background[part]
        good = ((mask[part] & 5) == 5) & (counts > 0)
        mean = np.average(xy[good], axis=0, weights=counts[good])
        shape = np.cov(xy[good].T, aweights=counts[good], ddof=0)
        np.testing.assert_allclose(out[i, 0], counts[good].sum(), rtol=1e-9)
        np.testing.assert_allclose(out[i, 1:3], mean, rtol=1e-7)
        np.testing.assert_allclose(out[i, 3:], [shape[0, 0], shape[0, 1], shape[1, 1]], rtol=1e-4, atol=1e-12)


def test_angular_variances_are_those_of_numpy(still):
    rng = np.random.default_rng(9)
    rays, _, boxes = boxes_of(still, rng)
    panel, bbox, offsets, data, _, mask = boxes
    data[offsets[1]:offsets[2]] = 0.0
    out = np.empty(len(panel))
    compute_angular_variances(rays, boxes, get_panel_arrays(still.detector), out)
    assert out[1] == -1.0
    for i in (0, 2, 5):
        part = slice(offsets[i], offsets[i + 1])
        cosine = pixel_rays(still, bbox[i])[0].reshape(-1, 3) @ rays[i] / np.linalg.norm(rays[i])
        angle = np.arccos(np.clip(cosine, -1, 1))
        used = mask[part] != 0
        expected = (data[part] * angle**2)[used].sum() / (data[part][used].sum() - 1.0)
        assert out[i] == pytest.approx(expected, rel=1e-6)


def test_ellipses_are_pixels_with_a_corner_in_the_ellipse(still):
    rng = np.random.default_rng(10)
    _, frames, boxes = boxes_of(still, rng)
    panel, bbox, offsets = boxes.panel, boxes.bbox, boxes.offsets
    inverse = np.tile([3e4, 1e4, 6e4], (len(panel), 1))
    mean = rng.normal(size=(len(panel), 2)) * 1e-3
    out = np.ones(offsets[-1], np.uint8)
    ellipses = Ellipses(frames, mean, inverse, 3.0, 1.02)
    mark_ellipses(panel, bbox, offsets, ellipses, get_panel_arrays(still.detector), out)
    for i in range(len(panel)):
        a, b = np.moveaxis(1.02 * pixel_rays(still, bbox[i])[1] @ frames[i, :2].T - mean[i], -1, 0)
        inside = 3e4 * a * a + 2e4 * a * b + 6e4 * b * b < 3.0
        expected = inside[1:, 1:] | inside[:-1, 1:] | inside[1:, :-1] | inside[:-1, :-1]
        np.testing.assert_array_equal(out[offsets[i]:offsets[i + 1]].reshape(expected.shape), expected)
    assert 0 < out.mean() < 1


def test_strong_pixels_are_carried_over_where_the_boxes_overlap():
    bbox = np.array([[10, 14, 20, 23, 0, 1]], np.int32)
    old_bbox = np.array([[12, 16, 19, 22, 0, 1]], np.int32)
    old = np.zeros((3, 4), np.uint8)
    old[1, 0] = 5  # pixel (12, 20): inside
    old[2, 3] = 5  # pixel (15, 21): outside the new box
    old[2, 1] = 4  # not valid
    mask = np.full(12, 3, np.uint8)
    mark_strong(bbox, np.array([0, 12]), mask, old_bbox, np.array([0, 12]), old.ravel())
    changed = np.argwhere(mask.reshape(3, 4) != 3).tolist()
    assert changed == [[0, 2]]
    assert mask[2] == 3 | 4 | 8
