"""The command line of a command: outputs are kept off the inputs before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from xdp.cli.main import main
from xdp.cli.parsing import parse_command, protect_inputs
from xdp.errors import OptionError, XdpError
from xdp.options import FilePath, Options, option
from xdp.protection import command_scope, refuse_input


class _Output(Options):
    experiments: FilePath = option("new.expt", "A file.", file="output", in_place=True)
    log: str | None = option(None, "A log.", file="output")


class _Some(Options):
    size: int = option(3, "A number.", ge=1)
    output: _Output = option(_Output(), "Files.")


def test_parameters_and_inputs_are_told_apart(folder):
    command = parse_command(_Some, ["size=4", "a.expt", "b.cbf"], "Help.", "probe")
    assert command.options.size == 4
    assert command.inputs == ["a.expt", "b.cbf"]
    assert command.changed == "size = 4\n"
    with pytest.raises(OptionError, match="size must be an integer >= 1, got '0'"):
        parse_command(_Some, ["size=0"], "Help.", "probe")


def test_an_input_is_kept_until_the_command_ends(folder):
    Path("a.expt").write_text("{}")
    with command_scope():
        protect_inputs(_Some(), ["a.expt"])
        with pytest.raises(XdpError, match=r"would replace a\.expt"):
            refuse_input("a.expt")
    refuse_input("a.expt")  # forgotten: nothing is raised


def test_experiments_may_be_changed_in_place_but_not_by_a_log(folder):
    Path("a.expt").write_text("{}")
    parse_command(_Some, ["a.expt", "output.experiments=a.expt"], "Help.", "probe")
    with pytest.raises(XdpError, match=r"output\.log=a\.expt would replace a\.expt"):
        parse_command(_Some, ["a.expt", "output.log=a.expt"], "Help.", "probe")


def test_two_outputs_are_two_files(folder):
    with pytest.raises(XdpError, match="are one file"):
        parse_command(_Some, ["output.experiments=x", "output.log=./x"], "Help.", "probe")


def test_names_of_files_are_settled_before_they_are_looked_at(folder):
    Path("in.cbf").write_text("counts")

    def settle(options, inputs):
        return _Some(output=_Output(experiments="in.cbf"))

    with pytest.raises(XdpError, match=r"output\.experiments=in\.cbf would replace in\.cbf"):
        parse_command(_Some, ["in.cbf"], "Help.", "probe", settle)


@pytest.mark.parametrize(("command", "word", "said"), [
    ("find_spots", "geometry.beam.wavelength=1", "it is a parameter of xdp import"),
    ("find_spots", "profile.fitting=False", "it is a parameter of xdp integrate"),
    ("import", "max_lattices=2", "a parameter of that name is in xdp index"),
    ("import", "frobnicate=2", "-c -e 3 lists all parameters\n"),
])
def test_a_parameter_of_another_command_is_told_where_it_belongs(folder, capsys, command, word, said):
    assert main([command, word]) == 1
    error = capsys.readouterr().err
    assert "unknown parameter " in error
    assert said in error
    assert error.count("\n") == 1
