"""Tables and models of older programs go through all commands, or are refused for a true reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import gemmi
import numpy as np
import pytest

from xdp.cli.main import main
from xdp.experiment import read_experiments, write_experiments
from xdp.reflections import Flag, read_reflections, write_reflections

DATA = Path(__file__).parents[1] / "data" / "old_tables"
HALL = " I 2 2 3 (y+z,x+z,x+y)"
PAIRS = [("i04.json", "millimetres_only.pickle", 57.8), ("multi_stills.json", "no_indexed_flag.refl", 93.0),
         ("primitive_setting.json", "primitive_setting.refl", 90.6)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with the files of tests/data/old_tables."""
    for path in DATA.iterdir():
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("expt", "refl", "length"), PAIRS)
def test_indices_without_a_flag_are_refined(expt, refl, length):
    """It said "none is indexed"."""
    assert main(["show", expt, refl]) == 0
    assert main(["refine", expt, refl, "scan_varying=False"]) == 0
    table, models = read_reflections("refined.refl"), read_experiments("refined.expt")
    assert np.count_nonzero(table.flags(Flag.USED_IN_REFINEMENT)) > 100
    # the cells are those of the files within a few per mille (of few stills, of a cut table)
    assert models[0].crystal.unit_cell[0] == pytest.approx(length, rel=0.05)


@pytest.mark.parametrize(("expt", "refl", "_"), PAIRS)
def test_they_are_reindexed_and_mapped_to_reciprocal_space(expt, refl, _):
    assert main(["reindex", expt, refl, "change_of_basis_op=a,b,c"]) == 0
    before, after = read_reflections(refl), read_reflections("reindexed.refl")
    np.testing.assert_array_equal(before["miller_index"], after["miller_index"])
    assert after.flags(Flag.INDEXED).all()
    assert main(["export", expt, refl, "format=json"]) == 0


def test_a_table_without_flags_is_told(capsys):
    assert main(["show", "no_flags.refl"]) == 0
    capsys.readouterr()
    for command in ("refine", "reindex"):
        assert main([command, "i04.json", "no_flags.refl"]) == 1
        assert "the reflections have no column miller_index; give those of xdp index" in capsys.readouterr().err
    assert main(["export", "i04.json", "no_flags.refl"]) == 1
    assert "the reflections have no intensities" in capsys.readouterr().err


@pytest.mark.parametrize(("expt", "refl", "_"), PAIRS)
def test_what_was_not_integrated_is_not_exported(expt, refl, _, capsys):
    assert main(["export", expt, refl]) == 1
    assert "is integrated; run xdp integrate first" in capsys.readouterr().err


def test_an_untabulated_setting_survives_refinement_and_export():
    assert main(["refine", "primitive_setting.json", "primitive_setting.refl", "scan_varying=False"]) == 0
    models, table = read_experiments("refined.expt"), read_reflections("refined.refl")
    assert {e.crystal.space_group_hall_symbol.strip() for e in models} == {HALL.strip()}
    a, b, c, alpha, beta, gamma = models[0].crystal.unit_cell
    assert (b, c) == pytest.approx((a, a))
    assert (alpha, beta, gamma) == pytest.approx([np.degrees(np.arccos(-1 / 3))] * 3)  # of a body-centred cube
    n = len(table)
    write_reflections("integrated.refl", table.with_columns(**{
        "flags": table["flags"] | np.uint64(Flag.INTEGRATED_SUM), "intensity.sum.variance": np.ones(n),
        "xyzcal.px": table["xyzobs.px.value"]}))
    assert main(["export", "refined.expt", "integrated.refl"]) == 0
    wanted = {operation.triplet() for operation in gemmi.symops_from_hall(HALL)}
    content = Path("integrated.mtz").read_bytes()
    header = content[content.index(b"SYMINF"):]
    found = {gemmi.Op(header[i:i + 80].decode()[5:].strip().lower()).triplet() for i in range(80, 80 * 13, 80)}
    assert found == wanted
    assert main(["export", "refined.expt", "integrated.refl", "format=mmcif"]) == 0
    block = gemmi.cif.read_file("integrated.cif").sole_block()
    assert len(block.find_loop("_space_group_symop.operation_xyz")) == 12


def test_the_primitive_setting_goes_to_the_cube_and_back():
    assert main(["reindex", "primitive_setting.json", "primitive_setting.refl", "change_of_basis_op=b+c,a+c,a+b"]) == 0
    crystal = read_experiments("reindexed.expt")[0].crystal
    assert crystal.space_group.xhm() == "I 2 3"
    assert crystal.unit_cell[3:] == pytest.approx((90.0, 90.0, 90.0), abs=0.01)
    hkl = read_reflections("reindexed.refl")["miller_index"]
    assert np.all(hkl.sum(axis=1) % 2 == 0)  # the centring extinguishes odd sums


def test_an_older_spot_list_is_not_taken_for_that_of_new_models(capsys):
    models = read_experiments("i04.json")
    table = read_reflections("millimetres_only.pickle")
    table.identifiers = {0: "an-older-import"}
    write_reflections("old.refl", table)
    write_experiments("new.expt", [type(models[0])(**{**vars(models[0]), "identifier": "a-newer-import"})])
    assert main(["refine", "new.expt", "old.refl", "scan_varying=False"]) == 1
    assert "old.refl is not of the experiments in new.expt" in capsys.readouterr().err
    assert main(["refine", "new.expt", "old.refl", "scan_varying=False", "input.identifiers=ignore"]) == 0
    assert read_reflections("refined.refl").identifiers == {0: "a-newer-import"}
