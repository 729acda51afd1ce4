from __future__ import annotations

import numpy as np
import pytest
from partiality_data import simulate_domain_shot

from xdp.integration.partiality.prior import PartialityPrior
from xdp.integration.partiality.shot_equations import FreeParameters, ShotEquations, ShotIntensities, ShotPositions


@pytest.mark.parametrize("has_reference", [False, True])
def test_slopes_are_those_of_the_value(has_reference):
    shot = simulate_domain_shot(3)
    table = shot.truth
    value = table["photons"] * table["partiality"]
    n = len(table)
    intensities = ShotIntensities(table["miller_index"], value, value + 30.0, np.full(n, 900.0),
                                  np.where(np.arange(n) % 3 == 0, np.inf, 0.3))
    strong = value > 100
    rays = table["s1"][strong] * shot.experiment.beam.wavelength + 2e-4
    positions = ShotPositions(table["miller_index"][strong], rays / np.linalg.norm(rays, axis=1, keepdims=True), 1e-3)
    free = FreeParameters.build(shot.experiment.crystal, shot.experiment.beam.s0, None)
    equations = ShotEquations(free, intensities, positions, PartialityPrior(), has_reference)
    p = np.concatenate([[0.1, -0.2, 0.1], np.full(free.n_crystal - 3, 0.2), np.log([3e-4, 1e-3, 1e-3]),
                        [0.1, -0.2, 0.05, 0.1], [0.3, 0.5]])
    equations.settle(p)
    slope, information = equations.compute_equations(p)
    for k in range(len(p)):
        step = np.zeros(len(p))
        step[k] = 1e-5
        numeric = (equations.compute_value(p + step) - equations.compute_value(p - step)) / 2e-5
        # within a hundredth of the slope's own standard deviation
        assert abs(slope[k] - numeric) < 0.01 * np.sqrt(information[k, k]) + 1e-3 * abs(numeric)
    assert np.linalg.eigvalsh(information)[0] > 0.0


def test_the_crystal_of_no_change_is_the_crystal():
    crystal = simulate_domain_shot(3).experiment.crystal
    free = FreeParameters.build(crystal, np.array([0.0, 0.0, -1.0]), 1e-3)
    p = np.zeros(len(free.fixed))
    np.testing.assert_allclose(free.make_crystal(p, crystal).A, crystal.A, atol=1e-12)
    assert free.make_model(p).bandwidth == 1e-3
