"""The command model_background: what it asks for; the model itself has tests with the integration."""

from __future__ import annotations

import numpy as np
import pytest
from integration_data import make_series

from xdp.cli.main import main
from xdp.integration.background.global_model import read_model


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    return make_series(tmp_path_factory.mktemp("series"), n_frames=8)


def test_the_model_is_written_and_summed_up(series, folder, capsys):
    assert main(["integrate", *series.files]) == 0
    capsys.readouterr()
    assert main(["model_background", "integrated.expt", "min_images=4", "output.model=smooth.pickle"]) == 0
    said = capsys.readouterr().out
    assert "Panel 0: background from " in said
    assert "Saved the background model to smooth.pickle" in said
    mean = float(said.split(", mean ")[1].split()[0])
    assert np.mean(read_model("smooth.pickle").panels[0]) == pytest.approx(mean, rel=0.01)
    assert list(folder.glob("*.png"))


@pytest.mark.parametrize("words", [[], ["a.expt", "b.expt"]])
def test_one_file_is_wanted(folder, capsys, words):
    assert main(["model_background", *words]) == 1
    assert f"needs one file integrated.expt, got {len(words)}" in capsys.readouterr().err
