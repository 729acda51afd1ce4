"""The command search_beam_position: a detector that was moved goes back."""

from __future__ import annotations

import numpy as np
import pytest
from indexing_data import make_sweep

from xdp.cli.main import main
from xdp.experiment import ExperimentList, read_experiments, write_experiments
from xdp.indexing.search.beam_search import shift_sweeps
from xdp.reflections import read_reflections, write_reflections


def test_the_moved_detector_and_its_log(spots, capsys):
    write_experiments("moved.expt", shift_sweeps(ExperimentList([make_sweep()]), (1.0, -1.0)))
    assert main(["search_beam_position", "moved.expt", "strong.refl"]) == 0
    origin = read_experiments("optimised.expt")[0].detector[0].origin
    assert origin == pytest.approx(make_sweep().detector[0].origin, abs=0.05)
    said = capsys.readouterr().out
    old, new = (line.split(": ")[1] for line in said.splitlines() if "beam centre: " in line)
    assert old != new
    assert "mm on panel 0" in new


def test_too_few_spots_write_nothing(spots, capsys):
    write_reflections("few.refl", read_reflections("strong.refl").select(np.arange(3)))
    assert main(["search_beam_position", "imported.expt", "few.refl"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (spots / "optimised.expt").exists()
