"""The recipes of docs/recipes.md do what they say; the format by entry point is tested with docs/import.md."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import xdp
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan
from xdp.simulation.write import write_minicbf_series

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What the page's blocks define, run from top to bottom beside a simulated series of 24 images."""
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "images").mkdir()
    models = make_crystal(orientation=1), make_beam(), make_detector((300, 300)), make_goniometer(), make_scan(24, 0.5)
    write_minicbf_series(xdp.simulate_rotation(*models, seed=1), folder / "images")
    found: dict = {"folder": folder}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            exec(block, found)
    return found


def test_only_images_10_to_20_are_integrated(names):
    part, inside = names["part"].reflections, names["inside"]
    assert len(inside) > 200
    assert len(part) > len(inside)
    # Images 10 to 20 are frames 9 to 20: no box reaches further, and both ends are used.
    assert part["bbox"][:, 4].min() == 9
    assert part["bbox"][:, 5].max() == 20
    assert len(part) < len(xdp.integrate(names["found"].experiments, names["found"].reflections).reflections)


def test_spots_of_an_own_threshold_are_indexed(names):
    assert len(names["spots"]) > 500
    assert np.mean(names["indexed"].reflections["id"] >= 0) > 0.9


def test_the_polarisation_correction_is_changed(names):
    ratio = names["ratio"]
    # The beam of the simulation is polarised to 0.999; without polarisation factors change both ways.
    assert ratio.min() < 0.99
    assert ratio.max() > 1.0
    assert (names["folder"] / "unpolarised.mtz").exists()
    assert names["written"].n_written > 200
