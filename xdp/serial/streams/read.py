"""Reads CrystFEL streams. A fault is an error with the number of its line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from xdp.errors import FormatError
from xdp.files import open_input
from xdp.serial.streams.stream import PEAKS, REFLECTIONS, Stream, StreamChunk, StreamCrystal

_FIRST = "CrystFEL stream format 2."
_BLOCKS = {"----- Begin geometry file -----": "geometry", "----- Begin unit cell -----": "cell"}
_PEAKS_HEAD, _PEAKS_END = "Peaks from peak search", "End of peak list"
_REFLECTIONS_HEAD, _REFLECTIONS_END = "Reflections measured after indexing", "End of reflections"


def read_stream(path: str | os.PathLike) -> Stream:
    """Read a stream.

    Parameters
    ----------
    path : path
        Format 2.2 or 2.3. One that is still being written ends with its last whole image.

    Returns
    -------
    Stream

    Raises
    ------
    FormatError
        If it is no stream, or something in it makes no sense; the message has the number of the line.
    """
    name = os.fspath(path)
    try:
        with open_input(name) as stream:
            return _StreamReader(name, stream).read()
    except OSError as error:
        raise FormatError(f"{name}: cannot be read: {error.strerror or error}") from error


class _StreamReader:
    """Takes the lines of a stream in order."""

    def __init__(self, name: str, stream: Any) -> None:
        self.name = name
        self.number = 0
        self._lines = self._iterate(stream)

    def _iterate(self, stream: Any) -> Iterator[str]:
        """Lines without their ends, counted."""
        for raw in stream:
            self.number += 1
            try:
                yield raw.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                raise self._fail("is no text") from None

    def _fail(self, message: str) -> FormatError:
        """The error of the present line."""
        return FormatError(f"{self.name}, line {self.number}: {message}")

    def read(self) -> Stream:
        """Read everything."""
        result = Stream()
        first = next(self._lines, "")
        if not first.startswith(_FIRST):
            self.number = 1
            raise self._fail(f"is no CrystFEL stream: {_FIRST}x was expected, got {first[:40]!r}")
        result.lines.append(first)
        for line in self._lines:
            if line in _BLOCKS:
                self._read_block(result, _BLOCKS[line], line.replace("Begin", "End"))
            elif line == "----- Begin chunk -----":
                chunk = self._read_chunk()
                if chunk is None:
                    break
                result.chunks.append(chunk)
            elif result.geometry is None and result.cell is None and not result.chunks:
                result.lines.append(line)
            elif line.strip():
                if result.chunks:
                    raise self._fail(f"an image was expected to begin, got {line[:40]!r}")
                result.between.append(line)
        return result

    def _read_block(self, result: Stream, name: str, end: str) -> None:
        """The text up to the line `end`."""
        begin = self.number
        text: list[str] = []
        for line in self._lines:
            if line == end:
                setattr(result, name, "\n".join(text))
                return
            text.append(line)
        raise FormatError(f"{self.name}, line {begin}: the block that begins here has no end ({end})")

    def _read_chunk(self) -> StreamChunk | None:
        """An image; None where the file ends within it."""
        chunk = StreamChunk()
        for line in self._lines:
            if line == "----- End chunk -----":
                return chunk
            if line == _PEAKS_HEAD:
                chunk.peaks = self._read_table(PEAKS, _PEAKS_END)
                if chunk.peaks is None:
                    return None
            elif line == "--- Begin crystal":
                crystal = self._read_crystal()
                if crystal is None:
                    return None
                chunk.crystals.append(crystal)
            elif line.startswith("----- Begin"):
                raise self._fail("an image begins within another one")
            else:
                (chunk.lines if chunk.peaks is None and not chunk.crystals else chunk.after).append(line)
        return None

    def _read_crystal(self) -> StreamCrystal | None:
        """A crystal; None where the file ends within it."""
        crystal = StreamCrystal()
        for line in self._lines:
            if line == "--- End crystal":
                return crystal
            if line == _REFLECTIONS_HEAD:
                crystal.reflections = self._read_table(REFLECTIONS, _REFLECTIONS_END)
                if crystal.reflections is None:
                    return None
            elif line.startswith(("----- ", "--- ")):
                raise self._fail("a crystal has no end (--- End crystal)")
            else:
                (crystal.lines if crystal.reflections is None else crystal.after).append(line)
        return None

    def _read_table(self, columns: Sequence[tuple[str, Any]], end: str) -> dict[str, np.ndarray] | None:
        """A table up to the line `end`; None where the file ends within it."""
        next(self._lines, "")  # its heads
        rows: list[list[str]] = []
        first = self.number + 1
        for line in self._lines:
            if line == end:
                return self._convert(rows, columns, first)
            words = line.split()
            if len(words) != len(columns):
                raise self._fail(f"{len(columns)} columns were expected, got {len(words)}")
            rows.append(words)
        return None

    def _convert(self, rows: list[list[str]], columns: Sequence[tuple[str, Any]], first: int) -> dict[str, np.ndarray]:
        """Columns of rows of words."""
        result = {}
        for i, (name, dtype) in enumerate(columns):
            words = [row[i] for row in rows]
            try:
                result[name] = np.array(words, object if dtype is object else str).astype(dtype)
            except ValueError:
                bad = next(k for k, word in enumerate(words) if not _is_number(word, dtype))
                raise FormatError(f"{self.name}, line {first + bad}: {name} must be a number, got {words[bad]!r}") \
                    from None
        return result


def _is_number(word: str, dtype: Any) -> bool:
    """Whether a word is a number of a type."""
    try:
        np.array([word]).astype(dtype)
    except ValueError:
        return False
    return True
