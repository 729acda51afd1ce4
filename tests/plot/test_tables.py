"""What plots need of a table."""

from __future__ import annotations

import numpy as np
import pytest
from report_data import make_clean, make_indexed

from xdp.plot.tables import (
    bin_frames,
    find_extent,
    find_frames,
    find_resolution,
    find_rows_with_index,
    find_used,
    place_on_detector,
)
from xdp.reflections.table import ReflectionTable

pytestmark = pytest.mark.kernels


def test_resolution_is_the_same_from_the_detector_and_from_the_column():
    experiments, table = make_indexed()
    by_place = find_resolution(make_clean()[1], make_clean()[0])
    by_column = find_resolution(table, experiments)
    # The models were refined in between.
    np.testing.assert_allclose(np.sort(by_place), np.sort(by_column), rtol=0.01)
    assert find_resolution(ReflectionTable({"panel": [0]}), None) is None


def test_frames_of_stills_are_the_numbers_of_their_experiments():
    table = ReflectionTable({"xyzobs.px.value": np.full((3, 3), 0.5), "id": [0, 1, 4]})
    assert find_frames(table, "xyzobs.px.value").tolist() == [0.5, 1.5, 4.5]


def test_the_extent_is_that_of_the_scan():
    experiments, table = make_clean()
    part = table.select(np.flatnonzero(table["xyzobs.px.value"][:, 2] < 30))
    assert find_extent(part, experiments) == (0, 60)
    assert find_extent(part, None)[1] == 30


def test_each_spot_has_a_bin_and_what_has_no_place_none():
    experiments, table = make_clean()
    width, middles, index = bin_frames(table, experiments, "xyzobs.px.value")
    assert (width, len(middles)) == (1, 60)
    assert index.min() >= 0
    assert index.max() <= 59
    lost = table.with_columns(**{"xyzobs.px.value": np.full((len(table), 3), np.nan)})
    assert (bin_frames(lost, experiments, "xyzobs.px.value")[2] == -1).all()


def test_indices_and_use_are_told():
    table = make_indexed()[1]
    assert find_rows_with_index(table).sum() == (np.abs(table["miller_index"]).sum(axis=1) > 0).sum()
    assert find_used(table).sum() <= find_rows_with_index(table).sum()
    assert not find_rows_with_index(ReflectionTable({"id": [0]})).any()


def test_places_on_one_panel_are_its_pixels():
    experiments, table = make_clean()
    assert (place_on_detector(table, experiments, "xyzobs.px.value") == table["xyzobs.px.value"][:, :2]).all()
