"""Choice of reflections for export, by hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.exporting.options import MtzOptions
from xdp.exporting.selection import resolve_intensity, select_for_export
from xdp.reflections import Flag, ReflectionTable

BOTH = ("sum", "profile")


def flagged(table, rows, flags):
    """The table with the flags of some rows replaced."""
    column = table["flags"].copy()
    column[rows] = int(flags)
    return table.with_columns(flags=column)


def test_auto_is_what_there_is(make_integrated):
    table = make_integrated()
    assert resolve_intensity(table, ("auto",)) == BOTH
    del table["intensity.prf.value"]
    assert resolve_intensity(table, ("auto",)) == ("sum",)
    scaled = table.with_columns(**{"intensity.scale.value": table["intensity.sum.value"],
                                   "inverse_scale_factor": np.ones(len(table))})
    assert resolve_intensity(scaled, ("auto",)) == ("scale",)


@pytest.mark.parametrize("wanted", [("scale",), ("auto", "sum"), ()])
def test_intensities_that_are_not_there_are_an_error(make_integrated, wanted):
    with pytest.raises(XdpError, match="kinds profile, sum"):
        resolve_intensity(make_integrated(), wanted)


def test_spots_without_intensities_are_an_error():
    with pytest.raises(XdpError, match=r"integrated\.refl"):
        resolve_intensity(ReflectionTable({"id": np.zeros(3, np.int32)}), ("auto",))


def test_only_reflections_integrated_both_ways_stay(make_integrated):
    table = flagged(flagged(make_integrated(), [0], Flag.INTEGRATED_SUM), [1], Flag.INTEGRATED_PRF)
    assert len(select_for_export(table, BOTH, MtzOptions())) == len(table) - 2
    assert len(select_for_export(table, ("sum",), MtzOptions())) == len(table) - 1
    assert len(select_for_export(table, ("profile",), MtzOptions())) == len(table) - 1


def test_corrections_are_applied_to_values_and_variances(make_integrated):
    table = make_integrated()
    table["partiality"] = np.full(len(table), 0.5)
    found = select_for_export(table, BOTH, MtzOptions(combine_partials=False))
    factor = table["lp"] / table["qe"]
    np.testing.assert_allclose(found["intensity.prf.value"], table["intensity.prf.value"] * factor)
    np.testing.assert_allclose(found["intensity.sum.value"], table["intensity.sum.value"] * factor / 0.5)
    np.testing.assert_allclose(found["intensity.sum.variance"], table["intensity.sum.variance"] * (factor / 0.5) ** 2)


def test_only_the_chosen_kind_is_left(make_integrated):
    found = select_for_export(make_integrated(), ("profile",), MtzOptions())
    assert "intensity.prf.value" in found
    assert "intensity.sum.value" not in found


def test_parts_are_joined_to_what_all_recorded(make_integrated):
    """Two parts, a quarter and three quarters of a reflection of 400 counts, lp = qe = 1."""
    table = make_integrated(4)
    table["lp"] = table["qe"] = np.ones(4)
    table["partiality"] = np.array([0.25, 1.0, 0.75, 1.0])
    table["partial_id"] = np.array([7, 8, 7, 9], np.uint64)
    table["intensity.sum.value"] = np.array([110.0, 50.0, 290.0, 60.0])
    table["intensity.sum.variance"] = np.array([110.0, 50.0, 290.0, 60.0])
    table["intensity.prf.value"] = np.array([300.0, 50.0, 420.0, 60.0])
    table["intensity.prf.variance"] = np.array([300.0, 50.0, 100.0, 60.0])
    found = select_for_export(table, BOTH, MtzOptions())
    assert len(found) == 3
    assert found["fractioncalc"][0] == 1.0
    assert found["intensity.sum.value"][0] == pytest.approx(400.0)
    assert found["intensity.sum.variance"][0] == pytest.approx(400.0)
    # Weights 1/300 and 1/100: (300 / 300 + 420 / 100) / (1 / 300 + 1 / 100) = 390, variance 75.
    assert found["intensity.prf.value"][0] == pytest.approx(390.0)
    assert found["intensity.prf.variance"][0] == pytest.approx(75.0)


def test_parts_of_two_experiments_are_not_joined(make_integrated):
    table = make_integrated(1, n_experiments=2)
    table["partiality"] = np.array([0.5, 0.5])
    table["partial_id"] = np.zeros(2, np.uint64)
    assert len(select_for_export(table, BOTH, MtzOptions())) == 2
    table["id"] = np.zeros(2, np.int32)
    assert len(select_for_export(table, BOTH, MtzOptions())) == 1
    assert len(select_for_export(table, BOTH, MtzOptions(combine_partials=False))) == 2


def test_each_limit_takes_its_reflections(make_integrated):
    table = make_integrated()
    n = len(table)
    table["partiality"][3] = 0.3
    assert len(select_for_export(table, BOTH, MtzOptions())) == n - 1
    assert len(select_for_export(table, BOTH, MtzOptions(partiality_threshold=0.2))) == n
    finer = (table["d"] <= 10) | (np.arange(n) == 3)
    assert len(select_for_export(table, BOTH, MtzOptions(d_min=10.0))) == np.sum(~finer)
    icy = flagged(table, [0, 1], Flag.INTEGRATED | Flag.IN_POWDER_RING)
    assert len(select_for_export(icy, BOTH, MtzOptions(filter_ice_rings=True))) == n - 3
    assert len(select_for_export(icy, BOTH, MtzOptions())) == n - 1


def test_impossible_i_over_sigma_is_left_out(make_integrated):
    table = make_integrated()
    table["intensity.prf.value"][5] = -10.0 * np.sqrt(table["intensity.prf.variance"][5])
    assert len(select_for_export(table, BOTH, MtzOptions())) == len(table) - 1
    assert len(select_for_export(table, BOTH, MtzOptions(min_isigi=-11.0))) == len(table)
    assert len(select_for_export(table, BOTH, MtzOptions(min_isigi=None))) == len(table)


def test_no_variance_or_efficiency_no_reflection(make_integrated):
    table = make_integrated()
    table["intensity.sum.variance"][0] = 0.0
    table["qe"][1] = 0.0
    assert len(select_for_export(table, BOTH, MtzOptions())) == len(table) - 2


def test_without_fitted_reflections_sums_go_alone(make_integrated, caplog):
    table = flagged(make_integrated(), slice(None), Flag.INTEGRATED_SUM)
    found = select_for_export(table, BOTH, MtzOptions())
    assert "intensity.prf.value" not in found
    assert "without" in caplog.text
    with pytest.raises(XdpError, match="intensity=sum"):
        select_for_export(table, ("profile",), MtzOptions())


def test_nothing_left_is_an_error(make_integrated):
    with pytest.raises(XdpError, match="no reflection is left"):
        select_for_export(make_integrated(), BOTH, MtzOptions(d_min=1000.0))
    with pytest.raises(XdpError, match="partiality_threshold"):
        select_for_export(make_integrated(), BOTH, MtzOptions(min_isigi=1e6))


def test_the_input_is_not_changed(make_integrated):
    table, same = make_integrated(), make_integrated()
    select_for_export(table, BOTH, MtzOptions())
    assert table == same


@pytest.mark.parametrize("column", ["intensity.sum.value", "intensity.sum.variance"])
def test_numbers_beyond_single_precision_are_left_out(make_integrated, column):
    """MTZ would hold infinity."""
    table = make_integrated()
    n = len(select_for_export(table, ("sum",), MtzOptions()))
    values = np.array(table[column])
    values[0] = 1e80
    kept = select_for_export(table.with_columns(**{column: values}), ("sum",), MtzOptions())
    assert len(kept) == n - 1
