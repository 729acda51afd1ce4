"""The command generate_mask: masks, their names, and the experiments that name them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sweeps import background, stills

from xdp.cli.generate_mask import name_masks
from xdp.cli.main import main
from xdp.experiment import read_experiments, write_experiments
from xdp.images.masks.pickles import read_maps, write_mask_pickle
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


@pytest.fixture
def two_masks(hot_sweep):
    """a.mask without the first row, b.pickle without the first column of pixels."""
    a, b = np.ones((64, 72), bool), np.ones((64, 72), bool)
    a[0] = b[:, 0] = False
    write_mask_pickle("a.mask", [a])
    write_mask_pickle("b.pickle", [b])
    return hot_sweep


@pytest.mark.parametrize("words", [["a.mask", "b.pickle"], ["imported.expt", "a.mask", "b.pickle"],
                                   ["imported.expt", "combine=a.mask", "combine=b.pickle"],
                                   ["a.mask", "combine=b.pickle"]])
def test_masks_are_combined_where_all_say_good(two_masks, words):
    assert main(["generate_mask", *words]) == 0
    mask, = read_maps("pixels.mask")
    assert mask.sum() == 63 * 71
    assert not mask[0].any()
    assert not mask[:, 0].any()


def test_a_mask_is_combined_with_what_is_asked_for(two_masks):
    assert main(["generate_mask", "imported.expt", "a.mask", "border=2"]) == 0
    mask, = read_maps("pixels.mask")
    assert mask.sum() == 60 * 68


def test_a_mask_of_the_experiments_is_not_lost_without_a_word(two_masks, capsys):
    assert main(["generate_mask", "imported.expt", "border=2", "output.mask=old.mask",
                 "output.experiments=m.expt"]) == 0
    assert "which is not combined" not in capsys.readouterr().out
    assert main(["generate_mask", "m.expt", "a.mask"]) == 0
    assert "old.mask, which is not combined: give it, too" in capsys.readouterr().out
    assert main(["generate_mask", "m.expt", "a.mask", "old.mask"]) == 0
    assert "which is not combined" not in capsys.readouterr().out


@pytest.mark.parametrize(("words", "message"), [
    (["a.mask", "b.pickle", "border=2"], "border needs a detector"),
    (["a.mask", "b.pickle", "output.experiments=x.expt"], "output.experiments needs a detector"),
    (["a.mask", "wide.mask"], "masks of one detector are wanted"),
    (["imported.expt", "wide.mask"], "wide.mask"),
    (["imported.expt", "combine=gone.mask"], "gone.mask"),
    (["a.mask", "b.pickle", "output.mask=a.mask"], "would replace"),
])
def test_masks_that_cannot_be_combined(two_masks, capsys, words, message):
    write_mask_pickle("wide.mask", [np.ones((64, 80), bool)])
    assert main(["generate_mask", *words]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("pixels.mask").exists()
