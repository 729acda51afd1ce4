"""Shots of serial experiments, from files of any kind, one at a time."""

from xdp.serial.events.events import Events
from xdp.serial.events.open import open_events
from xdp.serial.events.options import EventOptions
from xdp.serial.events.shot import PeakList, Shot, ShotFailure

__all__ = ["EventOptions", "Events", "PeakList", "Shot", "ShotFailure", "open_events"]
