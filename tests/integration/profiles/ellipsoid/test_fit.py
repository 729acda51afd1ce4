"""The ellipsoid model's mathematics, against sampling, finite differences and slow twins."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError, XdpError
from xdp.integration.profiles.ellipsoid._kernels import (
    add_strong,
    angular_variances,
    ellipse_footprints,
    likelihood,
    measure_spots,
)
from xdp.integration.profiles.ellipsoid.geometry import Plates, corner_boxes, meet_panels, on_panel
from xdp.integration.profiles.ellipsoid.options import EllipsoidOptions
from xdp.integration.profiles.ellipsoid.predict import add_boxes, outlines, predict_ellipsoid
from xdp.integration.profiles.ellipsoid.refine import Observations, damped, refine, refine_crystal, refine_mosaicity
from xdp.integration.profiles.ellipsoid.shape import (
    ELEMENTS,
    EllipsoidModel,
    covariance,
    covariance_derivatives,
)
from xdp.integration.profiles.ellipsoid.sphere import cut, model_to_rays, partiality, ray_frames, rays_of
from xdp.prediction.indices import lattice_indices
from xdp.refinement.outliers import chi_square_quantile
from xdp.simulation.models import make_beam, make_crystal, make_detector

pytestmark = pytest.mark.kernels

S0 = np.array([0.01, -0.02, -1.02])


@pytest.fixture(scope="module")
def still():
    from xdp.experiment.experiment import Experiment

    return Experiment("still", make_beam(), make_detector((300, 260), distance=60.0, gaps=False),
                      crystal=make_crystal(orientation=3))


def models(rng):
    return [EllipsoidModel(name, tuple(1e-3 * (1.0 + rng.random(len(cells))))) for name, cells in ELEMENTS.items()]


@pytest.mark.parametrize("name", ELEMENTS)
def test_covariances_are_symmetric_positive_and_have_the_derivatives_of_their_parameters(name):
    p = 0.5 + np.random.default_rng(1).random(len(ELEMENTS[name]))
    sigma = covariance(name, p)
    assert np.array_equal(sigma, sigma.T)
    assert np.linalg.eigvalsh(sigma)[0] > 0.0
    for k, slope in enumerate(covariance_derivatives(name, p)):
        step = np.zeros(len(p))
        step[k] = 1e-5
        numeric = (covariance(name, p + step) - covariance(name, p - step)) / 2e-5
        np.testing.assert_allclose(slope, numeric, atol=1e-9)  # sigma is quadratic: central differences are exact


def test_the_angular_models_leave_the_radial_axis_apart():
    for name in ("angular2", "angular4"):
        sigma = covariance(name, np.arange(1.0, len(ELEMENTS[name]) + 1))
        assert sigma[0, 2] == sigma[1, 2] == 0.0
    assert covariance("simple1", np.array([2.0])).tolist() == (4.0 * np.eye(3)).tolist()


@pytest.mark.parametrize("name", ELEMENTS)
def test_a_model_survives_its_dictionary_and_a_sphere_is_round(name):
    model = EllipsoidModel.isotropic(name, 2e-3)
    np.testing.assert_allclose(model.sigma, 4e-6 * np.eye(3))
    assert EllipsoidModel.from_dict(model.to_dict()) == model
    for value in model.mosaicity(0.5).values():
        assert value == pytest.approx(np.rad2deg(1e-3))
    with pytest.raises(FormatError, match="ellipsoid"):
        EllipsoidModel.from_dict({"__id__": "gaussian_rs"})


def test_a_cut_is_the_part_of_the_distribution_near_the_sphere():
    """Points are drawn, and those within a thin shell at the radius of the sphere are averaged."""
    rng = np.random.default_rng(0)
    model = EllipsoidModel("simple6", (2e-3, 5e-4, 1e-3, -6e-4, 4e-4, 1.5e-3))
    r = np.array([[0.31, 0.12, 0.06]])
    s2 = S0 + r[0]
    r[0] += s2 / np.linalg.norm(s2) * (np.linalg.norm(S0) - np.linalg.norm(s2) - 8e-4)
    found = cut(model, r, S0)
    points = (S0 + r[0] + rng.multivariate_normal(np.zeros(3), model.sigma, 2_000_000)) @ found.frames[0].T
    near = points[np.abs(points[:, 2] - np.linalg.norm(S0)) < 5e-5, :2]
    assert len(near) > 20_000
    error = 4.0 * np.sqrt(np.diag(found.covariance[0]) / len(near))
    assert np.all(np.abs(near.mean(axis=0) - found.mean[0]) < error)
    np.testing.assert_allclose(np.cov(near.T), found.covariance[0], atol=0.05 * np.trace(found.covariance[0]))
    assert found.epsilon[0] == pytest.approx(8e-4, rel=1e-6)


def test_partiality_is_one_on_the_sphere_and_falls_off_it():
    rng = np.random.default_rng(2)
    r = rng.normal(size=(6, 3)) * 0.2
    s2 = S0 + r
    r += s2 / np.linalg.norm(s2, axis=1, keepdims=True) * (np.linalg.norm(S0) - np.linalg.norm(s2, axis=1))[:, None]
    for model in models(rng):
        recorded, variance = partiality(model, cut(model, r, S0))
        if model.is_angular:
            np.testing.assert_allclose(recorded, 1.0, atol=1e-9)
        np.testing.assert_allclose(variance, 0.0, atol=1e-9)
        off = cut(model, r * 1.01, S0)
        if model.is_angular:  # the simple ones compare with the beam's direction, and may exceed 1
            assert np.all(partiality(model, off)[0] < recorded)
            np.testing.assert_allclose(-2.0 * np.log(partiality(model, off)[0]) * off.variance, off.epsilon**2)


def test_rays_have_the_length_of_s0_and_go_to_the_mean_of_the_cut():
    rng = np.random.default_rng(3)
    r = rng.normal(size=(5, 3)) * 0.2
    found = cut(models(rng)[1], r, S0)
    rays = rays_of(found, S0)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), np.linalg.norm(S0))
    inside = np.einsum("nij,nj->ni", found.frames, rays)
    np.testing.assert_allclose(inside[:, :2] / inside[:, 2:], found.mean / np.linalg.norm(S0), atol=1e-12)


def spots_of(model, r, rng, shift=0.0):
    """Arguments of the likelihood for spots at nodes r."""
    frames = ray_frames(S0 + r * (1.0 + shift), S0)
    turns = np.ascontiguousarray(model_to_rays(model, frames, r, S0))
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
    model = models(rng)[index]
    r = rng.normal(size=(7, 3)) * 0.3
    turns, mu, weight, mean, shape = spots_of(model, r, rng)
    radius, d_r = float(np.linalg.norm(S0)), rng.normal(size=(7, 3, 3))
    p = np.asarray(model.parameters)

    def evaluate(change):
        own, moved = p + change[:len(p)], mu + np.einsum("nkj,k->nj", d_r, change[len(p):])
        n = len(change)
        slopes = np.concatenate([covariance_derivatives(model.parameterisation, own), np.zeros((3, 3, 3))])
        d_mu = np.concatenate([np.zeros((7, len(p), 3)), d_r], axis=1)
        score, information = np.zeros(n), np.zeros((n, n))
        sigma = covariance(model.parameterisation, own)
        value = likelihood(turns, sigma, slopes, moved, d_mu, radius, weight, mean, shape, score, information)
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


def observations(model, crystal, rng, n=300):
    """Spots whose rays and shapes follow the model exactly but for sampling of the distance from the sphere."""
    s0 = make_beam().s0
    indices = lattice_indices(crystal, 2.5)
    r = indices @ crystal.A.T
    epsilon = np.linalg.norm(s0) - np.linalg.norm(s0 + r, axis=1)
    sigma = np.sqrt(cut(model, r, s0).variance)
    rows = np.flatnonzero(rng.random(len(r)) < np.exp(-0.5 * (epsilon / sigma) ** 2))[:n]
    seen = cut(model, r[rows], s0)
    rays = rays_of(seen, s0)
    frames = ray_frames(rays, s0)
    turns = np.einsum("nij,nkj->nik", frames[:, :2], seen.frames[:, :2])
    shape = turns @ seen.covariance @ np.swapaxes(turns, 1, 2)
    return Observations(indices[rows].astype(float), frames, np.full(len(rows), 100.0), np.zeros((len(rows), 2)),
                        np.ascontiguousarray(shape.reshape(-1, 4)[:, [0, 1, 3]]), s0)


@pytest.mark.parametrize("name", ELEMENTS)
def test_refinement_finds_the_mosaicity_that_made_the_spots(name):
    rng = np.random.default_rng(5)
    values = {"simple1": (1e-3,), "simple6": (1.2e-3, 2e-4, 8e-4, 1e-4, -1e-4, 1e-3), "angular2": (1.2e-3, 7e-4),
              "angular4": (1.2e-3, 2e-4, 8e-4, 6e-4)}[name]
    true, crystal = EllipsoidModel(name, values), make_crystal(orientation=3)
    spots = observations(true, crystal, rng)
    found = refine_mosaicity(spots, crystal, EllipsoidModel.isotropic(name, 2e-3))
    # the shapes are exact, the distances 300 draws: their variance is known to sqrt(2 / 300) = 8 %
    size = np.trace(true.sigma) / 3.0
    np.testing.assert_allclose(found.sigma, true.sigma, atol=0.25 * size)
    assert np.trace(found.sigma) == pytest.approx(np.trace(true.sigma), rel=0.1)


def test_refinement_turns_and_stretches_a_crystal_back():
    from dataclasses import replace

    from xdp.refinement.parameters.rotations import make_rotation

    rng = np.random.default_rng(6)
    true, model = make_crystal(orientation=3), EllipsoidModel("angular4", (1e-3, 0.0, 1e-3, 8e-4))
    spots = observations(model, true, rng)
    wrong = make_rotation(np.array([0.3, 0.5, 0.8]), 1e-3) @ true.A @ np.diag([1.001, 1.001, 0.999])
    a, b, c = (tuple(row) for row in np.linalg.inv(wrong).tolist())
    start = replace(true, real_space_a=a, real_space_b=b, real_space_c=c)
    found = refine_crystal(spots, start, model)
    off = np.abs(found.A @ np.linalg.inv(true.A) - np.eye(3)).max()
    assert off < 2e-4  # the start is off by 1e-3; a spot's distance is 1e-3 / 0.3, of 300 spots 2e-4
    kept = refine_crystal(spots, start, model, orientation=False)
    np.testing.assert_allclose(kept.U, start.U, atol=1e-12)
    assert not np.allclose(kept.unit_cell, start.unit_cell, rtol=1e-5)
    turned = refine_crystal(spots, start, model, cell=False)
    np.testing.assert_allclose(turned.unit_cell[:3], start.unit_cell[:3], rtol=1e-3)
    assert refine_crystal(spots, start, model, cell=False, orientation=False) is start


def test_fixed_parts_stay_and_impossible_mosaicity_is_refused():
    rng = np.random.default_rng(7)
    crystal, model = make_crystal(orientation=3), EllipsoidModel("simple1", (1e-3,))
    spots = observations(model, crystal, rng)
    options = EllipsoidOptions.model_validate({"unit_cell": {"fixed": True}, "orientation": {"fixed": True}})
    assert refine(spots, crystal, model, options)[0] is crystal
    from dataclasses import replace

    with pytest.raises(XdpError, match="mosaicity"):
        refine_mosaicity(replace(spots, covariance=spots.covariance * 1e4), crystal, model)


def test_damping_cuts_only_extreme_weights():
    weights = np.append(np.linspace(1.0, 2.0, 40), 50.0)
    done = damped(weights)
    np.testing.assert_array_equal(done[:-1], weights[:-1])
    assert 2.0 < done[-1] < 4.0


def boxes_of(still, rng, n=6):
    """Boxes, frames, counts and masks on the still's panel."""
    detector = still.detector
    centre = rng.uniform(40, 220, (n, 2))
    from xdp.integration.profiles.ellipsoid.geometry import rays_at

    panel = np.zeros(n, np.int64)
    rays = rays_at(detector, still.beam, panel, centre)
    corner = np.floor(centre).astype(np.int64) - 5
    bbox = np.column_stack([corner[:, 0], corner[:, 0] + 11, corner[:, 1], corner[:, 1] + 9, np.zeros(n), np.ones(n)])
    offsets = np.arange(n + 1, dtype=np.int64) * 99
    data = rng.poisson(5, n * 99).astype(np.float32)
    mask = rng.choice(np.array([0, 1, 3, 5, 13], np.uint8), n * 99)
    frames = np.ascontiguousarray(ray_frames(rays, still.beam.s0))
    return panel, rays, frames, bbox.astype(np.int32), offsets, data, mask


def pixel_rays(still, bbox):
    """Unit rays (slow, fast, 3) of the pixels of a box, and of their corners."""
    from xdp.integration.profiles.ellipsoid.geometry import rays_at

    def at(offset, extra):
        y, x = np.mgrid[bbox[2]:bbox[3] + extra, bbox[0]:bbox[1] + extra]
        points = np.stack([x + offset, y + offset], axis=-1).reshape(-1, 2).astype(float)
        rays = rays_at(still.detector, still.beam, np.zeros(len(points), np.int64), points)
        return (rays / np.linalg.norm(rays, axis=1, keepdims=True)).reshape(*x.shape, 3)

    return at(0.5, 0), at(0.0, 1)


def test_spots_are_measured_as_by_numpy(still):
    rng = np.random.default_rng(8)
    panel, _, frames, bbox, offsets, data, mask = boxes_of(still, rng)
    background = rng.uniform(0, 4, len(data)).astype(np.float32)
    out = np.zeros((len(panel), 6))
    measure_spots(frames, 1.3, panel, bbox, offsets, data, background, mask, *Plates.of(still.detector).arrays, out)
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
    panel, rays, _, bbox, offsets, data, mask = boxes_of(still, rng)
    data[offsets[1]:offsets[2]] = 0.0
    out = np.empty(len(panel))
    angular_variances(rays, panel, bbox, offsets, data, mask, *Plates.of(still.detector).arrays, out)
    assert out[1] == -1.0
    for i in (0, 2, 5):
        part = slice(offsets[i], offsets[i + 1])
        cosine = pixel_rays(still, bbox[i])[0].reshape(-1, 3) @ rays[i] / np.linalg.norm(rays[i])
        angle = np.arccos(np.clip(cosine, -1, 1))
        used = mask[part] != 0
        expected = (data[part] * angle**2)[used].sum() / (data[part][used].sum() - 1.0)
        assert out[i] == pytest.approx(expected, rel=1e-6)


def test_footprints_are_pixels_with_a_corner_in_the_ellipse(still):
    rng = np.random.default_rng(10)
    panel, _, frames, bbox, offsets, _, _ = boxes_of(still, rng)
    inverse = np.tile([3e4, 1e4, 6e4], (len(panel), 1))
    mean = rng.normal(size=(len(panel), 2)) * 1e-3
    out = np.ones(offsets[-1], np.uint8)
    ellipse_footprints(panel, bbox, frames, mean, inverse, 3.0, 1.02, *Plates.of(still.detector).arrays, offsets, out)
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
    add_strong(bbox, np.array([0, 12]), mask, old_bbox, np.array([0, 12]), old.ravel())
    changed = np.argwhere(mask.reshape(3, 4) != 3).tolist()
    assert changed == [[0, 2]]
    assert mask[2] == 3 | 4 | 8


def test_predictions_are_all_reflections_within_the_quantile(still):
    rng = np.random.default_rng(11)
    s0, detector = still.beam.s0, still.detector
    for model in models(rng):
        found = predict_ellipsoid(still, model, 2.2, 20.0, probability=0.9)
        indices = lattice_indices(still.crystal, 2.2, 20.0)
        epsilon = np.linalg.norm(s0) - np.linalg.norm(s0 + indices @ still.crystal.A.T, axis=1)
        some = set(map(tuple, rng.permutation(indices[np.abs(epsilon) < 0.008])[:150].tolist()))
        expected = []
        for h in map(np.array, some):
            r = still.crystal.A @ h
            s2 = s0 + r
            gap = s2 / np.linalg.norm(s2) * np.linalg.norm(s0) - s2
            q = ray_frames(r[None], s0)[0] if model.is_angular else np.eye(3)
            inside = gap @ np.linalg.inv(q.T @ model.sigma @ q) @ gap < chi_square_quantile(0.9, 3)
            ray = rays_of(cut(model, r[None], s0), s0)
            mm, _ = meet_panels(detector, np.zeros(1, np.int64), ray)
            if inside and np.all((mm[0] >= 0.0) & (mm[0] < detector[0].image_size_mm)):
                expected.append(tuple(h.tolist()))
        assert sorted(some & set(map(tuple, found["miller_index"].tolist()))) == sorted(expected)
        assert 20 < len(expected) < 150


def test_more_probability_predicts_more_and_makes_larger_boxes_and_outlines(still):
    model = EllipsoidModel("angular4", (2e-3, 1e-4, 1.5e-3, 1e-3))
    few, many = (predict_ellipsoid(still, model, 2.2, probability=p) for p in (0.5, 0.9973))
    assert len(few) < len(many)
    small, large = (add_boxes(still, model, many, z=4, probability=p) for p in (0.5, 0.9973))
    assert np.all(small["bbox"][:, 1] - small["bbox"][:, 0] <= large["bbox"][:, 1] - large["bbox"][:, 0])
    assert large["bbox"][:, 4:].tolist() == [[4, 5]] * len(large)
    lit = [outlines(still, model, large, probability=p).sum() for p in (0.5, 0.9973)]
    assert 0 < lit[0] < lit[1]
    # the border is background, so that the outline touches no edge of its box
    first = large["bbox"][0]
    height, width = first[3] - first[2], first[1] - first[0]
    pixels = outlines(still, model, large)[:height * width].reshape(height, width)
    assert pixels.any()
    assert sum(edge.sum() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])) == 0


def test_boxes_that_cannot_be_are_empty_and_not_on_the_panel(still):
    frames = ray_frames(np.array([[0.0, 0.1, -1.0], [0.0, 0.1, 1.0]]), still.beam.s0)
    boxes = corner_boxes(still.detector, np.zeros(2, np.int64), frames, np.zeros((2, 2)), np.full((2, 2), 0.01),
                         np.ones(2))
    assert on_panel(still.detector, np.zeros(2, np.int64), boxes).tolist() == [bool(boxes[0].any()), False]
    assert boxes[1].tolist() == [0, 0, 0, 0]
