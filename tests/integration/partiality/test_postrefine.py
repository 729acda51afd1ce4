from __future__ import annotations

import numpy as np
import pytest
from partiality_data import ETA, SIZE, measure_turn, simulate_domain_shot, turn_crystal

from xdp.errors import XdpError
from xdp.integration.partiality.fit import with_fit
from xdp.integration.partiality.options import PartialityOptions
from xdp.integration.partiality.postrefine import postrefine_run, postrefine_shot
from xdp.integration.partiality.reference import ReferenceIntensities
from xdp.integration.partiality.shot_data import compute_corrections
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

N_SHOTS = 10
OPTIONS = PartialityOptions(bandwidth=0.0)


def integrate(shot, number, rng):
    """A shot's table as integration leaves it: true partial intensities with counting errors."""
    truth = shot.truth
    expected = truth["intensity.sum.value"]
    variance = expected + 25.0
    xyz = truth["xyzcal.px"] + 0.05 * rng.normal(size=truth["xyzcal.px"].shape)
    return truth.with_columns(**{
        "intensity.sum.value": expected + np.sqrt(variance) * rng.normal(size=len(truth)),
        "intensity.sum.variance": variance, "xyzobs.px.value": xyz, "lp": 1.0 / truth["lp"],
        "flags": np.full(len(truth), int(Flag.INTEGRATED_SUM), np.uint64),
        "id": np.full(len(truth), number, np.int32)})


@pytest.fixture(scope="module")
def shots():
    # a small cell, so that few shots have each reflection several times
    from xdp.simulation import make_crystal

    return [simulate_domain_shot(k, crystal=make_crystal((42.0, 42.0, 30.0, 90, 90, 90), orientation=k), eta=ETA,
                                 photons=3000.0 * (1.0 + 0.5 * (k % 3))) for k in range(N_SHOTS)]


@pytest.fixture(scope="module")
def tables(shots):
    rng = np.random.default_rng(5)
    found = [integrate(shot, i, rng) for i, shot in enumerate(shots)]
    for table in found:
        table.identifiers = {}
    return found


@pytest.fixture(scope="module")
def starts(shots):
    rng = np.random.default_rng(6)
    return [turn_crystal(shot.experiment, 0.015 * rng.normal(size=3)) for shot in shots]


@pytest.fixture(scope="module")
def run(starts, tables):
    return postrefine_run(starts, ReflectionTable.concatenate(tables), OPTIONS)


def test_the_run_refines_itself(run, shots, starts):
    assert not run.failures
    before = [np.linalg.norm(measure_turn(a, b.experiment)) for a, b in zip(starts, shots, strict=True)]
    after = [np.linalg.norm(measure_turn(a, b.experiment)) for a, b in zip(run.experiments, shots, strict=True)]
    assert np.median(after) < 0.25 * np.median(before)
    assert np.exp(run.prior.mean[0]) == pytest.approx(SIZE, rel=0.15)
    assert np.rad2deg(np.exp(run.prior.mean[1])) == pytest.approx(ETA, rel=0.15)


def test_full_intensities_and_their_variances_are_true(run, shots):
    table = run.reflections
    truth = ReflectionTable.concatenate([shot.truth for shot in shots])
    factor = compute_corrections(table) / table["partiality"] / table["inverse_scale_factor"]
    full = table["intensity.sum.value"] * factor
    seen = truth["partiality"] > 0.1
    # each third shot has twice the photons of the first
    true = truth["intensity.true"] / (1.0 + 0.5 * (table["id"] % 3))
    assert np.corrcoef(full[seen], true[seen])[0, 1] > 0.97
    variance = (table["intensity.sum.variance"] + table["intensity.sum.value"] ** 2 * table["partiality.variance"]
                / table["partiality"] ** 2) * factor**2
    level = (full * true)[seen].sum() / (true**2)[seen].sum()
    pull = ((full - level * true) / np.sqrt(variance))[seen]
    assert 0.8 < np.subtract(*np.quantile(pull, [0.75, 0.25])) / 1.349 < 1.3


def test_one_shot_against_a_reference(shots, tables, starts):
    truth = ReflectionTable.concatenate([shot.truth for shot in shots[1:]])
    crystal = shots[0].experiment.crystal
    scale = np.concatenate([np.full(len(shot.truth), 1.0 + 0.5 * (k % 3)) for k, shot in enumerate(shots)][1:])
    mean = truth["intensity.true"] / scale
    reference = ReferenceIntensities.build(crystal.space_group, crystal.B.T @ crystal.B, truth["miller_index"], mean,
                                           np.maximum(0.01 * mean, 1.0) ** 2)
    fit = postrefine_shot(starts[0], tables[0], reference, OPTIONS)
    turn = measure_turn(with_fit(starts[0], fit), shots[0].experiment)
    sigma = np.rad2deg(1e-3 * np.sqrt(np.diag(fit.covariance)[:3]))
    assert np.all(np.abs(turn) < 4.0 * sigma)
    assert sigma.max() < 0.005
    assert fit.scale == pytest.approx(1.0, rel=0.05)


def test_a_shot_that_cannot_be_fitted_is_left_as_it_was(starts, tables):
    few = tables[1].select(slice(0, 5))
    run = postrefine_run(starts[:3], ReflectionTable.concatenate([tables[0], few, tables[2]]), OPTIONS, n_cycles=1)
    assert [number for number, _ in run.failures] == [1]
    assert run.experiments[1] == starts[1]
    assert set(run.reflections["id"].tolist()) == {0, 2}


def test_a_run_of_nothing_is_an_error(starts, tables):
    with pytest.raises(XdpError, match="no shot can be post-refined"):
        postrefine_run(starts[:1], tables[0].select(slice(0, 3)), OPTIONS)
