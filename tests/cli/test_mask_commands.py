"""The commands generate_mask, estimate_gain and find_hot_pixels on small sweeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sweeps import background, stills, sweep

from xdp.cli.generate_mask import name_masks
from xdp.cli.main import main
from xdp.experiment import read_experiments, write_experiments
from xdp.images.masks.pickles import read_maps
from xdp.logs import stop_log
from xdp.reflections.refl import read_reflections


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with imported.expt of a sweep with a hot pixel, the current one."""
    monkeypatch.chdir(tmp_path)
    counts = background(4, mean=20.0)
    counts[:, 0, 20:22, 30:32] = 900
    write_experiments("imported.expt", sweep(tmp_path, counts))
    yield tmp_path
    stop_log()


def test_mask_is_written_and_named_in_the_experiments(place):
    assert main(["generate_mask", "imported.expt", "border=4", "output.mask=a.mask", "output.experiments=a.expt"]) == 0
    mask, = read_maps("a.mask")
    assert mask.sum() == (64 - 8) * (72 - 8)
    assert read_experiments("a.expt")[0].imageset.mask == str(place / "a.mask")
    assert main(["find_spots", "a.expt", "untrusted.rectangle=28,34,18,24"]) == 0
    assert len(read_reflections("strong.refl")) == 0


def test_several_image_sets_get_numbered_masks(place):
    write_experiments("stills.expt", stills(place, background(3)))
    assert main(["generate_mask", "stills.expt", "border=4"]) == 0
    assert sorted(p.name for p in Path().glob("pixels*")) == ["pixels_1.mask", "pixels_2.mask", "pixels_3.mask"]
    assert name_masks("a/b.mask", 12)[0] == "a/b_01.mask"


def test_gain_of_poisson_counts_is_one(place, capsys):
    assert main(["estimate_gain", "imported.expt", "max_images=2", "kernel_size=5,5", "output.gain_map=g.pickle"]) == 0
    out = capsys.readouterr().out
    assert out.count("Estimated gain: ") == 2
    assert "Average gain: " in out
    gain = read_maps("g.pickle")[0]
    assert gain.shape == (64, 72)
    assert (gain == gain[0, 0]).all()
    assert gain[0, 0] == pytest.approx(1.0, abs=0.1)  # 4600 overlapping windows of 121 pixels


def test_hot_pixels_are_those_of_spots_through_all_images(place, capsys):
    assert main(["find_spots", "imported.expt"]) == 0
    assert main(["find_hot_pixels", "imported.expt", "strong.refl"]) == 0
    assert "Found 1 hot pixels" in capsys.readouterr().out
    assert np.argwhere(~read_maps("hot_pixels.pickle")[0]).tolist() == [[20, 30]]


def test_wrong_input_is_one_line(place, capsys):
    write_experiments("stills.expt", stills(place, background(3)))
    for words in (["estimate_gain", "stills.expt"], ["find_hot_pixels", "imported.expt"], ["generate_mask"],
                  ["generate_mask", "imported.expt", "untrusted.rectangle=0,900,0,5"]):
        assert main(words) == 1
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
