"""What is scaled, its corrections, and variances taken apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scaling_data import make_table

from xdp.errors import XdpError
from xdp.reflections.flags import Flag
from xdp.scaling.observations import choose_intensities, gather_observations, split_variance
from xdp.scaling.options import ScaleOptions

SMALL = {"n_frames": 40, "d_min": 3.5}


def test_observations_stand_by_reflection_and_mate():
    experiments, table, truth = make_table(**SMALL)
    seen, excluded = gather_observations(experiments, table, ScaleOptions())
    assert not excluded.any()
    assert sorted(seen.row) == list(range(len(table)))
    # within a group the true intensity is the same; mates apart differ
    for start, same in ((seen.start_apart, True), (seen.start, False)):
        spread = [np.ptp(truth.intensity[seen.row[a:b]]) for a, b in itertools.pairwise(start)]
        assert (max(spread) == 0.0) == same
    # lp of 0.5 is applied, to variances by its square
    np.testing.assert_allclose(seen.intensity, 0.5 * table["intensity.sum.value"][seen.row])
    np.testing.assert_allclose(seen.counting, 0.5, rtol=0.1)


def test_limits_and_bad_rows_are_flagged():
    experiments, table, _ = make_table(**SMALL)
    part, flags = np.ones(len(table)), np.asarray(table["flags"]).copy()
    part[:5], flags[5:8] = 0.2, 0
    changed = table.with_columns(partiality=part, flags=flags)
    _, excluded = gather_observations(experiments, changed, ScaleOptions(cut_data={"d_min": 4.0}))
    fine = table["d"] < 4.0
    assert np.all(excluded[fine] == int(Flag.USER_EXCLUDED_IN_SCALING))
    assert np.all(excluded[:8][~fine[:8]] == int(Flag.EXCLUDED_FOR_SCALING))
    assert not excluded[8:][~fine[8:]].any()


def test_nothing_left_is_an_error():
    experiments, table, _ = make_table(**SMALL)
    with pytest.raises(XdpError, match=r"none of .* can be scaled"):
        gather_observations(experiments, table, ScaleOptions(cut_data={"d_max": 0.1}))


def test_fitted_intensities_come_before_sums_where_they_succeeded():
    _, table, _ = make_table(**SMALL)
    flags = np.asarray(table["flags"]).copy()
    flags[::2] |= np.uint64(Flag.INTEGRATED_PRF)
    both = table.with_columns(flags=flags, **{
        "intensity.prf.value": np.full(len(table), 7.0), "intensity.prf.variance": np.full(len(table), 2.0)})
    intensity, variance = choose_intensities(both, "profile")
    assert np.all(intensity[::2] == 7.0)
    assert np.all(variance[::2] == 2.0)
    assert np.array_equal(intensity[1::2], table["intensity.sum.value"][1::2])
    assert np.array_equal(choose_intensities(both, "sum")[0], table["intensity.sum.value"])


def test_corrections_that_overflow_are_left_out_without_a_warning():
    experiments, table, _ = make_table(**SMALL)
    lp, qe = np.array(table["lp"]), np.ones(len(table))
    lp[0], qe[1], lp[2], qe[2] = 1e300, 0.0, 1e200, 1e-200
    _, excluded = gather_observations(experiments, table.with_columns(lp=lp, qe=qe), ScaleOptions())
    assert np.flatnonzero(excluded).tolist() == [0, 1, 2]


@pytest.mark.parametrize("gain", [0.5, 1.0, 4.0])
def test_the_gain_is_the_slope_of_variances(gain):
    rng = np.random.default_rng(3)
    J, background = rng.exponential(300.0, 4000), 60.0
    counts, behind = rng.poisson(J + background), rng.poisson(3 * background, 4000) / 3
    intensity, variance = gain * (counts - behind), gain**2 * (counts + behind / 3)
    rest, found = split_variance(intensity, variance, np.full(4000, 2.0))
    # medians of twenty bins of 200 have 8 % of scatter each
    np.testing.assert_allclose(found, gain, rtol=0.1)
    assert np.median(rest) == pytest.approx(gain**2 * background * 4 / 3, rel=0.1)
    assert np.all(rest > 0.0)


def test_values_that_overflow_are_left_out_without_a_warning():
    experiments, table, _ = make_table(**SMALL)
    value, variance, part = (np.array(table.get(name, np.ones(len(table)))) for name in (
        "intensity.sum.value", "intensity.sum.variance", "partiality"))
    value[0], variance[1], value[2], part[2] = 1e300, np.inf, 1e200, 0.5
    part[0] = 1e-300
    _, excluded = gather_observations(experiments, table.with_columns(**{
        "intensity.sum.value": value, "intensity.sum.variance": variance, "partiality": part}), ScaleOptions(
            cut_data={"partiality_cutoff": 0.0}))
    assert np.flatnonzero(excluded).tolist() == [0, 1, 2]  # the square of the last is no number


def test_an_index_that_no_crystal_gives_is_named():
    experiments, table, _ = make_table(**SMALL)
    hkl = np.array(table["miller_index"])
    hkl[3] = (0, 0, 2**31 - 1)
    with pytest.raises(XdpError, match="a Miller index of 2147483647 is too large"):
        gather_observations(experiments, table.with_columns(miller_index=hkl), ScaleOptions())
