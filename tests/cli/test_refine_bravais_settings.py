"""The command refine_bravais_settings: a file of models for each setting, and the summary."""

from __future__ import annotations

import json

import pytest

from xdp.cli.main import main
from xdp.experiment import read_experiments


def test_each_setting_has_its_file_and_its_row(indexed, capsys):
    assert main(["refine_bravais_settings", "indexed.expt", "indexed.refl", "output.directory=settings",
                 "output.prefix=my_"]) == 0
    said = capsys.readouterr().out
    folder = indexed / "settings"
    summary = json.loads((folder / "my_bravais_summary.json").read_text())
    assert sorted(map(int, summary)) == list(range(1, 10))  # the nine sublattices of a tetragonal lattice
    for number, entry in summary.items():
        crystal = read_experiments(folder / f"my_bravais_setting_{number}.expt")[0].crystal
        assert entry["unit_cell"] == pytest.approx(crystal.unit_cell, abs=1e-3)
    assert summary["9"]["bravais"] == "tP"
    assert "*       9" in said
    assert "tP: P4" in said


def test_what_is_missing_is_said(indexed, capsys):
    assert main(["refine_bravais_settings", "indexed.expt"]) == 1
    assert "a .refl for each .expt" in capsys.readouterr().err
    assert not list(indexed.glob("bravais*"))
