"""Integration of labelled spots against a loop over pixels."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.laue.masks import draw_raw_masks, label_mask
from xdp.laue.spots import (
    COLUMNS,
    Maps,
    estimate_background_gain,
    integrate_spots,
    join_spot_tables,
    locate_frame_spots,
)


@pytest.fixture
def spot_maps() -> Maps:
    rng = np.random.default_rng(1)
    avg = rng.uniform(5, 50, 600)
    return Maps(avg, avg + 1, rng.uniform(1, 9, 600), rng.uniform(0, 1, 600), 2.0)


def test_every_column_of_every_label(spot_maps):
    rng = np.random.default_rng(2)
    image = rng.integers(0, 500, (20, 30)).astype(np.uint16)
    mask = rng.random((20, 30)) < 0.4
    bits = draw_raw_masks(mask[None].astype(np.uint8), np.ones(mask.shape), np.zeros(mask.shape), 1.0)[0]
    labels = label_mask(bits, 30, 1)
    result = integrate_spots(image, labels, spot_maps)
    picture, flat = labels.make_image(image.shape).ravel(), image.ravel().astype(float)
    assert len(result["I"]) == labels.n_labels > 10
    for i in range(labels.n_labels):
        at = np.flatnonzero(picture == i + 1)
        corrected = np.sum(flat[at] - spot_maps.avg_corrected[at])
        common = spot_maps.mean_variance[at].sum()
        variance = spot_maps.variance[at].sum() + 2.0 * max(corrected, 0) + common
        # sums in another order: rounding only
        assert result["I"][i] == pytest.approx(np.sum(flat[at] - spot_maps.avg[at]), rel=1e-10, abs=1e-9)
        assert result["I_corrected"][i] == pytest.approx(corrected, rel=1e-10, abs=1e-9)
        assert result["sigma_I"][i] == pytest.approx(np.sqrt(variance), rel=1e-12)
        assert result["background_variance"][i] == pytest.approx(common, rel=1e-12)
        brightest = at[np.argmax(flat[at])]
        assert result["XY"][i].tolist() == [brightest // 30, brightest % 30]
        assert result["n_pixels"][i] == len(at)


def test_join_sorts_by_frame_and_label_and_keeps_columns_without_spots():
    empty = join_spot_tables([])
    assert {name: column.dtype for name, column in empty.items()} == {n: np.dtype(t) for n, (t, _) in COLUMNS.items()}
    parts = []
    for frame, labels in ((3, [1, 2]), (1, [1])):
        part = {name: np.zeros((len(labels), *shape), kind) for name, (kind, shape) in COLUMNS.items()}
        part["frame"][:], part["label"][:] = frame, labels
        parts.append(part)
    table = join_spot_tables(parts)
    assert table["frame"].tolist() == [1, 3, 3]
    assert table["label"].tolist() == [1, 1, 2]
    assert locate_frame_spots(table["frame"], 5).tolist() == [[0, 0], [0, 1], [1, 1], [1, 3], [3, 3]]


def test_gain_of_counting_photons():
    rng = np.random.default_rng(0)
    values = 3.0 * rng.poisson(40, (200, 5000)) + 10
    stats = {"avg_corrected": values.mean(axis=0), "std_corrected": values.std(axis=0, ddof=1)}
    # 5000 variances of 200 values: their median scatters by 10 % / sqrt(5000), and chi-square's is 0.3 % low
    assert estimate_background_gain(stats, 10.0) == pytest.approx(3.0, rel=0.02)
    assert estimate_background_gain({"avg_corrected": np.zeros(3), "std_corrected": np.zeros(3)}, 0.0) == 1.0
