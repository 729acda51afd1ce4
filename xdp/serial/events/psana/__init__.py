"""Shots of LCLS streams through psana, versions 1 and 2 behind one interface."""

from xdp.serial.events.psana.source import StreamOptions, StreamShots, open_stream

__all__ = ["StreamOptions", "StreamShots", "open_stream"]
