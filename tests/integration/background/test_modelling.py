"""How a global background model is made, and the command that makes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from background_data import parse_model_words

from xdp.cli.main import main
from xdp.integration.background.modelling import model_background
from xdp.reflections.refl import read_reflections

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize("word", ["image_type=min", "filter_type=mean", "kernel_size=3", "min_images=12"])
def test_how_the_model_is_made(word, experiments):
    plain, other = (model_background(experiments, parse_model_words("min_images=4", *w)) for w in ([], [word]))
    assert not np.array_equal(plain.model.panels[0], other.model.panels[0])
    if word == "image_type=min":
        assert other.model.panels[0].mean() < plain.model.panels[0].mean()
    if word == "min_images=12":
        assert other.statistics[0].has_enough(other.min_images).sum() < plain.statistics[0].has_enough(4).sum()


def test_the_command_makes_a_model_that_integration_takes(integrated, series, monkeypatch):
    monkeypatch.chdir(integrated)
    words = ["min_images=4", "output.variance_image_prefix=None", "output.mean_image_prefix=average",
             "output.model=smooth.pickle", "output.log=modelling.log"]
    assert main(["model_background", "integrated.expt", *words]) == 0
    assert Path("modelling.log").stat().st_size > 0
    drawn = {path.name for path in integrated.glob("*.png")}
    assert drawn == {f"{name}_0.png" for name in ("average", "dispersion", "mask", "min", "max", "model", "polar")}
    for name, words in (("plain", []), ("gmodel", ["background.algorithm=gmodel", "gmodel.model=smooth.pickle"])):
        assert main(["integrate", *series.files, "output_unintegrated_reflections=True", *words,
                     f"output.reflections={name}.refl"]) == 0
    plain, table = read_reflections("plain.refl"), read_reflections("gmodel.refl")
    # Neighbours' pixels count in gmodel, as in DIALS: boxes without them are compared.
    alone = (plain["num_pixels.background"] == plain["num_pixels.background_used"]) & (
        plain["num_pixels.background"] > 50)
    assert alone.sum() > 20
    # The model is that of the very images; hundreds of pixels of 1.5 counts a box: 5 % each, less for the median.
    assert np.median(table["background.scale"][alone]) == pytest.approx(1.0, abs=0.03)
    assert np.median(table["background.mean"][alone]) == pytest.approx(np.median(plain["background.mean"][alone]),
                                                                       rel=0.05)


def test_what_the_command_needs(series, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["model_background", series.files[0]]) == 1
    assert "no profile model" in capsys.readouterr().err
    assert main(["model_background"]) == 1
    assert "integrated.expt" in capsys.readouterr().err
