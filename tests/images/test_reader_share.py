"""Experiments on frames of one stack share the open file."""

from __future__ import annotations

import numpy as np

from xdp.images.reader import Reader


def test_readers_of_one_stack_share_it_and_others_do_not(tmp_path):
    stack = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, stack)
    first, second, other = (Reader((str(tmp_path / name),), (i,), {}) for name, i in
                            (("a.npy", 0), ("a.npy", 1), ("b.npy", 1)))
    second.share(first)
    other.share(first)
    assert second.format(0) is first.format(0)
    assert other.format(0) is not first.format(0)
    np.testing.assert_array_equal(second.read(0)[0], stack[1])
    np.testing.assert_array_equal(other.read(0)[0], stack[1])
    assert second.static_mask() == first.static_mask()
