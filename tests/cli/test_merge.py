"""The command merge: the file that it writes, and what it says."""

from __future__ import annotations

import json

import gemmi
import pytest
from scaling_data import make_scaled

import xdp
from xdp.cli.main import main


@pytest.fixture
def scaled(folder):
    """scaled.expt and scaled.refl of a simulated sweep."""
    experiments, table = make_scaled()
    xdp.write_experiments("scaled.expt", experiments)
    xdp.write_reflections("scaled.refl", table)
    return folder


def test_an_mtz_file_and_a_table_are_given(scaled, capsys):
    assert main(["merge", "scaled.expt", "scaled.refl", "output.json=merge.json", "n_bins=5"]) == 0
    said = capsys.readouterr().out
    assert "CC1/2" in said
    mtz = gemmi.read_mtz_file("merged.mtz")
    assert f"Saved {mtz.nreflections} merged reflections to merged.mtz" in said
    assert json.loads((scaled / "merge.json").read_text())["facts"]["n_unique"] == mtz.nreflections


def test_integrated_reflections_are_sent_to_scale(scaled, capsys):
    _, table = make_scaled()
    bare = type(table)({name: values for name, values in table.items() if not name.startswith("intensity.scale")},
                       identifiers=table.identifiers)
    xdp.write_reflections("integrated.refl", bare)
    assert main(["merge", "scaled.expt", "integrated.refl"]) == 1
    error = capsys.readouterr().err
    assert "run xdp scale" in error
    assert error.count("\n") == 1
