"""Fitted beside summed intensities: honest ratios, silence where fits are right, and the cause named where not."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from agreement_data import BENEATH, N_PIXELS, draw_intensities, make_experiments, make_table, scale_fits

from xdp.integration.results.agreement import Intensities, compare_intensities, judge_fits
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable


def judge(table, caplog, experiments=None):
    """The report, and the warnings."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        report = judge_fits(experiments or make_experiments(), table)
    return report, [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def test_ratios_and_errors_are_honest():
    rng = np.random.default_rng(3)
    pulls = []
    for _ in range(200):
        fitted, summed, _ = draw_intensities(rng.exponential(60.0, 200), rng)
        given = Intensities(0.9 * fitted, summed, 1.0 + 0.5 * BENEATH * N_PIXELS + 0.05 * np.maximum(fitted, 0.0))
        ratio, sigma = compare_intensities(given)
        pulls.append((ratio - 0.9) / sigma)
    # 200 of them: the width is known to 5 %, the mean to 0.07
    assert np.std(pulls) == pytest.approx(1.0, abs=0.17)
    assert abs(np.mean(pulls)) < 0.3


def test_choosing_by_the_fit_shifts_no_ratio():
    """The weak of many reflections of one intensity are weak by chance: their sums are as low as their fits."""
    fitted, summed, _ = draw_intensities(np.full(20_000, 50.0), np.random.default_rng(4))
    low = fitted < np.median(fitted)
    ratio, _ = compare_intensities(Intensities(fitted[low], summed[low], np.full(low.sum(), 150.0)))
    assert abs(ratio - 1.0) < 0.02
    by_sum = summed < np.median(summed)
    biased, _ = compare_intensities(Intensities(fitted[by_sum], summed[by_sum], np.full(by_sum.sum(), 150.0)))
    assert biased > 1.1


def test_an_outlier_does_not_decide():
    fitted, summed, _ = draw_intensities(np.full(300, 200.0), np.random.default_rng(5))
    summed[7] *= 20.0
    assert compare_intensities(Intensities(fitted, summed, np.full(300, 150.0)))[0] == pytest.approx(1.0, abs=0.03)


def test_sums_of_nothing_say_nothing():
    assert compare_intensities(Intensities(np.zeros(3), np.zeros(3), np.ones(3))) == (1.0, np.inf)


@pytest.mark.parametrize("seed", range(5))
def test_right_fits_are_met_with_silence(caplog, seed):
    report, warnings = judge(make_table(seed=seed), caplog)
    assert warnings == []
    assert {row[1] for row in report.tables[0].rows} == {"all", "resolution", "I/sigma", "place", "image"}
    assert not any(row[-1] for row in report.tables[0].rows)


def test_a_bias_by_resolution_is_named_once_and_put_in_the_report(caplog, tmp_path):
    table = make_table()
    table = scale_fits(table, np.where(table["d"] < 2.1, 0.85, 1.0))
    report, warnings = judge(table, caplog)
    # weak reflections lie at fine resolution: they are off too, and explained by it
    assert len(warnings) == 1
    assert "% below summed ones beyond 2.0" in warnings[0] or "% below summed ones beyond 2.1" in warnings[0]
    assert float(warnings[0].split("are ")[1].split(" +-")[0]) == pytest.approx(15.0, abs=3.0)
    report.write(tmp_path / "report.json")
    rows = json.loads((tmp_path / "report.json").read_text())["tables"]["integration.agreement.summary"]["rows"]
    assert [row["off"] for row in rows if row["by"] == "resolution"][-2] == "yes"


def test_a_slope_is_named_where_no_group_is_off(caplog):
    table = make_table(20_000)
    z = table["xyzcal.px"][:, 2] / 60.0
    _, warnings = judge(scale_fits(table, 1.0 + 0.058 * (z - 0.5)), caplog)
    assert len(warnings) == 1
    assert "rise by 5." in warnings[0]
    assert "image 1 to 8" in warnings[0]


def test_images_and_places_are_named(caplog):
    table = make_table(8000)
    x, y, z = table["xyzcal.px"].T
    _, warnings = judge(scale_fits(table, np.where(z < 15, 1.1, 1.0)), caplog)
    assert len(warnings) == 1
    assert "above summed ones on images 1 to 1" in warnings[0]
    _, warnings = judge(scale_fits(table, np.where((x > 600) & (y < 300), 0.9, 1.0)), caplog)
    assert len(warnings) == 1
    assert "at fast 600 to 900, slow 0 to 300 px" in warnings[0]


def test_strong_reflections_are_named(caplog):
    table = make_table(8000)
    snr = table["intensity.prf.value"] / np.sqrt(table["intensity.prf.variance"])
    _, warnings = judge(scale_fits(table, np.where(snr > np.quantile(snr, 0.7), 0.94, 1.0)), caplog)
    assert "I/sigma" in warnings[0]


def test_a_bias_of_all_is_named(caplog):
    _, warnings = judge(scale_fits(make_table(), 0.9), caplog)
    assert len(warnings) == 1
    assert "% below summed ones, all together" in warnings[0]


def test_panels_are_named(caplog):
    table = make_table(6000)
    panel = np.arange(6000) % 20
    table = scale_fits(table.with_columns(panel=panel.astype(np.uint64)), np.where(panel < 4, 0.8, 1.0))
    report, warnings = judge(table, caplog, make_experiments(20))
    assert "at panels 0 to 2" in warnings[0]
    groups = [row[2] for row in report.tables[0].rows if row[1] == "place"]
    assert (groups[0], groups[-1]) == ("panels 0 to 2", "panels 18 to 19")


@pytest.mark.parametrize("n", [0, 1, 199])
def test_few_reflections_are_told_in_a_line(caplog, n):
    report, warnings = judge(make_table(400).select(np.arange(n)), caplog)
    assert (report.tables, warnings) == ((), [])
    assert n == 0 or "200 are needed" in caplog.records[-1].getMessage()


def test_one_image_and_one_resolution_are_no_failure(caplog):
    table = make_table(300, n_frames=1).with_columns(d=np.full(300, 2.0))
    report, warnings = judge(table, caplog, make_experiments(n_frames=1))
    assert warnings == []
    assert {row[1] for row in report.tables[0].rows} == {"all", "I/sigma"}


def test_groups_without_signal_have_no_ratio(caplog):
    """Beyond the end of the diffraction fits of nothing are not those of sums, and nobody is to be warned of them."""
    rng, table = np.random.default_rng(8), make_table(4000)
    far = table["d"] < 2.1
    fitted, summed, _ = draw_intensities(np.zeros(far.sum()), rng)
    columns = {name: table[name].copy() for name in ("intensity.prf.value", "intensity.sum.value")}
    columns["intensity.prf.value"][far], columns["intensity.sum.value"][far] = 0.5 * fitted, summed
    report, warnings = judge(table.with_columns(**columns), caplog)
    assert warnings == []
    shells = [row for row in report.tables[0].rows if row[1] == "resolution"]
    assert (shells[-2][4], shells[0][4][0]) == ("", "1")


def test_without_fits_there_is_no_table(caplog):
    table = make_table(400)
    flags = np.full(400, int(Flag.INTEGRATED_SUM), np.uint64)
    assert judge(table.with_columns(flags=flags), caplog)[0].tables == ()
    stills = ReflectionTable({"id": np.zeros(2, np.int32), "flags": flags[:2]})
    assert judge(stills, caplog)[0].tables == ()
