"""Masks of files, formats and panels, and how they are combined."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from mask_data import KnownMask, list_masked, make_experiment, make_mask

from xdp.errors import FormatError, OptionError
from xdp.images.masks.pickles import write_map_pickle, write_mask_pickle
from xdp.images.masks.static import combine_masks, read_mask, read_static_mask


def test_combine_is_the_logical_and_and_none_is_all_good():
    a, b = make_mask(), make_mask()
    a[0], b[:, 0] = False, False
    joined, = combine_masks([a], None, [b])
    np.testing.assert_array_equal(joined, a & b)
    assert combine_masks(None, None) is None
    with pytest.raises(OptionError, match="masks of one detector"):
        combine_masks([a[:1]], [a])


def test_static_mask_joins_file_or_format_with_rectangles(tmp_path):
    mask = make_mask()
    mask[5, 6] = False
    write_mask_pickle(tmp_path / "file.mask", [mask])
    rectangle = set(itertools.product((2, 3), (10,)))
    assert read_static_mask(make_experiment()) is None
    assert list_masked(read_static_mask(make_experiment(mask=((10, 2, 11, 4),)))[0]) == rectangle
    assert list_masked(read_static_mask(make_experiment(), KnownMask())[0]) == {(1, 1)}
    with_file = make_experiment(str(tmp_path / "file.mask"), mask=((10, 2, 11, 4),))
    assert list_masked(read_static_mask(with_file, KnownMask())[0]) == rectangle | {(5, 6)}


def test_mask_files_of_other_shape_or_kind_are_refused(tmp_path):
    write_mask_pickle(tmp_path / "wide.mask", [make_mask((20, 31))])
    with pytest.raises(FormatError, match=r"wide\.mask: .*\(20, 30\).*got .*\(20, 31\)"):
        read_mask(str(tmp_path / "wide.mask"), [(20, 30)])
    with pytest.raises(FormatError, match="1 panel"):
        read_mask(str(tmp_path / "wide.mask"), [(20, 31), (20, 31)])
    write_map_pickle(tmp_path / "gain.pickle", [np.ones((20, 30))])
    with pytest.raises(FormatError, match="true and false"):
        read_mask(str(tmp_path / "gain.pickle"), [(20, 30)])
