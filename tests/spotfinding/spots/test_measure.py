"""Measurements against plain NumPy on each spot."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.reflections.flags import Flag
from xdp.spotfinding.spots.label import Pixels, label_pixels
from xdp.spotfinding.spots.measure import find_peak_positions, measure_spots

pytestmark = pytest.mark.kernels


def some_spots(seed=4) -> tuple[Pixels, np.ndarray]:
    rng = np.random.default_rng(seed)
    at = np.argwhere(rng.random((6, 2, 25, 30)) < 0.22).astype(np.int32)
    at[:, 0] += 40
    pixels = Pixels(*at.T, rng.integers(1, 900, len(at)).astype(float))
    return pixels, label_pixels(*pixels[:4])


def test_columns_follow_their_definitions():
    pixels, labels = some_spots()
    result = measure_spots(pixels, labels)
    table = result.table
    assert len(table) == labels.max() + 1 > 100
    boxes = table["shoebox"]
    for k in range(len(table)):
        mine = pixels.select(labels == k)
        x, y, z, v = mine.fast, mine.slow, mine.frame, mine.value
        box = [x.min(), x.max() + 1, y.min(), y.max() + 1, z.min(), z.max() + 1]
        assert table["bbox"][k].tolist() == boxes.bbox[k].tolist() == box
        assert table["panel"][k] == boxes.panel[k] == mine.panel[0]
        assert table["n_signal"][k] == len(v)
        assert table["intensity.sum.value"][k] == table["intensity.sum.variance"][k] == v.sum()
        centres = np.stack([x, y, z], axis=1) + 0.5
        mean = np.average(centres, axis=0, weights=v)
        np.testing.assert_allclose(table["xyzobs.px.value"][k], mean, rtol=1e-13)
        variance = np.full(3, 1 / 12)
        if len(v) > 1:
            variance += (v[:, None] * (centres - mean) ** 2).sum(axis=0) / (v.sum() ** 2 - (v**2).sum())
        np.testing.assert_allclose(table["xyzobs.px.variance"][k], variance, rtol=1e-12)
        data, mask, background = boxes.box(k)
        expected = np.zeros(data.shape)
        expected[z - box[4], y - box[2], x - box[0]] = v
        np.testing.assert_array_equal(data, expected)
        np.testing.assert_array_equal(mask, np.where(expected > 0, 5, 0))
        assert not background.any()
        assert pixels.value[result.first[k]] == v[0]
        brightest = np.unravel_index(np.argmax(data), data.shape)[::-1]
        np.testing.assert_array_equal(find_peak_positions(boxes)[k], np.array(box[::2]) + brightest + 0.5)


def test_flags_and_experiment():
    table = measure_spots(*some_spots()).table
    assert set(table["flags"].tolist()) == {int(Flag.STRONG)}
    assert set(table["id"].tolist()) == {0}


def test_small_and_large_spots_are_left_out_and_counted():
    pixels, labels = some_spots()
    sizes = np.bincount(labels)
    result = measure_spots(pixels, labels, min_size=3, max_size=6)
    assert result.n_too_small == np.count_nonzero(sizes < 3)
    assert result.n_too_large == np.count_nonzero(sizes > 6)
    assert result.table["n_signal"].tolist() == sizes[(sizes >= 3) & (sizes <= 6)].tolist()
    whole = measure_spots(pixels, labels)
    kept = (sizes >= 3) & (sizes <= 6)
    assert result.table == whole.table.select(kept)
    np.testing.assert_array_equal(result.first, whole.first[kept])


def test_nothing_gives_the_same_columns():
    full = measure_spots(*some_spots()).table
    empty = measure_spots(Pixels.empty(), np.zeros(0, np.int32)).table
    assert len(empty) == 0
    assert set(empty) == set(full)
    assert all(empty[name].dtype == full[name].dtype for name in empty if name != "shoebox")
    assert find_peak_positions(empty["shoebox"]).shape == (0, 3)


def one_spot(values) -> Pixels:
    n = len(values)
    zeros = np.zeros(n, np.int32)
    return Pixels(zeros, zeros, zeros, np.arange(n, dtype=np.int32), np.array(values, float))


@pytest.mark.parametrize("values", [[-3.0, 1.0], [0.0, 0.0]])
def test_a_spot_without_counts_lies_in_the_middle_of_its_box(values):
    """As in DIALS: no centroid, no variance."""
    table = measure_spots(one_spot(values), np.zeros(2, int)).table
    assert table["xyzobs.px.value"].tolist() == [[1.0, 0.5, 0.5]]
    assert table["xyzobs.px.variance"].tolist() == [[0.0, 0.0, 0.0]]
    assert table["intensity.sum.variance"].tolist() == [abs(sum(values))]


def test_overloads_are_flagged_and_not_counted():
    pixels = one_spot([5.0, 200.0, 7.0])
    table = measure_spots(pixels, np.zeros(3, int), saturation=np.array([100.0])).table
    assert table["flags"].tolist() == [int(Flag.STRONG | Flag.OVERLOADED)]
    assert table["n_signal"].tolist() == [2]
    assert table["shoebox"].mask.tolist() == [5, 4, 5]
    assert table["intensity.sum.value"].tolist() == [212.0]


def test_sums_are_single_precision_as_in_dials():
    table = measure_spots(one_spot([2.0**24, 1.0, 1.0]), np.zeros(3, int)).table
    assert table["intensity.sum.value"].tolist() == [2.0**24]
