"""Numbers that sum up an integration, by hand-made tables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from xdp.experiment import Experiment
from xdp.integration.results.statistics import compute_i_over_sigma, compute_shell_edges, compute_statistics
from xdp.reflections import Flag, ReflectionTable
from xdp.simulation import make_scan

ALL = int(Flag.INTEGRATED)


def table(n=200, seed=0, **columns):
    """Reflections on ten images, all integrated."""
    rng = np.random.default_rng(seed)
    xyz = rng.uniform([0, 0, 0], [100, 100, 10], (n, 3))
    value = rng.uniform(1, 100, n)
    base = {"d": rng.uniform(1.5, 30, n), "flags": np.full(n, ALL, np.uint64), "xyzcal.px": xyz,
            "xyzobs.px.value": xyz + np.array([0.3, 0.4, 0.0]), "partiality": np.ones(n),
            "background.mean": np.full(n, 2.0),
            "intensity.sum.value": value, "intensity.sum.variance": np.full(n, 4.0),
            "intensity.prf.value": value**2, "intensity.prf.variance": np.full(n, 9.0),
            "profile.correlation": np.full(n, 0.75)}
    return ReflectionTable({**base, **columns})


EXPERIMENT = Experiment(scan=make_scan(10, 0.5))


def test_counts_and_means_over_all():
    n = 200
    flags = np.full(n, ALL, np.uint64)
    flags[:30] = int(Flag.INTEGRATED_SUM | Flag.FAILED_DURING_PROFILE_FITTING)
    flags[30:40] = int(Flag.OVERLOADED | Flag.FAILED_DURING_SUMMATION)
    flags[40:45] |= np.uint64(Flag.IN_POWDER_RING | Flag.BACKGROUND_INCLUDES_BAD_PIXELS)
    partiality = np.where(np.arange(n) < 7, 0.5, 1.0)
    found = compute_statistics(EXPERIMENT, table(flags=flags, partiality=partiality)).overall
    expected = {"n_full": 193, "n_partial": 7, "n_summed": 190, "n_fitted": 160, "n_integrated": 190, "n_overload": 10,
                "n_ice": 5, "n_invalid_bg": 5, "n_invalid_fg": 0, "n_failed_fitting": 30, "n_failed_summation": 10}
    assert {key: found[key] for key in expected} == expected
    assert found["mean_background"] == pytest.approx(2.0)
    assert found["cc_prf"] == pytest.approx(0.75)
    assert found["rmsd_xy"] == pytest.approx(0.5)
    value = table()["intensity.sum.value"]
    assert found["ios_sum"] == pytest.approx(np.delete(value, np.s_[30:40]).mean() / 2.0)


def test_bins_add_up_to_the_whole():
    found = compute_statistics(EXPERIMENT, table())
    for bins in (found.image, found.resolution):
        assert bins["n_summed"].sum() == 200
        assert np.sum(bins["ios_sum"] * bins["n_summed"]) == pytest.approx(found.overall["ios_sum"] * 200)
    assert len(found.image["n_full"]) == 10
    np.testing.assert_array_equal(found.image["bins"], np.arange(11))


def test_a_reflection_belongs_to_the_image_of_its_prediction():
    data = table(3)
    data["xyzcal.px"] = np.array([[0, 0, 0.5], [0, 0, 9.99], [0, 0, 10.2]])
    np.testing.assert_array_equal(compute_statistics(EXPERIMENT, data).image["n_full"], [1, 0, 0, 0, 0, 0, 0, 0, 0, 2])


def test_shells_have_equal_volume_and_hold_both_ends():
    d = np.array([1.5, 2.0, 3.0, 40.0])
    edges = compute_shell_edges(d, 5)
    assert edges[0] <= 1.5 < edges[1]
    assert edges[-1] >= 40.0
    np.testing.assert_allclose(np.diff(edges**-3.0), np.diff(edges**-3.0)[0])


def test_low_and_high_are_the_outer_shells():
    found = compute_statistics(EXPERIMENT, table(), 4)
    assert found.low["dmax"] == pytest.approx(table()["d"].max(), rel=1e-5)
    assert found.high["dmin"] == pytest.approx(table()["d"].min(), rel=1e-5)
    assert found.high["n_full"] == found.resolution["n_full"][0]


def test_correlations_of_values_and_of_ranks():
    found = compute_statistics(EXPERIMENT, table()).overall
    data = table()
    assert found["cc_spearman_sum_prf"] == pytest.approx(1.0)  # the fitted are squares of the summed
    pearson = np.corrcoef(data["intensity.sum.value"], data["intensity.prf.value"])[0, 1]
    assert found["cc_pearson_sum_prf"] == pytest.approx(pearson)
    ties = np.round(data["intensity.sum.value"], -1)
    noisy = compute_statistics(EXPERIMENT, table(**{"intensity.sum.value": ties})).overall
    assert noisy["cc_spearman_sum_prf"] == pytest.approx(spearmanr(ties, data["intensity.prf.value"]).statistic)


def test_what_is_not_there_counts_as_zero():
    data = table()
    for name in ("intensity.prf.value", "intensity.prf.variance", "profile.correlation", "background.mean"):
        del data[name]
    found = compute_statistics(EXPERIMENT, data).overall
    assert (found["ios_prf"], found["cc_prf"], found["mean_background"], found["cc_pearson_sum_prf"]) == (0, 0, 0, 0)


def test_no_reflections_give_zeros():
    found = compute_statistics(EXPERIMENT, table(0))
    assert found.overall["n_full"] == 0
    assert found.image["ios_sum"].tolist() == [0.0] * 10


def test_i_over_sigma_needs_a_variance():
    data = table(3, **{"intensity.sum.variance": np.array([4.0, 0.0, -1.0])})
    np.testing.assert_allclose(compute_i_over_sigma(data, "sum"), [data["intensity.sum.value"][0] / 2, 0, 0])
