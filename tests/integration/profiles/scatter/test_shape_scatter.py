"""The scatter of shapes is found again from simulated contrasts, and is that of the expectation where nothing is known.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from fitting_data import learn_profiles
from scipy.special import chdtrc

from xdp.integration.profiles._kernels_fit import compute_signal_variance
from xdp.integration.profiles.scatter import shape_scatter
from xdp.integration.profiles.scatter._kernels_contrast import Contrasts, compute_contrasts
from xdp.integration.profiles.scatter.shape_scatter import (
    MOST_REFERENCES,
    TRIALS,
    USUAL,
    ShapeScatter,
    choose_scatter_sample,
    estimate_from_contrasts,
    estimate_scatter,
    make_scatter_report,
)
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

pytestmark = pytest.mark.kernels


def simulate_contrasts(k2, n, seed, background=2.0):
    """Contrasts of `n` reflections with 100 to 10,000 counts, whose shapes scatter with `k2`, one number or (n,)."""
    rng = np.random.default_rng(seed)
    q = np.exp(-0.5 * np.linspace(-3, 3, 80) ** 2)
    q, b = q / q.sum(), np.full(80, background)
    out = Contrasts(np.zeros(n), *np.zeros((3, n, len(TRIALS))))
    for j, (intensity, k) in enumerate(zip(10.0 ** rng.uniform(2, 4, n), np.broadcast_to(k2, n), strict=True)):
        shape = rng.dirichlet(q * (1.0 / k - 1.0)) if k > 0.0 else q
        d = rng.poisson(b + intensity * shape).astype(float)
        out.intensity[j] = (d - b).sum()
        s = np.array([compute_signal_variance(out.intensity[j], trial) for trial in TRIALS])
        found = np.empty((4, len(TRIALS)))
        compute_contrasts(d, b, q, out.intensity[j], s, np.empty((len(d), len(TRIALS))), found)
        out.difference[j], out.counting[j], out.shape[j] = found[:3]
    return out


@pytest.mark.parametrize("k2", [0.0, 0.002, 0.005, 0.02])
def test_the_scatter_is_found_again(k2):
    found = [estimate_from_contrasts(simulate_contrasts(k2, 1500, seed), np.linspace(0.01, 0.2, 1500))
             for seed in range(3)]
    for scatter in found:
        # exact shapes give the least value that is tried; the cut of outliers takes up to 13 % off 0.02
        assert abs(scatter.value - max(k2, TRIALS[0])) < 3.0 * scatter.sigma + 7.0 * k2 ** 2
        assert scatter.sigma < max(0.2 * k2, 4e-4)
        assert not scatter.by_resolution
    # three sets of 1500: known to 4 %
    assert np.mean([scatter.value for scatter in found]) == pytest.approx(k2, rel=0.15, abs=3e-4)


def test_few_reflections_leave_the_expectation():
    few = estimate_from_contrasts(simulate_contrasts(0.02, 3, 1), np.full(3, 0.1))
    assert USUAL / 2 < few.value < 0.02
    assert few.sigma > 0.5 * few.value
    none = estimate_from_contrasts(Contrasts(np.zeros(2), *np.zeros((3, 2, len(TRIALS)))), np.zeros(2))
    assert (none.value, none.n) == (USUAL, 0)


def test_spots_with_zingers_do_not_decide(monkeypatch):
    contrasts, x = simulate_contrasts(0.002, 1500, 5), np.linspace(0.01, 0.2, 1500)
    clean = estimate_from_contrasts(contrasts, x).value
    contrasts.difference[::100] += 0.5 * contrasts.intensity[::100, None]
    # one in a hundred counts no more than 25 variances, and so at most a quarter in all, and weights follow
    assert estimate_from_contrasts(contrasts, x).value < 1.7 * clean
    monkeypatch.setattr("xdp.integration.profiles.scatter.shape_scatter.CUT", 1e9)
    assert estimate_from_contrasts(contrasts, x).value > 4.0 * clean


def test_a_profile_that_is_wrong_for_all_is_no_scatter():
    contrasts = simulate_contrasts(0.002, 1500, 6)
    contrasts.difference[:] += 0.03 * contrasts.intensity[:, None]
    found = estimate_from_contrasts(contrasts, np.linspace(0.01, 0.2, 1500))
    assert found.value == pytest.approx(0.002, abs=0.0005)
    assert [group.offset for group in found.shells] == pytest.approx([0.03] * len(found.shells), abs=0.01)


@pytest.mark.parametrize("freedom", [1, 2, 3, 8, 39])
def test_tail_of_chi_square_is_that_of_scipy(freedom: int):
    for value in (0.0, 1e-6, 0.1, 1.0, 20.0, 150.0):
        expected = chdtrc(freedom, value)
        assert shape_scatter._compute_chi_square_tail(value, freedom) == pytest.approx(expected, rel=1e-12)


def test_shells_that_differ_have_values_of_their_own():
    x = np.linspace(0.01, 0.25, 2400)
    found = estimate_from_contrasts(simulate_contrasts(np.where(x > 0.13, 0.03, 0.002), 2400, 7), x)
    assert found.by_resolution
    s1 = np.array([[0.0, 0.0, np.sqrt(0.02)], [0.0, 0.0, 0.5]])
    low, high = found.compute(s1, np.zeros(3))
    assert low == pytest.approx(0.002, rel=0.4)
    assert high == pytest.approx(0.03, rel=0.4)
    assert "by resolution" in found.describe()


def test_exact_shapes_are_found_in_boxes_and_the_same_each_time(drawn, strong):
    profiles = learn_profiles(drawn, strong)
    found = estimate_scatter(profiles, drawn.table, strong, np.full(len(drawn.table), 100))
    assert found == estimate_scatter(profiles, drawn.table, strong, np.full(len(drawn.table), 100))
    assert found.value < 0.001
    assert found.n == len(drawn.table)


def test_no_reflections_are_no_failure(drawn, strong):
    profiles = learn_profiles(drawn, strong)
    empty = ReflectionTable({"s1": np.zeros((0, 3)), "xyzcal.px": np.zeros((0, 3))}, n_rows=0)
    assert estimate_scatter(profiles, empty, Shoeboxes.empty(), np.zeros(0, np.int64)) == ShapeScatter()


def test_the_sample_is_even_and_limited():
    ids = np.repeat([0, 1], [3 * MOST_REFERENCES, 10])
    chosen = choose_scatter_sample(ids, np.ones(len(ids), bool))
    assert chosen[ids == 0].sum() == MOST_REFERENCES
    assert np.all(chosen[ids == 1])
    assert np.diff(np.flatnonzero(chosen[ids == 0])).tolist() == [3] * (MOST_REFERENCES - 1)
    assert not choose_scatter_sample(np.zeros(4, int), np.zeros(4, bool)).any()


def test_the_table_lists_all_groups(tmp_path):
    scatter = estimate_from_contrasts(simulate_contrasts(0.005, 450, 8), np.linspace(0.01, 0.2, 450))
    report = make_scatter_report({0: scatter})
    kinds = [row[1] for row in report.tables[0].rows]
    assert kinds == ["all", "resolution", "resolution", "intensity", "intensity"]
    report.write(tmp_path / "report.json")
    cell = json.loads((tmp_path / "report.json").read_text())["tables"]["profile.scatter"]["rows"][0]["k2"]
    assert float(cell) == pytest.approx(scatter.value, abs=1e-4)
