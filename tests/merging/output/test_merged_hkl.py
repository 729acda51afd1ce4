"""Merged intensities as a list, with its halves."""

from __future__ import annotations

import numpy as np
from scaling_data import make_scaled

import xdp
from xdp.merging.output.crystfel_hkl import read_hkl_list
from xdp.merging.output.merged_hkl import write_merged_hkl


def test_means_and_halves_are_written(tmp_path):
    merged = xdp.merge(*make_scaled(), halves=True)
    write_merged_hkl(tmp_path / "m.hkl", merged)
    whole, first = read_hkl_list(tmp_path / "m.hkl"), read_hkl_list(tmp_path / "m.hkl1")
    assert whole.symmetry == "4/mmm"
    assert np.array_equal(whole.hkl, merged.hkl)
    np.testing.assert_allclose(whole.intensity, merged.columns["IMEAN"], atol=0.006)
    assert 0 < len(first) <= len(whole)
    assert (tmp_path / "m.hkl2").exists()
