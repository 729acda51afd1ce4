"""Labels against scipy's dense labelling, and seams of chunks anywhere."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from xdp.spotfinding.spots.label import Pixels, SeamJoiner, count_component_pixels, is_open, label_pixels

pytestmark = pytest.mark.kernels


def random_pixels(seed=0, shape=(9, 2, 30, 40), fraction=0.3) -> tuple[np.ndarray, Pixels]:
    mask = np.random.default_rng(seed).random(shape) < fraction
    at = np.argwhere(mask).astype(np.int32)
    return mask, Pixels(*at.T, np.arange(len(at), dtype=float))


def neighbours(two_d: bool) -> np.ndarray:
    """Six neighbours along (frame, slow, fast), none along panel."""
    structure = np.zeros((3, 3, 3, 3), bool)
    structure[1, 1, 1, :] = structure[1, 1, :, 1] = True
    structure[:, 1, 1, 1] = [not two_d, True, not two_d]
    return structure


@pytest.mark.parametrize("two_d", [False, True])
@pytest.mark.parametrize("fraction", [0.02, 0.3, 0.6, 1.0])
def test_labels_are_those_of_dense_labelling(two_d, fraction):
    mask, pixels = random_pixels(fraction=fraction)
    dense, count = ndimage.label(mask, neighbours(two_d))
    labels = label_pixels(*pixels[:4], two_d=two_d)
    assert labels.max() + 1 == count
    pairs = np.unique(np.stack([labels, dense[mask]]), axis=1)
    assert pairs.shape[1] == count


def test_labels_are_numbered_by_their_first_pixels():
    _, pixels = random_pixels()
    labels = label_pixels(*pixels[:4])
    first = np.unique(labels, return_index=True)[1]
    assert np.all(np.diff(first) > 0)
    np.testing.assert_array_equal(count_component_pixels(labels), np.bincount(labels))


def test_rows_panels_and_distant_frames_do_not_touch():
    frame, panel = [0, 0, 0, 2], [0, 0, 1, 1]
    slow, fast = [0, 1, 0, 0], [9, 0, 0, 0]
    assert label_pixels(*(np.array(c) for c in (frame, panel, slow, fast))).tolist() == [0, 1, 2, 3]


def test_pixels_out_of_order_are_refused():
    column = np.zeros(2, int)
    with pytest.raises(ValueError, match="pixel 1 does not"):
        label_pixels(column, column, column, column)
    with pytest.raises(ValueError, match="ascend"):
        label_pixels(np.array([3, 2]), column, column, column)


def test_nothing_has_no_labels():
    assert len(label_pixels(*Pixels.empty()[:4])) == 0
    assert len(count_component_pixels(np.zeros(0, int))) == 0


@pytest.mark.parametrize("size", [1, 2, 4, 7, 9])
@pytest.mark.parametrize("fraction", [0.1, 0.3])
def test_components_across_seams_come_out_whole(size, fraction):
    _, pixels = random_pixels(fraction=fraction)
    n_frames = 9
    joiner, done = SeamJoiner(), []
    for start in range(0, n_frames, size):
        stop = min(start + size, n_frames)
        chunk = pixels.select((pixels.frame >= start) & (pixels.frame < stop))
        borders = [start] * (start > 0) + [stop - 1] * (stop < n_frames)
        is_waiting = is_open(label_pixels(*chunk[:4]), chunk.frame, borders)
        done.append(chunk.select(~is_waiting))
        done.append(joiner.add(chunk.select(is_waiting), stop if stop < n_frames else None))
    parts = [c for part in done for c in components(part)]
    assert sorted(parts) == sorted(components(pixels))


def components(pixels: Pixels) -> list[tuple]:
    """The components of a list of pixels, each as its pixels' values."""
    labels = label_pixels(*pixels[:4])
    return [tuple(pixels.value[labels == k].tolist()) for k in range(labels.max(initial=-1) + 1)]


def test_pixels_sort_and_join():
    _, pixels = random_pixels()
    mixed = pixels.select(np.random.default_rng(1).permutation(pixels.size))
    np.testing.assert_array_equal(mixed.sorted().value, pixels.value)
    half = pixels.size // 2
    joined = Pixels.concatenate([pixels.select(np.arange(half)), pixels.select(np.arange(half, pixels.size))])
    np.testing.assert_array_equal(joined.value, pixels.value)
    one = Pixels.from_index(5, 1, np.array([3, 41]), np.array([2.0, 9.0]), 40)
    assert [column.tolist() for column in one] == [[5, 5], [1, 1], [0, 1], [3, 1], [2.0, 9.0]]
