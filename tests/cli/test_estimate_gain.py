"""The command estimate_gain on Poisson counts."""

from __future__ import annotations

import pytest
from sweeps import background, stills

from xdp.cli.main import main
from xdp.experiment import write_experiments
from xdp.images.masks.pickles import read_maps


def test_gain_of_poisson_counts_is_one(hot_sweep, capsys):
    assert main(["estimate_gain", "imported.expt", "max_images=2", "kernel_size=5,5", "output.gain_map=g.pickle"]) == 0
    out = capsys.readouterr().out
    assert out.count("Estimated gain: ") == 2
    assert "Average gain: " in out
    gain = read_maps("g.pickle")[0]
    assert gain.shape == (64, 72)
    assert (gain == gain[0, 0]).all()
    assert gain[0, 0] == pytest.approx(1.0, abs=0.1)  # 4600 overlapping windows of 121 pixels


def test_one_image_set_at_a_time(folder, capsys):
    write_experiments("stills.expt", stills(folder, background(3)))
    assert main(["estimate_gain", "stills.expt"]) == 1
    assert "takes one image set at a time, got 3" in capsys.readouterr().err
