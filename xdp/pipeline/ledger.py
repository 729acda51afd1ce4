"""What an earlier run has done: for each stage the key of its inputs, its files, and what it found."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xdp.files import atomic_output
from xdp.work.keys import make_key, stamp_file

LAYOUT = 2
"""Raised whenever stages change what they write or say."""


def make_stage_key(*parts: Any) -> str:
    """Make the key of all that a stage depends on, the layout of its record included.

    Examples
    --------
    >>> make_stage_key("index", {"a": 1}) == make_stage_key("index", {"a": 2})
    False
    """
    return make_key(LAYOUT, *parts)


class Ledger:
    """The record of stages, in a file that is replaced whole after each.

    Parameters
    ----------
    path : Path
        The file; one that cannot be understood counts as empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stages: dict[str, dict[str, Any]] = {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        # A record that is lost or damaged costs time, never a result: all stages are done again.
        except (OSError, ValueError):
            return
        if isinstance(content, dict):
            self._stages = {name: entry for name, entry in content.items() if isinstance(entry, dict)}

    def is_done(self, stage: str, key: str) -> bool:
        """Say whether a stage was done with a key, and its files are as it left them.

        Parameters
        ----------
        stage, key : str
            The stage's name, and the key as of :func:`make_stage_key`.
        """
        entry = self._stages.get(stage, {})
        files = entry.get("files")
        # Files that were changed by hand are made anew.
        return entry.get("key") == key and isinstance(files, list) and all(_is_unchanged(file) for file in files)

    def facts(self, stage: str) -> dict[str, Any]:
        """What the stage found."""
        return dict(self._stages.get(stage, {}).get("facts", {}))

    def record(self, stage: str, key: str, files: Iterable[str], facts: dict[str, Any]) -> None:
        """Keep a stage that is done.

        Parameters
        ----------
        stage, key : str
            The stage's name, and the key of all that it depended on.
        files : iterable of str
            What it wrote; size and time of change of each are kept.
        facts : dict
            What it found, in JSON's types.
        """
        self._stages[stage] = {"key": key, "files": [stamp_file(file) for file in files], "facts": facts}
        self._write()

    def forget(self, stage: str) -> None:
        """Take a stage off the record before it is done anew, since its files will change."""
        if self._stages.pop(stage, None) is not None:
            self._write()

    def _write(self) -> None:
        with atomic_output(self._path) as part:
            part.write_text(json.dumps(self._stages), encoding="utf-8")


def _is_unchanged(entry: Any) -> bool:
    """Whether a file is there with the size and time of change that were kept."""
    return isinstance(entry, list) and len(entry) == 3 and entry[1] is not None and stamp_file(entry[0]) == entry
