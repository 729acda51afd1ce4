"""Components of sorted keys against a flood fill."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.spotfinding.spots._kernels_label import label_keys

pytestmark = pytest.mark.kernels


def slow_labels(keys, steps):
    """Labels by walking from key to key, counted in the order of the first keys."""
    number = {}
    for start in keys:
        if start in number:
            continue
        label, waiting = len(set(number.values())), [start]
        while waiting:
            key = waiting.pop()
            if key in keys and key not in number:
                number[key] = label
                waiting += [key + step for step in steps] + [key - step for step in steps]
    return [number[key] for key in keys]


@pytest.mark.parametrize("steps", [[1], [1, 10], [1, 10, 100]])
@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
def test_keys_that_differ_by_a_step_are_one(steps, share):
    keys = np.flatnonzero(np.random.default_rng(7).random(600) < share)
    labels = np.empty(len(keys), np.int32)
    count = label_keys(keys, np.array(steps), np.empty(len(keys), np.int64), labels)
    expected = slow_labels(keys.tolist(), steps)
    assert labels.tolist() == expected
    assert count == max(expected) + 1


def test_the_first_key_out_of_order_is_named():
    keys, work = np.array([3, 5, 5, 4]), np.empty(4, np.int64)
    assert label_keys(keys, np.array([1]), work, np.empty(4, np.int32)) == -1 - 2
