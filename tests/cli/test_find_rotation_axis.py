"""The command find_rotation_axis: what it says and writes; the search has tests of its own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.cli.main import main
from xdp.experiment import ExperimentList, read_experiments, write_experiments


def test_old_and_new_axis_are_said_and_written(spots, capsys):
    assert main(["find_rotation_axis", "imported.expt", "strong.refl", "max_sample_size=150", "global_search=False",
                 "azimuth=0"]) == 0
    said = capsys.readouterr().out
    new = next(line for line in said.splitlines() if line.startswith("New rotation axis: "))
    axis = read_experiments("optimised.expt")[0].goniometer.rotation_axis_lab
    assert new.split(": ")[1] == ", ".join(f"{v:.5f}" for v in axis)
    assert np.linalg.norm(axis) == pytest.approx(1.0)
    assert "global_search = False" in (spots / "xdp.find_rotation_axis.log").read_text()


def test_a_still_has_no_axis(spots, capsys):
    still = dataclasses.replace(read_experiments("imported.expt")[0], scan=None, goniometer=None)
    write_experiments("still.expt", ExperimentList([still]))
    assert main(["find_rotation_axis", "still.expt", "strong.refl"]) == 1
    assert "no scan" in capsys.readouterr().err
    assert not (spots / "optimised.expt").exists()
