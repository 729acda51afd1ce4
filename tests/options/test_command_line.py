"""The options all commands share."""

from __future__ import annotations

import io

import pytest

import xdp
from xdp.errors import OptionError
from xdp.options import scope_text
from xdp.options.command_line import read_command

DOC = """Find spots.

Examples::

  xdp find_spots imported.expt
"""


def leave(model, args, capsys):
    with pytest.raises(SystemExit) as caught:
        read_command(model, args, DOC, "find_spots")
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_parameters_inputs_and_verbosity(find_options):
    command = read_command(find_options, ["-vv", "a.expt", "filter.d_min=2", "b.expt"], DOC, "find_spots")
    assert command.inputs == ["a.expt", "b.expt"]
    assert command.verbosity == 2
    assert command.options.spotfinder.filter.d_min == 2
    assert command.changed == "spotfinder {\n  filter {\n    d_min = 2\n  }\n}\n"


def test_help_has_examples_and_options(find_options, capsys):
    text = leave(find_options, ["-h"], capsys)
    assert "xdp find_spots imported.expt" in text
    assert "--show-config" in text
    assert "min_spot_size" not in text
    assert "min_spot_size = Auto" in leave(find_options, ["-hh"], capsys)


def test_show_config(find_options, capsys):
    assert leave(find_options, ["-c"], capsys) == scope_text(find_options, 0, 0)
    assert leave(find_options, ["-c", "-e2", "-a", "2"], capsys) == scope_text(find_options, 2, 2)
    assert "d_min = 2\n" in leave(find_options, ["-c", "filter.d_min=2"], capsys)


def test_version(find_options, capsys):
    assert leave(find_options, ["--version"], capsys) == f"xdp {xdp.__version__}\n"


def test_phil_option_reads_files_and_standard_input(find_options, tmp_path, monkeypatch):
    path = tmp_path / "p.phil"
    path.write_text("spotfinder.filter.d_min = 3")
    assert read_command(find_options, ["--phil", str(path)], DOC, "x").options.spotfinder.filter.d_min == 3
    monkeypatch.setattr("sys.stdin", io.StringIO("filter.d_min=4\n\nimported.expt\n"))
    command = read_command(find_options, ["--phil", "-"], DOC, "x")
    assert command.options.spotfinder.filter.d_min == 4
    assert command.inputs == ["imported.expt"]


@pytest.mark.parametrize("args", [["--frobnicate"], ["-e"], ["-e", "x"], ["-q"]])
def test_unknown_options_are_errors(find_options, args):
    with pytest.raises(OptionError):
        read_command(find_options, args, DOC, "find_spots")


def test_a_dashed_parameter_is_explained(find_options):
    with pytest.raises(OptionError, match="unknown option --d_min=2; write d_min=2"):
        read_command(find_options, ["--d_min=2"], DOC, "find_spots")
