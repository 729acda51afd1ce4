"""The command symmetry: the files that it writes, and what it says."""

from __future__ import annotations

import json

import pytest
from symmetry_data import TETRAGONAL, make_symmetric

import xdp
from xdp.cli.main import main


@pytest.fixture
def integrated(folder):
    """integrated.expt and integrated.refl of a simulated sweep."""
    experiments, table = make_symmetric("P422", TETRAGONAL)
    xdp.write_experiments("integrated.expt", experiments)
    xdp.write_reflections("integrated.refl", table)
    return folder


def test_models_and_reflections_are_written_together(integrated, capsys):
    assert main(["symmetry", "integrated.expt", "integrated.refl"]) == 0
    said = capsys.readouterr().out
    assert "Laue group of P 4 2 2" in said
    assert xdp.read_experiments("symmetrized.expt")[0].crystal.space_group.crystal_system_str() == "tetragonal"
    assert len(xdp.read_reflections("symmetrized.refl")) > 1000
    facts = json.loads((integrated / "xdp.symmetry.json").read_text())["facts"]
    assert facts["Laue group"] == "P 4 2 2"
    # scaling goes on from the files
    assert main(["scale", "symmetrized.expt", "symmetrized.refl"]) == 0


def test_what_cannot_be_is_one_line(integrated, capsys):
    assert main(["symmetry", "integrated.expt", "integrated.refl", "laue_group=P622"]) == 1
    error = capsys.readouterr().err
    assert "no such symmetry" in error
    assert error.count("\n") == 1
    assert not (integrated / "symmetrized.refl").exists()
