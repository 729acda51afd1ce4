"""Zarr stores that are not ours, and damaged ones; those of ours are read back in test_convert."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from xdp.errors import FormatError
from xdp.experiment import Experiment, Scan
from xdp.images.formats.find import find_format
from xdp.images.zarr.store import ZarrStore, count_frames


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plain_arrays(tmp_path, zarr_format):
    counts = np.random.default_rng(1).poisson(3.0, (7, 11, 13)).astype(np.uint16)
    array = zarr.create_array(tmp_path / "a.zarr", shape=counts.shape, dtype=counts.dtype, chunks=(1, 11, 13),
                              zarr_format=zarr_format)
    array[:] = counts
    opened = find_format(tmp_path / "a.zarr")
    assert isinstance(opened, ZarrStore)
    assert opened.n_images == 7
    np.testing.assert_array_equal(opened.raw(6)[0], counts[6])
    assert opened.stack_models().detector is None
    assert opened.static_mask() is None


def test_plain_array_of_words_is_refused(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(3,), dtype="i4")
    with pytest.raises(FormatError, match="must be an array of numbers with 2 to 4 dimensions"):
        find_format(tmp_path / "a.zarr")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"attributes": 3}', '{"attributes": {"xdp": {"version": 99}}}',
                                  '{"attributes": {"xdp": {"version": 1, "experiments": {}}}}',
                                  '{"zarr_format": 3, "node_type": "group", "attributes": {}}'])
def test_damaged_store(tmp_path, text):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text(text)
    with pytest.raises(FormatError, match=r"a\.zarr"):
        find_format(tmp_path / "a.zarr")


def test_a_still_is_one_frame():
    assert count_frames(Experiment()) == 1
    assert count_frames(Experiment(scan=Scan((3, 7), (0.0, 0.1)))) == 5
