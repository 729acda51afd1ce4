"""The command cosym: many pairs of files become one."""

from __future__ import annotations

import json

import numpy as np
from symmetry_data import TETRAGONAL, make_wedges

import xdp
from xdp.cli.main import main
from xdp.experiment.experiment import ExperimentList


def test_pairs_of_files_become_one(folder, capsys):
    experiments, table, _ = make_wedges("P4", TETRAGONAL, "k,h,-l", strangers=(5,))
    for k, experiment in enumerate(experiments):
        rows = table.select(np.asarray(table["id"]) == k)
        rows = rows.with_columns(id=np.zeros(len(rows), np.int32))
        rows.identifiers = {0: experiment.identifier}
        xdp.write_experiments(f"wedge_{k:02d}.expt", ExperimentList([experiment]))
        xdp.write_reflections(f"wedge_{k:02d}.refl", rows)
    names = [f"wedge_{k:02d}.{kind}" for kind in ("expt", "refl") for k in range(len(experiments))]
    assert main(["cosym", *names]) == 0
    assert "Set aside: experiment 5" in capsys.readouterr().out
    assert len(xdp.read_experiments("symmetrized.expt")) == len(experiments) - 1
    assert len(xdp.read_experiments("excluded.expt")) == 1
    assert json.loads((folder / "xdp.cosym.json").read_text())["facts"]["Laue group"] == "P 4"


def test_one_crystal_is_one_line(folder, capsys):
    experiments, table, _ = make_wedges("P4", TETRAGONAL, "k,h,-l", n=1)
    xdp.write_experiments("a.expt", experiments)
    xdp.write_reflections("a.refl", table)
    assert main(["cosym", "a.expt", "a.refl"]) == 1
    assert "use xdp symmetry" in capsys.readouterr().err
