"""Refinement of mosaicity and crystal against spots that follow a model."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.integration.profiles.ellipsoid.options import EllipsoidOptions
from xdp.integration.profiles.ellipsoid.refine import (
    Observations,
    damp_weights,
    refine_crystal,
    refine_ellipsoid,
    refine_mosaicity,
)
from xdp.integration.profiles.ellipsoid.shape import ELEMENTS, EllipsoidModel
from xdp.integration.profiles.ellipsoid.sphere import compute_cut_rays, cut_points, make_ray_frames
from xdp.prediction.indices import list_lattice_indices
from xdp.simulation.models import make_beam, make_crystal

pytestmark = pytest.mark.kernels


def observations(model, crystal, rng, n=300):
    """Spots whose rays and shapes follow the model exactly but for sampling of the distance from the sphere."""
    s0 = make_beam().s0
    indices = list_lattice_indices(crystal, 2.5)
    r = indices @ crystal.A.T
    epsilon = np.linalg.norm(s0) - np.linalg.norm(s0 + r, axis=1)
    sigma = np.sqrt(cut_points(model, r, s0).variance)
    rows = np.flatnonzero(rng.random(len(r)) < np.exp(-0.5 * (epsilon / sigma) ** 2))[:n]
    seen = cut_points(model, r[rows], s0)
    rays = compute_cut_rays(seen, s0)
    frames = make_ray_frames(rays, s0)
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
    found = refine_mosaicity(spots, crystal, EllipsoidModel.make_isotropic(name, 2e-3))
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
    assert refine_ellipsoid(spots, crystal, model, options)[0] is crystal
    from dataclasses import replace

    with pytest.raises(XdpError, match="mosaicity"):
        refine_mosaicity(replace(spots, covariance=spots.covariance * 1e4), crystal, model)


def test_damping_cuts_only_extreme_weights():
    weights = np.append(np.linspace(1.0, 2.0, 40), 50.0)
    done = damp_weights(weights)
    np.testing.assert_array_equal(done[:-1], weights[:-1])
    assert 2.0 < done[-1] < 4.0
