from __future__ import annotations

import numpy as np
import pytest
from partiality_data import ETA, SIZE, measure_turn, simulate_domain_shot, turn_crystal

from xdp.errors import XdpError
from xdp.integration.partiality.fit import choose_bandwidth, fit_partiality, start_model, with_fit
from xdp.integration.partiality.options import PartialityOptions
from xdp.integration.partiality.prior import PartialityPrior
from xdp.integration.partiality.shot_equations import ShotIntensities, ShotPositions

OFF = np.array([0.03, -0.02, 0.01])
"""Degrees by which the crystals to start from are turned: worse than indexing leaves them."""


def gather(shot, *, reference=False, seed=0):
    """Intensities and positions as the simulation drew them, with counting errors."""
    table, rng = shot.truth, np.random.default_rng(seed)
    expected = table["photons"] * table["partiality"] * table["lp"]**-1
    variance = expected + 30.0
    value = expected + np.sqrt(variance) * rng.normal(size=len(table))
    mean = table["intensity.true"] if reference else np.ones(len(table))
    spread = np.full(len(table), 1e-4 if reference else np.inf)
    strong = value > 5.0 * np.sqrt(variance)
    rays = table["s1"][strong] * shot.experiment.beam.wavelength + 1e-4 * rng.normal(size=(strong.sum(), 3))
    return (ShotIntensities(table["miller_index"], value, variance, mean, spread),
            ShotPositions(table["miller_index"][strong], rays / np.linalg.norm(rays, axis=1, keepdims=True), 1e-3))


@pytest.fixture(scope="module")
def shots():
    return [simulate_domain_shot(k) for k in range(4)]


@pytest.fixture(scope="module")
def fits(shots):
    options = PartialityOptions(bandwidth=0.0)
    return [fit_partiality(turn_crystal(shot.experiment, OFF), *gather(shot), options) for shot in shots]


def test_orientation_and_widths_come_out_without_a_reference(shots, fits):
    for shot, fit in zip(shots, fits, strict=True):
        turn = measure_turn(with_fit(shot.experiment, fit), shot.experiment)
        sigma = np.rad2deg(1e-3 * np.sqrt(np.diag(fit.covariance)[:3]))
        assert np.linalg.norm(turn) < 0.01
        assert np.all(np.abs(turn) < 4.5 * sigma)
        assert fit.model.size == pytest.approx(SIZE, rel=0.25)
        assert np.rad2deg(fit.model.rotation) == pytest.approx(ETA, rel=0.25)


def test_partialities_agree_with_the_domains_within_their_errors(shots, fits):
    pulls = []
    for shot, fit in zip(shots, fits, strict=True):
        partiality, variance = fit.compute_partialities(shot.truth["miller_index"])
        seen = shot.truth["partiality"] > 0.1
        assert np.corrcoef(partiality[seen], shot.truth["partiality"][seen])[0, 1] > 0.98
        pulls.append(((partiality - shot.truth["partiality"]) / np.sqrt(variance))[seen])
    # errors of one shot are correlated, and there are four: a factor of two is what they can prove
    assert 0.4 < np.sqrt(np.mean(np.concatenate(pulls) ** 2)) < 2.0


def test_a_reference_makes_it_sharper(shots, fits):
    shot = shots[0]
    data = gather(shot, reference=True)
    fit = fit_partiality(turn_crystal(shot.experiment, OFF), *data, PartialityOptions(bandwidth=0.0),
                         has_reference=True)
    assert np.all(np.diag(fit.covariance)[:2] < 0.5 * np.diag(fits[0].covariance)[:2])
    assert np.linalg.norm(measure_turn(with_fit(shot.experiment, fit), shot.experiment)) < 0.003
    assert fit.scale == pytest.approx(1.0, rel=0.05)


def test_what_is_fixed_stays(shots):
    shot = shots[1]
    options = PartialityOptions(bandwidth=0.0, refine_orientation=False, refine_cell=False)
    fit = fit_partiality(shot.experiment, *gather(shot), options)
    np.testing.assert_allclose(fit.crystal.A, shot.experiment.crystal.A, atol=1e-12)
    assert not fit.covariance[:3].any()


def test_a_prior_holds_widths_that_few_reflections_do_not_tell(shots):
    intensities, positions = gather(shots[2])
    few = ShotIntensities(*(v[::40] for v in intensities))
    prior = PartialityPrior((np.log(SIZE), np.log(np.deg2rad(ETA)), -9.0), (0.05, 0.05, 0.05))
    fit = fit_partiality(shots[2].experiment, few, ShotPositions(positions.hkl[:9], positions.rays[:9], 1e-3), None,
                         prior)
    assert fit.model.size == pytest.approx(SIZE, rel=0.2)
    # the shot alone says next to nothing, which is what the run's sums are told
    assert np.all(fit.width_variances[:2] > 0.05**2)


def test_a_hot_pixel_does_not_turn_the_crystal(shots):
    intensities, positions = gather(shots[3])
    value = intensities.value.copy()
    value[::50] = 1e5
    fit = fit_partiality(shots[3].experiment, intensities._replace(value=value, variance=np.maximum(
        intensities.variance, value)), positions, PartialityOptions(bandwidth=0.0))
    assert np.linalg.norm(measure_turn(with_fit(shots[3].experiment, fit), shots[3].experiment)) < 0.015


def test_too_few_reflections_are_refused(shots):
    intensities, positions = gather(shots[0])
    with pytest.raises(XdpError, match="12 predicted reflections, there are 3"):
        fit_partiality(shots[0].experiment, ShotIntensities(*(v[:3] for v in intensities)), positions)


def test_the_bandwidth_is_the_option_else_the_beams(shots):
    import dataclasses

    experiment = shots[0].experiment
    assert choose_bandwidth(experiment, PartialityOptions()) is None
    told = dataclasses.replace(experiment, beam=dataclasses.replace(experiment.beam, extra={"bandwidth": 2e-3}))
    assert choose_bandwidth(told, PartialityOptions()) == 2e-3
    assert choose_bandwidth(told, PartialityOptions(bandwidth=1e-4)) == 1e-4


def test_the_start_has_the_spots_width(shots):
    _, positions = gather(shots[0])
    model = start_model(shots[0].experiment, positions.hkl, PartialityOptions(),
                        PartialityPrior((np.log(4 * SIZE), np.log(4 * np.deg2rad(ETA)), -9.0)))
    # from four times the truth to within a factor of two
    assert 0.5 < model.size / SIZE < 2.0
