"""Spot finding step by step on lazy arrays: the same numbers in whatever chunks, and as in one piece."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from xdp.spotfinding import steps as lazy
from xdp.spotfinding.options import DispersionOptions
from xdp.spotfinding.spots.label import Pixels, label_pixels
from xdp.spotfinding.spots.measure import measure_spots
from xdp.spotfinding.threshold.dispersion import Thresholder

CHUNKS = [(1, 2, 64, 80), (7, 1, 64, 80), (20, 2, 64, 80), (20, 2, 23, 31), (10, 1, 16, 27)]


def stack(dtype="u2") -> tuple[np.ndarray, np.ndarray]:
    """Counts (20, 2, 64, 80) with spots that cross whatever borders chunks may have, and a mask (2, 64, 80)."""
    rng = np.random.default_rng(11)
    counts = rng.poisson(1.5, (20, 2, 64, 80)).astype(float)
    z, y, x = np.mgrid[:20, :64, :80]
    for panel in range(2):
        for _ in range(40):
            spot = ((z - rng.uniform(0, 20)) / 1.2) ** 2 + (y - rng.uniform(0, 64)) ** 2 + (x - rng.uniform(0, 80)) ** 2
            counts[:, panel] += rng.poisson(rng.uniform(20, 300) * np.exp(-spot / 2.5))
    valid = np.ones((2, 64, 80), bool)
    valid[:, 30:34], valid[1, :, 60] = False, False
    return counts.astype(dtype), valid


def as_lazy(counts: np.ndarray, chunks) -> xr.DataArray:
    frames = np.arange(100, 100 + len(counts))
    return xr.DataArray(da.from_array(counts, chunks=chunks), dims=lazy.DIMS, coords={"frame": frames}, name="counts")


def in_one_piece(counts, valid, algorithm, **options) -> np.ndarray:
    found = np.zeros(counts.shape, bool)
    for panel in range(counts.shape[1]):
        finder = Thresholder(counts.shape[2:], valid[panel], options=DispersionOptions(**options), algorithm=algorithm)
        for frame, image in enumerate(counts[:, panel]):
            found[frame, panel] = finder.strong_mask(image)
    return found


@pytest.mark.parametrize("algorithm", ["dispersion", "dispersion_extended"])
@pytest.mark.parametrize("chunks", CHUNKS)
def test_strong_pixels_do_not_depend_on_chunks(chunks, algorithm):
    counts, valid = stack()
    expected = in_one_piece(counts, valid, algorithm, kernel_size=(3, 2))
    found = lazy.strong_pixels(as_lazy(counts, chunks), valid, options=DispersionOptions(kernel_size=(3, 2)),
                               algorithm=algorithm)
    assert expected.sum() > 500
    assert found.dtype == bool
    np.testing.assert_array_equal(found.values, expected)


def test_fractional_counts_are_thresholded_in_whole_frames():
    counts, valid = stack(float)
    counts = counts / 3.7
    expected = in_one_piece(counts, valid, "dispersion_extended")
    found = lazy.strong_pixels(as_lazy(counts, (5, 1, 16, 16)), valid)
    np.testing.assert_array_equal(found.values, expected)


def test_small_panels_end_where_they_end():
    counts, valid = stack()
    valid[1, 50:], valid[1, :, 70:] = False, False
    data = as_lazy(counts, (5, 1, 20, 80))
    data.attrs["panel_shapes"] = ((64, 80), (50, 70))
    found = lazy.strong_pixels(data, valid).values
    expected = in_one_piece(np.ascontiguousarray(counts[:, 1:, :50, :70]), valid[1:, :50, :70], "dispersion_extended")
    np.testing.assert_array_equal(found[:, 1:, :50, :70], expected)
    assert not found[:, 1, 50:].any()


def test_mask_of_each_frame_and_trusted_range():
    counts, valid = stack()
    each = np.broadcast_to(valid, counts.shape).copy()
    each[4:9, :, :20] = False
    found = lazy.strong_pixels(as_lazy(counts, (7, 2, 64, 80)), each, trusted_range=(0, 150)).values
    finder = Thresholder(counts.shape[2:], valid[0], options=DispersionOptions(), algorithm="dispersion_extended",
                         trusted_range=(0, 150))
    for frame in (3, 4, 8, 9):
        np.testing.assert_array_equal(found[frame, 0], finder.strong_mask(counts[frame, 0], each[frame, 0]))
    with pytest.raises(ValueError, match="valid of shape"):
        lazy.strong_pixels(as_lazy(counts, (7, 2, 64, 80)), valid[:, :-1])


@pytest.mark.parametrize("two_d", [False, True])
@pytest.mark.parametrize("chunks", CHUNKS)
def test_labels_and_measurements_do_not_depend_on_chunks(chunks, two_d):
    counts, valid = stack()
    strong = in_one_piece(counts, valid, "dispersion_extended")
    at = np.argwhere(strong)
    labels = label_pixels(*at.T, two_d=two_d)
    expected = np.zeros(counts.shape, np.int32)
    expected[strong] = labels + 1
    found = lazy.label(as_lazy(strong, chunks), two_d=two_d)
    np.testing.assert_array_equal(found.values, expected)

    at[:, 0] += 100
    pixels = Pixels(*at.T.astype(np.int32), counts[strong].astype(float))
    table = lazy.measure(found, as_lazy(counts, (4, 2, 32, 40)), min_size=3)
    assert len(table) > 40
    assert table == measure_spots(pixels, labels, min_size=3).table


def test_a_spot_through_all_chunks_is_one():
    strong = np.zeros((6, 1, 8, 8), bool)
    strong[:, 0, 2, 3] = True
    strong[5, 0, 2, :] = True
    strong[2, 0, 6, 6] = True
    labels = lazy.label(as_lazy(strong, (1, 1, 4, 3))).values
    assert np.unique(labels[strong]).tolist() == [1, 2]
    assert labels[5, 0, 2, 7] == labels[0, 0, 2, 3] == 1


def test_no_strong_pixel_gives_an_empty_table():
    strong = as_lazy(np.zeros((4, 1, 8, 8), bool), (2, 1, 8, 8))
    labels = lazy.label(strong)
    assert not labels.values.any()
    table = lazy.measure(labels, strong.astype("u2"))
    assert len(table) == 0
    assert "xyzobs.px.value" in table


def test_lazy_stays_lazy():
    def refuse(block):
        raise AssertionError("computed too early")

    counts = xr.DataArray(da.zeros((6, 1, 32, 32), chunks=(2, 1, 16, 32), dtype="u2").map_blocks(refuse, dtype="u2"),
                          dims=lazy.DIMS)
    with dask.config.set(scheduler="synchronous"):
        labels = lazy.label(lazy.strong_pixels(counts))
        assert labels.shape == counts.shape
        with pytest.raises(AssertionError, match="too early"):
            labels.compute()
