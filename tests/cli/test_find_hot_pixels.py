"""The command find_hot_pixels: pixels of spots through all images are masked."""

from __future__ import annotations

import numpy as np
from sweeps import background, stills

from xdp.cli.main import main
from xdp.experiment import write_experiments
from xdp.images.masks.pickles import read_maps


def test_hot_pixels_are_those_of_spots_through_all_images(hot_sweep, capsys):
    assert main(["find_spots", "imported.expt"]) == 0
    assert main(["find_hot_pixels", "imported.expt", "strong.refl"]) == 0
    assert "Found 1 hot pixels" in capsys.readouterr().out
    assert np.argwhere(~read_maps("hot_pixels.pickle")[0]).tolist() == [[20, 30]]


def test_stills_and_a_missing_table_are_refused(hot_sweep, capsys):
    assert main(["find_hot_pixels", "imported.expt"]) == 1
    assert "a .refl for each .expt" in capsys.readouterr().err
    write_experiments("stills.expt", stills(hot_sweep, background(1)))
    assert main(["find_spots", "stills.expt", "output.reflections=s.refl"]) == 0
    assert main(["find_hot_pixels", "stills.expt", "s.refl"]) == 1
    assert "needs a scan" in capsys.readouterr().err
