"""Files in settings that no table has: the operations survive."""

from __future__ import annotations

import dataclasses

import gemmi
import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.experiment import ExperimentList
from xdp.exporting.mtz import write_mtz
from xdp.exporting.options import ShelxOptions
from xdp.exporting.other_formats import write_mmcif
from xdp.exporting.shelx import symmetry_cards, write_shelx
from xdp.exporting.xds_ascii import write_xds_ascii
from xdp.indexing.reindex import reindex
from xdp.reflections import Flag

HALL = "P 4nw 2abw (y,z,x)"


@pytest.fixture
def cyclic(make_experiments, make_integrated):
    """Experiments and integrated reflections of P43212 with the four-fold axis along b."""
    table = make_integrated()
    table = table.with_columns(flags=table["flags"] | np.uint64(Flag.INDEXED))
    found = reindex(make_experiments(), table, change_of_basis_op="b,c,a")
    assert found.experiments[0].crystal.space_group_hall_symbol == HALL
    return found.experiments, found.reflections


def list_operations(group) -> set[str]:
    """All operations as text."""
    return {operation.triplet() for operation in group}


def test_mtz_holds_the_operations(cyclic, tmp_path):
    experiments, table = cyclic
    assert write_mtz(tmp_path / "a.mtz", experiments, table) == len(table)
    header = (tmp_path / "a.mtz").read_bytes()
    header = header[header.index(b"SYMINF"):]
    records = [header[i:i + 80].decode() for i in range(0, 9 * 80, 80)]
    assert records[0].split()[:5] == ["SYMINF", "8", "8", "P", "0"]
    operations = gemmi.symops_from_hall(HALL)
    assert {gemmi.Op(record[5:].strip().lower()).triplet() for record in records[1:]} == list_operations(operations)
    mtz = gemmi.read_mtz_file(str(tmp_path / "a.mtz"))
    assert (mtz.nsymop, mtz.nreflections, len(mtz.batches), mtz.spacegroup_name) == (8, len(table), 10,
                                                                                     "P 43 21 2 (b,c,a)")
    # M/ISYM 2 is the Friedel mate under the identity
    isym = np.array(mtz.column_with_label("M/ISYM"))[:, None] % 256
    original = np.where(isym == 2, -1, 1) * mtz.make_miller_array()
    assert set(map(tuple, original.tolist())) == set(map(tuple, table["miller_index"].tolist()))


def test_mmcif_holds_the_operations(cyclic, tmp_path):
    experiments, table = cyclic
    write_mmcif(tmp_path / "a.cif", experiments, table)
    block = gemmi.cif.read_file(str(tmp_path / "a.cif")).sole_block()
    found = {gemmi.Op(gemmi.cif.as_string(v)).triplet() for v in block.find_loop("_space_group_symop.operation_xyz")}
    assert found == list_operations(gemmi.symops_from_hall(HALL))
    assert gemmi.cif.as_string(block.find_value("_symmetry.space_group_name_Hall")) == HALL
    assert len(block.find_loop("_diffrn_refln.index_h")) == len(table)


def test_shelx_gets_all_operations(cyclic, tmp_path):
    experiments, table = cyclic
    names = ShelxOptions(hklout=str(tmp_path / "a.hkl"), ins=str(tmp_path / "a.ins"))
    write_shelx(experiments, table, ("profile",), names)
    cards = symmetry_cards(experiments[0].crystal.space_group)
    assert cards[0] == "LATT -1"
    assert {gemmi.Op(c[5:].lower()).triplet() for c in cards[1:]} == list_operations(
        gemmi.symops_from_hall(HALL)) - {"x,y,z"}
    assert "TITL 96 in P43212 (b,c,a)" in (tmp_path / "a.ins").read_text()


def test_xds_ascii_says_how_to_come_to_a_tabulated_setting(cyclic, tmp_path):
    experiments, table = cyclic
    with pytest.raises(XdpError, match=r"no space group P 43 21 2 \(b,c,a\).*change_of_basis_op=c,a,b"):
        write_xds_ascii(tmp_path / "a.HKL", experiments, table)
    back = reindex(experiments, table, change_of_basis_op="c,a,b")
    assert write_xds_ascii(tmp_path / "a.HKL", back.experiments, back.reflections)[0] == len(table)


def test_models_of_different_groups_do_not_go_together(cyclic, make_experiments, tmp_path):
    experiments, table = cyclic
    mixed = ExperimentList([*experiments, dataclasses.replace(make_experiments()[0], identifier="other")])
    with pytest.raises(XdpError, match="several space groups"):
        write_mtz(tmp_path / "a.mtz", mixed, table)
