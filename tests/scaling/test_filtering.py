"""Scaling without images, without data sets, and without what lowers CC1/2."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scaling_data import make_table

import xdp
from xdp.errors import OptionError
from xdp.scaling.filtering import FilterRound, write_filter_record

KEEP_OUTLIERS = {"scaling_options": {"outlier_zmax": 1e6}}


def spoil(experiments, table, number, first, last):
    """Deal out the intensities of some images anew."""
    frame = np.floor(table["xyzcal.px"][:, 2])
    rows = np.flatnonzero((table["id"] == number) & (frame >= first) & (frame < last))
    value = table["intensity.sum.value"].copy()
    value[rows] = np.random.default_rng(1).permutation(value[rows])
    return experiments, table.with_columns(**{"intensity.sum.value": value}), rows


@pytest.fixture(scope="module")
def sweeps():
    experiments, table, _ = make_table(n_frames=20, n_sweeps=6, d_min=4.0)
    return experiments, table


def test_excluded_images_are_as_if_they_had_not_been_measured(sweeps):
    experiments, table = sweeps
    found = xdp.scale(experiments, table, exclude_images=("0:3:6",))
    image = np.floor(table["xyzcal.px"][:, 2]) + 1
    out = (table["id"] == 0) & (image >= 3) & (image <= 6)
    assert found.reflections.flags(xdp.Flag.USER_EXCLUDED_IN_SCALING)[out].all()
    assert not found.reflections.any_flags(xdp.Flag.SCALED)[out].any()
    alone = xdp.scale(experiments, table.select(~out))
    for name in ("inverse_scale_factor", "intensity.scale.variance", "flags"):
        np.testing.assert_array_equal(found.reflections[name][~out], alone.reflections[name])
    np.testing.assert_array_equal(found.reflections["miller_index"], table["miller_index"])
    np.testing.assert_array_equal(found.reflections["id"][found.seen.row], found.seen.sweep)


def test_data_sets_are_chosen_by_number(sweeps):
    one = xdp.scale(*sweeps, dataset_selection={"use_datasets": (1, 3)})
    other = xdp.scale(*sweeps, dataset_selection={"exclude_datasets": (0, 2, 4, 5)})
    assert [e.identifier for e in one.experiments] == ["sweep 1", "sweep 3"]
    assert one.reflections == other.reflections


def test_filtering_leaves_out_bad_images_and_scales_anew(sweeps):
    experiments, table, rows = spoil(*sweeps, 2, 4, 8)
    filtering = {"method": "deltacchalf", "deltacchalf": {"mode": "image_group", "group_size": 4}}
    found = xdp.scale(experiments, table, filtering=filtering, **KEEP_OUTLIERS)
    assert found.rounds[0].removed == ("dataset 2 images 5 to 8",)
    assert found.rounds[-1].removed == ()
    assert found.rounds[-1].cc_half > found.rounds[0].cc_half
    out = found.reflections.flags(xdp.Flag.USER_EXCLUDED_IN_SCALING)
    np.testing.assert_array_equal(np.flatnonzero(out), rows)


def test_limits_keep_what_would_cost_too_much(sweeps):
    experiments, table, _ = spoil(*sweeps, 2, 0, 20)
    limits = {"stdcutoff": 1.9, "max_cycles": 2, "max_percent_removed": 30.0}
    bad = xdp.scale(experiments, table, filtering={"method": "deltacchalf", "deltacchalf": limits}, **KEEP_OUTLIERS)
    assert [e.identifier for e in bad.experiments] == [f"sweep {k}" for k in (0, 1, 3, 4, 5)]
    assert bad.rounds[0].percent_removed == pytest.approx(100.0 * np.mean(table["id"] == 2))
    for limit in ({"max_percent_removed": 10.0}, {"min_completeness": 100.0}):
        kept = xdp.scale(experiments, table, filtering={"method": "deltacchalf", "deltacchalf": limits | limit},
                         **KEEP_OUTLIERS)
        assert len(kept.experiments) == 6


def test_leaving_out_everything_is_refused(sweeps):
    experiments, table = sweeps
    with pytest.raises(OptionError, match="leaves no reflection"):
        xdp.scale(experiments, table, exclude_images=tuple(f"{k}:1:20" for k in range(6)))


def test_the_record_is_json(tmp_path):
    write_filter_record(tmp_path / "r.json", [FilterRound(0.9, ("dataset 1",), (-0.1,), 5, 2.0)])
    assert json.loads((tmp_path / "r.json").read_text())["cycles"]["1"]["removed"] == ["dataset 1"]
