"""Data sets and groups of images, chosen and left out by their numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scaling_data import make_table

from xdp.errors import OptionError
from xdp.merging.delta.parts import choose_sets, find_excluded_rows, number_parts, select_sets


@pytest.fixture(scope="module")
def sweeps():
    experiments, table, _ = make_table(n_frames=10, n_sweeps=3, d_min=5.0)
    return experiments, table


def test_groups_of_images_are_numbered_on(sweeps):
    experiments, table = sweeps
    parts = number_parts(experiments, table, 4)
    assert parts.first == (0, 3, 6)
    frame = np.clip(np.floor(table["xyzcal.px"][:, 2]), 0, 9)
    np.testing.assert_array_equal(parts.number, 3 * table["id"] + frame // 4)
    assert parts.describe(4) == "dataset 1 images 5 to 8"
    assert number_parts(experiments, table, None).describe(2) == "dataset 2"
    np.testing.assert_array_equal(number_parts(experiments, table, None).number, table["id"])


def test_selected_sets_have_numbers_of_their_own(sweeps):
    experiments, table = sweeps
    left, rows = select_sets(experiments, table, [0, 2])
    assert [e.identifier for e in left] == ["sweep 0", "sweep 2"]
    assert np.bincount(rows["id"]).tolist() == np.bincount(table["id"])[[0, 2]].tolist()


def test_images_are_left_out(sweeps):
    experiments, table = sweeps
    rows = find_excluded_rows(experiments, table, ["1:3:4", "0:1:1"])
    image = np.floor(table["xyzcal.px"][:, 2]) + 1
    expected = ((table["id"] == 1) & (image >= 3) & (image <= 4)) | ((table["id"] == 0) & (image == 1))
    np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize(("words", "message"), [
    (["3:4"], "there are 3 data sets: write"), (["5:3:4"], "numbered from 0"), (["0:30:40"], "has the images 1 to 10")])
def test_ranges_that_name_nothing_are_refused(sweeps, words, message):
    with pytest.raises(OptionError, match=message):
        find_excluded_rows(*sweeps, words)


@pytest.mark.parametrize(("use", "exclude", "message"), [
    ((1,), (2,), "not both"), ((7,), None, "use_datasets=7"), (None, (0, 1, 2), "leaves no data set"),
    (None, (-1,), "exclude_datasets=-1")])
def test_choices_of_nothing_are_refused(use, exclude, message):
    with pytest.raises(OptionError, match=message):
        choose_sets(3, use, exclude)
