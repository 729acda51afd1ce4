"""Shoeboxes of stills: in the table, in files, or nowhere, as asked."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.reflections.flags import Flag
from xdp.reflections.refl import read_reflections

pytestmark = pytest.mark.kernels


def test_shoeboxes_stay_in_the_table_or_go_to_files_as_asked(shots, tmp_path):
    work = tmp_path / "work"
    work.mkdir()

    def found(*words):
        return shots.integrate("debug.output=True", *words, which=slice(1, 3), folder=work).reflections

    assert np.diff(found("separate_files=False")["shoebox"].offsets).min() > 0
    assert "shoebox" not in found("separate_files=False", "delete_shoeboxes=True")
    assert "shoebox" not in found()
    by_crystal = [read_reflections(tmp_path / f"shoeboxes_0_{i}.refl") for i in (0, 1)]
    found("split_experiments=False", "debug.select=intensity.sum.i_over_sigma>5")
    strong = read_reflections(tmp_path / "shoeboxes_0.refl")
    assert 0 < len(strong) < sum(map(len, by_crystal))
    assert np.all(strong["intensity.sum.value"] > 5.0 * np.sqrt(strong["intensity.sum.variance"]))
    found("split_experiments=False", "debug.during=modelling")
    assert read_reflections(tmp_path / "shoeboxes_0.refl").flags(Flag.REFERENCE_SPOT).all()
