from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.integration.partiality.model import PartialityModel, compute_excitation
from xdp.simulation import make_beam, make_crystal
from xdp.simulation.mosaic_domains import DomainOptions, sum_domains


@pytest.fixture(scope="module")
def near():
    """A crystal, a beam, and its reflections near the sphere."""
    crystal, beam = make_crystal(orientation=4), make_beam(1.2)
    hkl = np.argwhere(np.ones((41, 41, 25))) - [20, 20, 12]
    excitation = compute_excitation(crystal.A, beam.s0, hkl)
    keep = (np.abs(excitation.epsilon) < 1.5e-3) & (np.linalg.norm(excitation.q, axis=1) > 0.02)
    return crystal, beam, hkl[keep]


@pytest.mark.parametrize(("size", "eta", "bandwidth"), [(2.5e-4, 0.05, 3e-4), (5e-4, 0.1, 4e-3), (1e-4, 0.2, 0.0)])
def test_partialities_are_those_of_summed_domains(near, size, eta, bandwidth):
    crystal, beam, hkl = near
    model = PartialityModel(size, np.deg2rad(eta), bandwidth)
    excitation = compute_excitation(crystal.A, np.asarray(beam.s0), hkl)
    truth = sum_domains(crystal, beam, hkl, DomainOptions(size, eta, bandwidth, n_domains=4000, n_wavelengths=15))
    found = model.compute_partialities(excitation, np.asarray(beam.s0))
    # 4000 domains know a mean to 0.01; the bandwidth is a top hat, not normal
    assert np.abs(found - truth.partiality).max() < 0.04
    assert np.corrcoef(found, truth.partiality)[0, 1] > 0.995
    # a fifth of a usual pixel's angle, for the widest top hat
    rays = model.compute_rays(excitation, np.asarray(beam.s0))
    seen = truth.partiality > 0.05
    assert np.linalg.norm(rays - truth.ray, axis=1)[seen].max() * beam.wavelength < 2e-4


def test_points_outside_the_bound_are_farther(near):
    crystal, beam, hkl = near
    model, s0 = PartialityModel(2e-4, 1e-3, 1e-3), np.asarray(beam.s0)
    excitation = compute_excitation(crystal.A, s0, hkl)
    length = np.linalg.norm(excitation.q, axis=1)
    constant, slope = model.bound_distance(s0, float(length.max()), 3.0)
    outside = np.abs(excitation.epsilon) > constant + slope * length
    assert outside.any()
    assert np.all(excitation.epsilon[outside] ** 2 > 9.0 * model.compute_variances(excitation, s0)[outside])


def test_models_are_written_and_read():
    model = PartialityModel(2e-4, 1e-3, 1e-4)
    again = PartialityModel.from_dict(model.to_dict())
    assert (again.size, again.bandwidth) == (model.size, model.bandwidth)
    assert again.rotation == pytest.approx(model.rotation)
    with pytest.raises(FormatError, match="size"):
        PartialityModel.from_dict({"rotation": 1.0})
    with pytest.raises(ValueError, match="above 0"):
        PartialityModel(0.0, 1e-3)
