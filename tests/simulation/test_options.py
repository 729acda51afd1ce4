from __future__ import annotations

import pytest

from xdp.errors import OptionError
from xdp.options.command_line import read_command
from xdp.simulation.options import DemoOptions


def test_parameters_of_the_demo_are_parsed():
    command = read_command(DemoOptions, ["photons=50", "n_frames=12"], "", "demo")
    assert command.options.simulation.photons == 50.0
    assert command.options.n_frames == 12


def test_a_mosaic_spread_of_nothing_is_refused():
    with pytest.raises(OptionError, match="sigma_m"):
        read_command(DemoOptions, ["sigma_m=0"], "", "demo")


def test_three_mosaic_widths_are_parsed():
    command = read_command(DemoOptions, ["eta_axes=0.1,0.2,0.05", "slip=0,0.1,0"], "", "demo")
    assert command.options.simulation.eta_axes == (0.1, 0.2, 0.05)
    assert command.options.simulation.slip == (0.0, 0.1, 0.0)
