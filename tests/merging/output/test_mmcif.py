"""mmCIF of merged data: gemmi reads back what was merged, with the PDB's items of statistics."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from scaling_data import make_scaled

import xdp
from xdp.errors import XdpError
from xdp.merging.output.mmcif import write_mmcif_file
from xdp.merging.output.mtz import make_mtz


@pytest.fixture(scope="module")
def merged():
    return xdp.merge(*make_scaled(), n_bins=4)


def test_gemmi_makes_the_same_mtz_of_it(merged, tmp_path):
    write_mmcif_file(tmp_path / "m.cif", merged)
    block = gemmi.as_refln_blocks(gemmi.cif.read(str(tmp_path / "m.cif")))[0]
    back, ours = gemmi.CifToMtz().convert_block_to_mtz(block), make_mtz(merged)
    assert back.spacegroup == ours.spacegroup
    assert np.allclose(back.cell.parameters, ours.cell.parameters, atol=1e-3)
    assert back.datasets[-1].wavelength == pytest.approx(merged.wavelength, rel=1e-5)
    order = np.lexsort(np.asarray(back.array)[:, 2::-1].T)
    ours_order = np.lexsort(np.asarray(ours.array)[:, 2::-1].T)
    for label in ("IMEAN", "SIGIMEAN", "I(+)", "SIGI(-)", "F(+)", "SIGF(-)"):
        mine = ours.column_with_label(label).array[ours_order]
        theirs = back.column_with_label(label).array[order]
        # mmCIF has as many digits as a float of MTZ has, less one
        np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-3, equal_nan=True, err_msg=label)


def test_statistics_stand_in_the_items_of_the_pdb(merged, tmp_path):
    write_mmcif_file(tmp_path / "m.cif", merged)
    block = gemmi.cif.read(str(tmp_path / "m.cif")).sole_block()
    all_ = merged.shells[-1]
    assert float(block.find_value("_reflns.pdbx_Rrim_I_all")) == pytest.approx(all_.r_meas, rel=1e-4)
    assert int(block.find_value("_reflns.number_obs")) == all_.n_unique
    assert float(block.find_value("_reflns.d_resolution_high")) == pytest.approx(all_.d_min, rel=1e-4)
    wilson = float(block.find_value("_reflns.B_iso_Wilson_estimate"))
    assert wilson == pytest.approx(merged.diagnostics.wilson.b, rel=1e-4)
    cc = [float(v) for v in block.find_loop("_reflns_shell.pdbx_CC_half")]
    assert cc == pytest.approx([s.cc_half for s in merged.shells[:-1]], rel=1e-4)


def test_the_test_set_is_marked(merged, tmp_path):
    write_mmcif_file(tmp_path / "m.cif", merged)
    status = list(gemmi.cif.read(str(tmp_path / "m.cif")).sole_block().find_loop("_refln.status"))
    assert status.count("f") == np.count_nonzero(merged.columns["FreeR_flag"] == 0)


def test_untabulated_axes_are_refused(merged, tmp_path):
    from dataclasses import replace

    from xdp.space_groups import UntabulatedGroup

    class Group(UntabulatedGroup):
        def __init__(self):
            pass

        def short_name(self):
            return "I 2 2 3 (y+z,x+z,x+y)"

    with pytest.raises(XdpError, match="xdp reindex"):
        write_mmcif_file(tmp_path / "m.cif", replace(merged, space_group=Group()))
    assert list(tmp_path.iterdir()) == []
