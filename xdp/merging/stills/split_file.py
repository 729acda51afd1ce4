"""Which lattices are merged apart: a file of the user that names shots and groups."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from xdp.errors import FormatError

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


def read_split_file(path: str | os.PathLike, identifiers: Sequence[str], shots: Sequence[str]) -> list[str | None]:
    """Read the groups of lattices.

    Each line names a shot and a group: ``run1.h5//12 on`` or, with the event in a word of its own as CrystFEL has it,
    ``run1.h5 //12 on``. A shot is named by its file (with or without its folder) and event, or by the identifier of an
    experiment. Empty lines, and what follows ``#``, do not count.

    Parameters
    ----------
    path : path
    identifiers : sequence of str
        Of the experiments.
    shots : sequence of str
        Their shots, as of :func:`~xdp.merging.stills.observations.name_shots`.

    Returns
    -------
    list of str or None
        The group of each lattice; None: the file does not name it.

    Raises
    ------
    FormatError
        If a line is none of these, a shot has two groups, or no lattice is named.
    """
    name = os.fspath(path)
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise FormatError(f"stills.split={name}: cannot be read: {error.strerror}") from error
    groups: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) not in (2, 3) or not set(words[-1]) <= _PLAIN:
            raise FormatError(f"{name}: line {number}: a shot and a group (letters, digits, _ - .) are wanted, got "
                              f"{line.strip()!r}")
        shot = words[0] if len(words) == 2 else f"{words[0]}//{words[1].lstrip('/')}"
        if groups.setdefault(shot, words[-1]) != words[-1]:
            raise FormatError(f"{name}: line {number}: {shot} is in group {groups[shot]} already")
    found = [_find_group(groups, identifier, shot) for identifier, shot in zip(identifiers, shots, strict=True)]
    if not any(found):
        raise FormatError(f"{name}: names none of the {len(shots)} lattices; the first one is {identifiers[0]!r} in "
                          f"{shots[0]!r}")
    return found


def _find_group(groups: dict[str, str], identifier: str, shot: str) -> str | None:
    """The group of a lattice, by any of its names."""
    # users write what the stream, the list of events or the log shows
    file, slashes, event = shot.partition("//")
    short = os.path.basename(file) + slashes + event
    for name in (identifier, shot, short, file, os.path.basename(file)):
        if name and name in groups:
            return groups[name]
    return None
