"""References of stills: an .hkl list, an MTZ file, and such of another cell."""

from __future__ import annotations

import numpy as np
import pytest
from scaling_data import make_scaled

import xdp
from xdp.errors import XdpError
from xdp.merging.output.crystfel_hkl import HklList, write_hkl_list
from xdp.merging.stills.reference_file import read_stills_reference


def test_lists_and_mtz_files_are_read(tmp_path):
    merged = xdp.merge(*make_scaled())
    merged.write_mtz(tmp_path / "m.mtz")
    n = merged.columns["N"].astype(np.int64)
    write_hkl_list(tmp_path / "m.hkl", HklList(merged.hkl.astype(np.int64), merged.columns["IMEAN"],
                                              merged.columns["SIGIMEAN"], n, "4/mmm"))
    first, second = (read_stills_reference(tmp_path / name, merged.space_group, merged.cell)
                     for name in ("m.mtz", "m.hkl"))
    assert np.array_equal(first.keys, second.keys)
    np.testing.assert_allclose(first.mean, second.mean, atol=0.01)


def test_another_cell_is_refused(tmp_path):
    merged = xdp.merge(*make_scaled())
    merged.write_mtz(tmp_path / "m.mtz")
    with pytest.raises(XdpError, match="its cell"):
        read_stills_reference(tmp_path / "m.mtz", merged.space_group, (50, 60, 70, 90, 90, 90))
