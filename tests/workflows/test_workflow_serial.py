"""The workflow of serial data, on its simulated shots."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import xdp

SCRIPT = Path(__file__).parents[2] / "workflows" / "serial.py"


def test_shots_to_intensities(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert "reflections of 4 crystals in integrated.refl" in capsys.readouterr().out
    assert set(xdp.read_reflections("integrated.refl")["id"].tolist()) == {0, 1, 2, 3}


def test_the_script_is_short():
    lines = [line for line in SCRIPT.read_text().splitlines() if line.strip()]
    assert len(lines) <= 40
