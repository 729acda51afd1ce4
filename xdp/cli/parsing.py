"""The command line of a command: its parameters and inputs, with the outputs kept off the inputs from the start."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from xdp.cli.file_kinds import (
    FileKind,
    check_kinds,
    check_parameter_kinds,
    is_experiment_file,
    is_reflection_file,
)
from xdp.errors import OptionError, UnknownParameterError, XdpError
from xdp.files import check_output
from xdp.options.command_line import Command, read_command
from xdp.options.files import NamedFile, list_input_files, list_output_files, refuse_outputs
from xdp.options.model import Options
from xdp.options.reader import is_parameter_file
from xdp.options.tree import build_tree
from xdp.protection import Inputs, declare, protect

Model = TypeVar("Model", bound=Options)
#: Commands that a message names; of more it says that there are others.
_MOST_NAMED = 3
Settle = Callable[[Model, list[str]], Options]


def parse_command(model: type[Model], args: Sequence[str], doc: str, name: str,
                  settle: Settle | None = None, reads: frozenset[FileKind] | None = None) -> Command[Model]:
    """Read the arguments of one command, and refuse outputs that are inputs before anything is opened.

    Parameters
    ----------
    model, args, doc, name
        As of :func:`xdp.options.command_line.read_command`.
    settle : callable, optional
        ``settle(options, inputs)`` gives the options with the names of files as they are used, where these are not
        what the user wrote.
    reads : frozenset of FileKind, optional
        What the command reads; None: it looks at its inputs itself.

    Raises
    ------
    OptionError
        If an option or parameter is not understood.
    XdpError
        If an input is of another kind, an output is an input, or two outputs are one file.
    """
    try:
        command = read_command(model, args, doc, name)
    except UnknownParameterError as error:
        raise OptionError(f"{error}{_name_commands_with(error.typed, name)}") from error
    wrong_kind = _find_wrong_kind(command.inputs, name, reads) if reads is not None else None
    try:
        protect_inputs(settle(command.options, command.inputs) if settle else command.options, command.inputs, args)
    except XdpError as error:
        # The output that `xdp import imported.expt` has by default is not what is wrong there.
        if wrong_kind is not None and command.changed:
            raise XdpError(f"{wrong_kind}; besides, {error}") from error
        raise wrong_kind or error from None
    if wrong_kind is not None:
        raise wrong_kind
    check_parameter_kinds(list_input_files(command.options))
    return command


def _name_commands_with(typed: str, name: str) -> str:
    """Which other commands have a parameter of that name, for a message; empty where none has it."""
    from xdp.cluster.batch.arguments import MODELS, load_model

    found = []
    # Only a mistyped name pays for the parameters of all commands.
    for command in MODELS.keys() - {name, "process"}:  # process has those of all its stages
        paths = {item.path for item in build_tree(load_model(command)).definitions()}
        # The end of a path at a dot: any part of one would match too much.
        if any(f".{path}".endswith(f".{typed}") for path in paths):
            found.append(f"xdp {command}")
    if not found:
        return ""
    found.sort()
    shown = ", ".join(found[:_MOST_NAMED]) + (" and others" if len(found) > _MOST_NAMED else "")
    return f"; {'it is a parameter of' if '.' in typed else 'a parameter of that name is in'} {shown}"


def _find_wrong_kind(inputs: Sequence[str], name: str, reads: frozenset[FileKind]) -> XdpError | None:
    """The error of an input of a kind that the command does not read, None where there is none."""
    try:
        check_kinds(inputs, name, reads)
    except XdpError as error:
        return error
    return None


def protect_inputs(options: Options, inputs: Sequence[str], args: Sequence[str] = ()) -> None:
    """Keep the outputs of a command off its inputs, now and until it ends.

    Parameters
    ----------
    options : Options
        The parameters, with the names of outputs as they are used.
    inputs : sequence of str
        Words that stand for files to be read.
    args : sequence of str
        All words of the command, among which may be parameter files.

    Raises
    ------
    XdpError
        If an output is an input, whatever links and mounts lie between (the message names both), or cannot be written.
    """
    outputs = list_output_files(options)

    # Late, and only if an output is there already: words may be templates of many files.
    def find():
        from xdp.images.input_files import find_files_of_options, find_files_of_words

        yield from find_files_of_words([*inputs, *filter(is_parameter_file, args)])
        yield from find_files_of_options(options)

    protected = Inputs(find)
    for output in outputs:
        # DIALS users give the input's own name on purpose (docs/files.md lists the commands).
        if output.in_place and any(_is_same_kind(output, word) for word in inputs):
            protected.release(output.name)
    # Asked once now, so that nothing is computed in vain; each writer asks again.
    with protect(protected):
        refuse_outputs(options)
    _check(outputs)
    declare(protected)


def _check(outputs: Sequence[NamedFile]) -> None:
    """Raise where an output cannot be written, or two are one file, of which the second would replace the first.

    Logs may go to devices; stores are folders, and whoever writes one looks at what is there.
    """
    seen: dict[str, NamedFile] = {}
    for output in outputs:
        path = os.path.realpath(output.name)
        may_be_device = output.kind == "log" and os.path.exists(path) and not os.path.isfile(path)
        if output.is_pattern or output.kind == "store" or may_be_device:
            continue
        check_output(output.name)
        first = seen.setdefault(path, output)
        if first is not output:
            raise XdpError(f"{first.parameter}={first.name} and {output.parameter}={output.name} are one file: give "
                           "them different names")


def _is_same_kind(output: NamedFile, word: str) -> bool:
    """Whether an input is the file of an output, and of its kind: .expt for experiments, .refl for reflections.

    Files of the stages of ``xdp process`` (``index.output.experiments``) are read again when a run is resumed.
    """
    is_kind = {"experiments": is_experiment_file, "reflections": is_reflection_file}.get(output.kind)
    names_kind = output.parameter == f"output.{output.kind}" and is_kind is not None and is_kind(word)
    return (names_kind and os.path.exists(word) and os.path.exists(output.name)
            and os.path.samefile(word, output.name))
