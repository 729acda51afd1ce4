from __future__ import annotations

import numpy as np
import pytest

from xdp.simulation import SimulationOptions, make_beam, make_crystal, make_detector, simulate_stills
from xdp.simulation.mosaic_domains import DomainOptions, sum_domains


def test_one_domain_is_a_gaussian_about_the_sphere():
    crystal, beam = make_crystal(orientation=2), make_beam()
    hkl = np.array([[3, 4, 1], [1, -2, 5], [8, 0, 2]])
    found = sum_domains(crystal, beam, hkl, DomainOptions(2e-3, 0.0, n_domains=1))
    length = np.linalg.norm(beam.s0 + hkl @ crystal.A.T, axis=1)
    np.testing.assert_allclose(found.partiality, np.exp(-0.5 * ((length - 1 / beam.wavelength) / 2e-3) ** 2))


def test_many_domains_are_the_convolution():
    # the mean over normal variates: a Gaussian of the summed variance, lower by the ratio of the widths
    crystal, beam = make_crystal(orientation=2), make_beam()
    hkl = np.argwhere(np.ones((9, 9, 9))) - 4
    hkl = hkl[np.any(hkl != 0, axis=1)]
    a, eta = 2e-3, 0.8
    found = sum_domains(crystal, beam, hkl, DomainOptions(a, eta, n_domains=4000))
    q = hkl @ crystal.A.T
    s2 = q + beam.s0
    length = np.linalg.norm(s2, axis=1)
    across = np.linalg.norm(np.cross(q, s2 / length[:, None]), axis=1)
    variance = a**2 + (np.deg2rad(eta) * across) ** 2
    expected = a / np.sqrt(variance) * np.exp(-0.5 * (length - 1 / beam.wavelength) ** 2 / variance)
    # 4000 draws know a mean to 0.01
    np.testing.assert_allclose(found.partiality, expected, atol=0.03)


def test_stills_of_domains_have_the_summed_partialities():
    options = SimulationOptions(photons=3000.0, hot_pixels=0, dead_pixels=0, d_min=3.0, point_size=3e-4, eta=0.1)
    shots = simulate_stills([make_crystal(orientation=1)], make_beam(), make_detector((200, 180), distance=60.0),
                            options=options)
    table, experiment = shots.truth, shots.experiments[0]
    found = sum_domains(experiment.crystal, experiment.beam, table["miller_index"], DomainOptions(3e-4, 0.1))
    np.testing.assert_array_equal(table["partiality"], found.partiality)
    assert 0.5 < table["partiality"].max() <= 1.0
    assert shots.stack().sum() == pytest.approx(shots.expected(0)[0].sum(), rel=0.02)
