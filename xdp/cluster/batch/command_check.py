"""Checks of a command before it becomes a job: it may wait for hours, and a mistake should be seen now."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from xdp.cluster.batch.arguments import MODELS, load_model
from xdp.errors import OptionError, XdpError
from xdp.files import check_output
from xdp.options.command_line import Command, read_command
from xdp.options.files import list_input_files, list_output_files
from xdp.options.reader import is_parameter_file
from xdp.protection import Input, Inputs

WITHOUT_INPUTS = ("demo", "import", "laue_import")
"""Commands that may do without a word for an input: they have none, or a parameter names it."""
NO_JOBS = ("submit", "status", "cancel", "logs", "help")
"""Commands that say or change something here; as jobs they make no sense."""
_PLACEHOLDER = re.compile(r"#+|%0?\d*d|\{[^}]*\}")
"""The part of a template that stands for the number of an image."""


def check_command(words: Sequence[str], out: Path) -> None:
    """Check that a command can begin: its name, its parameters, and the files that it names.

    Parameters
    ----------
    words : sequence of str
        A command of ``xdp`` and its arguments, with inputs by their whole paths.
    out : Path
        The folder in which it will run; it need not be there yet.

    Raises
    ------
    XdpError
        If there is no such command or parameter, a value does not fit, an input is missing, or an output cannot be
        written; the message says what to change.
    """
    if not words or words[0].startswith("-"):  # xdp --version
        return
    name, args = words[0].replace("-", "_"), list(words[1:])
    if name in NO_JOBS:
        raise OptionError(f"xdp {words[0]} is not run as a job: type it here")
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise OptionError(f"no command {words[0]!r}{hint} (xdp --help lists the commands)")
    if name == "laue_spots":  # it has dashed options of its own, which only it can read: -c is cutoff there
        from xdp.cli.laue_spots import translate

        actions, args = translate(args)
        if actions.intersection(("help", "all", "config", "version")):
            return
    elif _HELP.intersection(args):  # which needs no files
        return
    command = read_command(load_model(name), args, "", name)
    _check_inputs(name, command)
    _check_outputs(command, args, out)


_HELP = {"-h", "-hh", "--help", "-c", "--show-config", "--version"}


def _check_inputs(name: str, command: Command) -> None:
    """Raise XdpError if an input is missing, also one that a parameter names."""
    _check_words(name, command.inputs)
    for file in list_input_files(command.options):
        if not _is_there(file.name):
            raise XdpError(f"{file.parameter}={file.name}: no such file; it is looked up from the current folder")


def _check_words(name: str, inputs: Sequence[str]) -> None:
    """Raise XdpError if a word that stands for an input names nothing, or none is there."""
    if not inputs and name not in WITHOUT_INPUTS:
        raise XdpError(f"{name} needs input files; xdp {name} -h shows examples")
    for word in inputs:
        if not _is_there(word):
            raise XdpError(f"{word}: no such file, folder or image template; names are looked up from the current "
                           "folder")


def _is_there(word: str) -> bool:
    """Whether a file, folder, pattern or template of that name is there."""
    path = os.path.expanduser(word)
    if os.path.exists(path) or glob.glob(path):
        return True
    # the parts of a file name that are no placeholder may have brackets of their own
    parts = _PLACEHOLDER.split(path)
    return len(parts) > 1 and bool(glob.glob("*".join(map(glob.escape, parts))))


def _check_outputs(command: Command, args: Sequence[str], out: Path) -> None:
    """Raise XdpError if an output cannot be written in the run's folder, or would replace an input."""
    def find() -> Iterator[Input]:
        from xdp.images.input_files import find_files_of_options, find_files_of_words

        yield from find_files_of_words([*command.inputs, *filter(is_parameter_file, args)])
        yield from find_files_of_options(command.options)

    inputs = Inputs(find)
    for output in list_output_files(command.options):
        if output.is_pattern:
            continue
        place = out / os.path.expanduser(output.name)
        if output.kind not in ("store", "log"):
            # stores are folders, and logs may go to devices
            check_output(place)
        folder = place.parent
        if output.kind != "store" and folder != out and not folder.is_dir():
            raise XdpError(f"{output.parameter}={output.name}: the folder {folder} is not there")
        if not (output.in_place and any(_is_same_file(place, word) for word in command.inputs)):
            inputs.refuse(place, output.parameter)


def _is_same_file(path: Path, word: str) -> bool:
    return path.exists() and os.path.exists(word) and os.path.samefile(path, word)
