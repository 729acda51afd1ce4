"""The command generate_mask: masks, their names, and the experiments that name them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweeps import background, stills

from xdp.cli.generate_mask import name_masks
from xdp.cli.main import main
from xdp.experiment import read_experiments, write_experiments
from xdp.images.masks.pickles import read_maps
from xdp.reflections.refl import read_reflections


def test_mask_is_written_and_named_in_the_experiments(hot_sweep):
    assert main(["generate_mask", "imported.expt", "border=4", "output.mask=a.mask", "output.experiments=a.expt"]) == 0
    mask, = read_maps("a.mask")
    assert mask.sum() == (64 - 8) * (72 - 8)
    assert read_experiments("a.expt")[0].imageset.mask == str(hot_sweep / "a.mask")
    assert main(["find_spots", "a.expt", "untrusted.rectangle=28,34,18,24"]) == 0
    assert len(read_reflections("strong.refl")) == 0


def test_several_image_sets_get_numbered_masks(hot_sweep):
    write_experiments("stills.expt", stills(hot_sweep, background(3)))
    assert main(["generate_mask", "stills.expt", "border=4"]) == 0
    assert sorted(p.name for p in Path().glob("pixels*")) == ["pixels_1.mask", "pixels_2.mask", "pixels_3.mask"]
    assert name_masks("a/b.mask", 12)[0] == "a/b_01.mask"


@pytest.mark.parametrize("words", [[], ["imported.expt", "untrusted.rectangle=0,900,0,5"]])
def test_wrong_input_is_one_line(hot_sweep, capsys, words):
    assert main(["generate_mask", *words]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not Path("pixels.mask").exists()
