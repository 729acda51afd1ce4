"""The command line that all stage commands share: -h, -c, -e, -a, -v, --version, --phil, parameters and inputs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

import xdp
from xdp.errors import OptionError
from xdp.options.model import Options
from xdp.options.reader import parse
from xdp.options.text import changed_text, scope_text

Model = TypeVar("Model", bound=Options)


@dataclass(frozen=True)
class Command(Generic[Model]):
    """What a command line asked for.

    Attributes
    ----------
    options : Options
        The stage's parameters.
    inputs : list of str
        Words that are not parameters: files, templates, folders.
    verbosity : int
        How often ``-v`` was given.
    """

    options: Model
    inputs: list[str]
    verbosity: int

    @property
    def changed(self) -> str:
        """PHIL text of the parameters that differ from their defaults, for the log."""
        return changed_text(self.options)


def read_command(model: type[Model], args: Sequence[str], doc: str, name: str) -> Command[Model]:
    """Read the arguments of one command.

    ``-h`` prints `doc` and ``-c`` the parameters; both end the program with status 0.

    Parameters
    ----------
    model : type of Options
        The command's parameters.
    args : sequence of str
        Words after the command's name.
    doc : str
        Help text with examples, normally the docstring of the command's module.
    name : str
        The command's name ("find_spots").

    Raises
    ------
    OptionError
        If an option or parameter is not understood.
    SystemExit
        With status 0, after -h, -c or --version.
    """
    known, words = _split(args, name)
    if known.help:
        _leave(_help_text(model, doc, name, known.help))
    if known.version:
        _leave(f"xdp {xdp.__version__}\n")
    # After the words, as if they had been typed last: what comes later wins.
    if known.phil:
        words = [*words, *_phil_words(known.phil)]
    if known.show_config:
        options, _ = parse(model, words)
        _leave(scope_text(options, known.expert_level, known.attributes_level))
    options, inputs = parse(model, words)
    return Command(options, inputs, known.verbose)


class _Parser(argparse.ArgumentParser):
    """argparse whose complaints are `OptionError`, so that all commands report alike."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting with status 2."""
        raise OptionError(message)


def _split(args: Sequence[str], name: str) -> tuple[argparse.Namespace, list[str]]:
    """Take the dashed options out of the arguments; give them and the other words in their order."""
    parser = _Parser(prog=f"xdp {name}", add_help=False, allow_abbrev=False)
    # Counted, since -hh asks for more than -h.
    parser.add_argument("-h", "--help", action="count", default=0)
    parser.add_argument("-c", "--show-config", action="store_true")
    parser.add_argument("-e", "--expert-level", type=int, default=0)
    parser.add_argument("-a", "--attributes-level", type=int, default=0)
    parser.add_argument("-v", "--verbose", action="count", default=0)
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--phil", action="append", metavar="FILE")
    # Argparse would refuse name=value and files; they come back as words in their order.
    known, words = parser.parse_known_args(list(args))
    for word in words:
        if word.startswith("-") and len(word) > 1:
            hint = f"; write {word[2:]}" if word.startswith("--") and "=" in word else ""
            raise OptionError(f"unknown option {word}{hint}; xdp {name} -h explains the options")
    return known, words


def _phil_words(files: Sequence[str]) -> list[str]:
    """Words for ``--phil FILE``: the file's name, or for ``-`` each line of the standard input."""
    words = []
    # A file that is named twice counts once: repeated parameters would add up.
    for file in dict.fromkeys(files):
        if file == "-":
            words += [line.strip() for line in sys.stdin if line.strip()]
        else:
            words.append(file)
    return words


_USAGE = """Usage: xdp {name} [options] [parameter=value ...] [parameters.phil ...] inputs

{doc}

Options:
  -h, --help                  print this; -hh lists the parameters too
  -c, --show-config           print the parameters and their values, and stop
  -e, --expert-level N        list parameters up to this expert level (default 0)
  -a, --attributes-level N    list 1: help, 2: also types, 3: all attributes (default 0)
  -v, --verbose               say more; may be repeated
  --phil FILE                 read a parameter file ('-': standard input)
  --version                   print the version
"""


def _help_text(model: type[Options], doc: str, name: str, level: int) -> str:
    text = _USAGE.format(name=name, doc=doc.strip())
    if level > 1:
        text += "\nParameters:\n" + scope_text(model, level - 2, 1)
    return text


def _leave(text: str) -> NoReturn:
    """Print and end well."""
    sys.stdout.write(text)
    # Before SystemExit, so that a closed pipe shows here, where it is caught.
    sys.stdout.flush()
    raise SystemExit(0)
