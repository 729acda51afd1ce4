"""The command average: options in the manner of cxi.mpi_average (results: tests/serial/calibration)."""

from __future__ import annotations

import pytest

from xdp.cli.average import translate_options
from xdp.cli.main import main
from xdp.errors import OptionError


def test_an_option_needs_its_value():
    with pytest.raises(OptionError, match="-n needs a value"):
        translate_options(["-n"])


def test_no_shots(capsys):
    assert main(["average"]) == 1
    assert "no shots were given" in capsys.readouterr().err
