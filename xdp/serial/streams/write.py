"""Writes CrystFEL streams, with the columns and digits that CrystFEL has."""

from __future__ import annotations

import os
from collections.abc import Iterator

from xdp.files import atomic_output
from xdp.serial.streams.stream import Stream, StreamChunk, StreamCrystal

_PEAKS_HEAD = "  fs/px   ss/px (1/d)/nm^-1   Intensity  Panel"
_REFLECTIONS_HEAD = "   h    k    l          I   sigma(I)       peak background  fs/px  ss/px panel"


def write_stream(path: str | os.PathLike, stream: Stream) -> None:
    """Write a stream.

    Parameters
    ----------
    path : path
        The file.
    stream : Stream
        Numbers of peaks and reflections get the digits that CrystFEL writes.

    Raises
    ------
    XdpError
        If the file cannot be written.
    """
    with atomic_output(path) as part, open(part, "w", encoding="utf-8", newline="\n") as file:
        for line in _format_stream(stream):
            file.write(line + "\n")


def _format_stream(stream: Stream) -> Iterator[str]:
    """All lines."""
    yield from stream.lines or ["CrystFEL stream format 2.3"]
    for name, text in (("geometry file", stream.geometry), ("unit cell", stream.cell)):
        if text is not None:
            yield f"----- Begin {name} -----"
            yield from text.split("\n")
            yield f"----- End {name} -----"
    yield from stream.between
    for chunk in stream.chunks:
        yield from format_chunk(chunk)


def format_chunk(chunk: StreamChunk) -> Iterator[str]:
    """Format an image, with its peaks and crystals.

    Parameters
    ----------
    chunk : StreamChunk

    Yields
    ------
    str
        Lines without their ends.
    """
    yield "----- Begin chunk -----"
    yield from chunk.lines
    if chunk.peaks is not None:
        yield "Peaks from peak search"
        yield _PEAKS_HEAD
        for row in zip(*(chunk.peaks[name] for name in ("fs", "ss", "inverse_d", "intensity", "panel")), strict=True):
            yield "{:7.2f} {:7.2f} {:10.2f} {:11.2f}   {}".format(*row)
        yield "End of peak list"
    yield from chunk.after
    for crystal in chunk.crystals:
        yield from _format_crystal(crystal)
    yield "----- End chunk -----"


def _format_crystal(crystal: StreamCrystal) -> Iterator[str]:
    """The lines of a crystal."""
    yield "--- Begin crystal"
    yield from crystal.lines
    if crystal.reflections is not None:
        yield "Reflections measured after indexing"
        yield _REFLECTIONS_HEAD
        names = ("h", "k", "l", "intensity", "sigma", "peak", "background", "fs", "ss", "panel")
        for row in zip(*(crystal.reflections[name] for name in names), strict=True):
            yield "{:4d} {:4d} {:4d} {:10.2f} {:10.2f} {:10.2f} {:10.2f} {:6.1f} {:6.1f} {}".format(*row)
        yield "End of reflections"
    yield from crystal.after
    yield "--- End crystal"
