"""Symmetry beside DIALS: the same group where nothing hides it, and DIALS goes on from our files."""

from __future__ import annotations

from pathlib import Path

import pytest
from symmetry_data import HEXAGONAL, ORTHORHOMBIC, TETRAGONAL, make_symmetric

import xdp
from xdp.cli.main import main
from xdp.logs import stop_log

pytestmark = pytest.mark.peer


def write_inputs(folder: Path, space_group: str, cell: tuple[float, ...], **structure) -> None:
    experiments, table = make_symmetric(space_group, cell, 90, **structure)
    xdp.write_experiments(folder / "integrated.expt", experiments)
    xdp.write_reflections(folder / "integrated.refl", table)


def ask_both(folder: Path, dials) -> tuple[xdp.Experiment, xdp.Experiment]:
    """The experiment as we write it, and as dials.symmetry does."""
    assert main(["symmetry", str(folder / "integrated.expt"), str(folder / "integrated.refl"),
                 f"output.experiments={folder / 'ours.expt'}", f"output.reflections={folder / 'ours.refl'}",
                 f"output.json={folder / 'ours.json'}", f"output.log={folder / 'ours.log'}"]) == 0
    stop_log()
    dials.command("dials.symmetry", "integrated.expt", "integrated.refl", "output.html=None", cwd=folder)
    return tuple(xdp.read_experiments(folder / name)[0] for name in ("ours.expt", "symmetrized.expt"))


@pytest.mark.parametrize(("space_group", "cell"), [("P222", ORTHORHOMBIC), ("P422", TETRAGONAL), ("P321", HEXAGONAL)])
def test_the_laue_group_and_the_cell_are_those_of_dials(tmp_path, dials, space_group, cell):
    write_inputs(tmp_path, space_group, cell)
    ours, theirs = ask_both(tmp_path, dials)
    assert ours.crystal.space_group.point_group_hm() == theirs.crystal.space_group.point_group_hm()
    assert ours.crystal.unit_cell == pytest.approx(theirs.crystal.unit_cell, rel=1e-4)


def test_dials_scales_what_we_wrote(tmp_path, dials):
    write_inputs(tmp_path, "P422", TETRAGONAL)
    ask_both(tmp_path, dials)
    dials.command("dials.scale", "ours.expt", "ours.refl", "output.html=None", cwd=tmp_path)
    assert (tmp_path / "scaled.refl").exists()


def test_a_twin_gets_the_higher_group_there_and_not_here(tmp_path, dials):
    write_inputs(tmp_path, "P4", TETRAGONAL, twin_law="k,h,-l", twin_fraction=0.45)
    ours, theirs = ask_both(tmp_path, dials)
    assert theirs.crystal.space_group.point_group_hm() == "422"
    assert ours.crystal.space_group.point_group_hm() != "422"
