"""The commands that both checkouts run: how `commands.txt` is read.

A line ``[NAME]`` begins a set. One line is one command: its name, a colon and the words after `xdp`; a line that begins
with a blank continues the one before. Each command runs in a folder of its own, ``<set>/<name>``. In its words

- ``@name/file`` is a file that another command of the set wrote (``../name/file`` for the program);
- ``$DATA`` is the folder of data, and a word with ``*`` or ``?`` stands for the files that match, sorted;
- ``$SHORT`` is :data:`SHORT`;
- quotes mean what they mean to a shell;
- a first word ``make_laue`` runs `make_laue.py` of this folder with the checkout's interpreter, in place of `xdp`.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SHORT = "scan_range=1,20 prediction.d_min=2.2"
"""What makes one of many integrations of rot_dev quick: a third of the frames, half of the reflections."""

TABLE = Path(__file__).with_name("commands.txt")

TIMED = ("demo/demo", "rot_dev/find_spots", "rot_dev/find_spots_radial", "rot_dev/index", "rot_dev/refine",
         "rot_dev/refine_varying", "rot_dev/refine_bravais_settings", "rot_dev/integrate", "rot_dev/integrate_glm_2d",
         "rot_dev/integrate_loglinear", "rot_dev/integrate_detector_space", "rot_dev/export", "rot_dev/process_group",
         "lcysteine/process", "stills/integrate", "stills/integrate_ellipsoid", "cspad/find_spots", "cspad/integrate",
         "laue/n_removed", "laue/kruskal")
"""The commands that are timed: each stage, and the kernels with the most arguments."""


@dataclass(frozen=True)
class Command:
    """One command of a set.

    Attributes
    ----------
    group, name : str
        Set and name.
    words : tuple of str
        As in the table, before files are looked up.
    """

    group: str
    name: str
    words: tuple[str, ...]

    @property
    def place(self) -> str:
        """Its folder, relative to that of a run."""
        return f"{self.group}/{self.name}"

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The folders, relative to that of a run, of the commands whose files it reads."""
        found = (match[1] for word in self.words if (match := re.search(r"@(\w+)/", word)))
        return tuple(dict.fromkeys(f"{self.group}/{name}" for name in found))


def read_commands() -> list[Command]:
    """All commands, those that write before those that read."""
    return _sort_by_inputs(list(_read_table(TABLE.read_text(encoding="utf-8"))))


def compute_keys(commands: list[Command]) -> dict[str, str]:
    """A digest of what each command does, its inputs' commands included, by its place."""
    keys: dict[str, str] = {}
    for command in commands:
        text = repr((command.words, [keys[place] for place in command.inputs]))
        keys[command.place] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return keys


def _read_table(text: str) -> Iterator[Command]:
    """The commands in the order of the table."""
    group = ""
    for line in text.replace("\n ", " ").splitlines():
        if line.startswith("["):
            group = line.strip("[]")
        elif line and not line.startswith("#"):
            name, _, words = line.partition(":")
            yield Command(group, name, tuple(shlex.split(words.replace("$SHORT", SHORT))))


def _sort_by_inputs(commands: list[Command]) -> list[Command]:
    """The same commands in their order, but none before one whose files it reads."""
    known = {command.place: command for command in commands}
    done: dict[str, Command] = {}

    def add(command: Command) -> None:
        for place in command.inputs:
            add(known[place])
        done.setdefault(command.place, command)

    for command in commands:
        add(command)
    return list(done.values())
