"""The command scale: the files that it writes, and what it says."""

from __future__ import annotations

import json

import pytest
from scaling_data import make_table

import xdp
from xdp.cli.main import main


@pytest.fixture
def integrated(folder):
    """integrated.expt and integrated.refl of a simulated sweep."""
    experiments, table, _ = make_table(n_frames=30, d_min=3.5, counts=400.0)
    xdp.write_experiments("integrated.expt", experiments)
    xdp.write_reflections("integrated.refl", table)
    return folder


def test_scales_and_models_are_written_together(integrated, capsys):
    assert main(["scale", "integrated.expt", "integrated.refl", "output.json=scale.json"]) == 0
    said = capsys.readouterr().out
    assert "Error model: a " in said
    table = xdp.read_reflections("scaled.refl")
    assert "inverse_scale_factor" in table
    assert xdp.read_experiments("scaled.expt")[0].scaling_model["__id__"] == "physical"
    assert json.loads((integrated / "scale.json").read_text())["facts"]["observations"] > 0
    # scaled files export by their scales
    assert main(["export", "scaled.expt", "scaled.refl", "intensity=scale"]) == 0


def test_what_cannot_be_scaled_is_one_line(integrated, capsys):
    assert main(["scale", "integrated.expt", "integrated.refl", "d_max=0.1"]) == 1
    error = capsys.readouterr().err
    assert "can be scaled" in error
    assert error.count("\n") == 1
    assert not (integrated / "scaled.refl").exists()
