"""CrystFEL's streams and lists of events, read and written."""

from xdp.serial.streams.event_list import ListedEvent, read_event_list, write_event_list
from xdp.serial.streams.read import read_stream
from xdp.serial.streams.stream import Stream, StreamChunk, StreamCrystal
from xdp.serial.streams.write import write_stream

__all__ = ["ListedEvent", "Stream", "StreamChunk", "StreamCrystal", "read_event_list", "read_stream",
           "write_event_list", "write_stream"]
