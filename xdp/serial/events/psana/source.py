"""Shots of an LCLS run, from whatever version of psana is installed."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from xdp.errors import XdpError
from xdp.experiment import Detector, Experiment
from xdp.images.formats.base import Models
from xdp.options import FilePath, Options, option
from xdp.options.named import make_options
from xdp.serial.events.context import RunContext
from xdp.serial.events.events import Events
from xdp.serial.events.options import EventOptions
from xdp.serial.events.psana.adapters import StreamEvent, StreamNames, StreamRun, open_stream_run
from xdp.serial.events.shot import Shot, ShotError
from xdp.serial.events.source import Source
from xdp.serial.events.values import ShotValues


class StreamOptions(Options):
    """Which run of LCLS is read, and how."""

    experiment: str = option("", "Experiment, such as cxi49812.")
    run: int = option(0, "Run.", ge=0)
    address: str = option("", "Detector, such as CxiDs2.0:Cspad.0.")
    encoder: str | None = option(None, "Process variable of the detector's encoder, such as CXI:DS1:MMS:06.RBV.")
    xtc_dir: FilePath | None = option(None, "Folder of the streams. None: where LCLS puts them.", file="input")
    events: EventOptions = option(EventOptions(), "")


def open_stream(options: StreamOptions | Mapping[str, Any] | None = None, **named: Any) -> Events:
    """Open the shots of an LCLS run.

    Parameters
    ----------
    options : StreamOptions or mapping, optional
        The run, and what is laid over what its streams say.
    **named
        Parameters by name, laid over `options`.

    Returns
    -------
    Events
        In the order of psana's index. Streams that are still written are read as far as they go.

    Raises
    ------
    XdpError
        If psana is not installed, or the run cannot be opened.
    """
    from xdp.serial.events.open import make_context

    chosen = make_options(StreamOptions, options, named)
    if not chosen.experiment or not chosen.address:
        raise XdpError("a stream needs experiment, run and address, such as experiment=cxi49812 run=69 "
                       "address=CxiDs2.0:Cspad.0")
    names = StreamNames(chosen.experiment, chosen.run, chosen.address, chosen.encoder, chosen.xtc_dir)
    source = StreamShots(names, make_context(chosen.events))
    # Asked now, so that a run that is not there is said before anything else.
    source.refresh()
    return Events([source], chosen.events.skip, chosen.events.count)


class StreamShots(Source):
    """Shots of a run. Each process opens the run for itself; threads take turns, since psana is not made for them.

    Parameters
    ----------
    names : StreamNames
        What is read.
    context : RunContext
        Of the run.
    """

    def __init__(self, names: StreamNames, context: RunContext) -> None:
        self.names = names
        self.context = context
        self._n_shots = 0
        self._reset()

    def _reset(self) -> None:
        """Begin with nothing opened."""
        self._lock = threading.Lock()
        self._run: StreamRun | None = None

    def __getstate__(self) -> dict[str, Any]:
        # An open run cannot travel; how many shots it has is known.
        return {"names": self.names, "context": self.context, "_n_shots": self._n_shots}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def _open(self) -> StreamRun:
        """The open run."""
        if self._run is None:
            self._run = open_stream_run(self.names)
        return self._run

    def refresh(self) -> None:
        """Count the events that are there now."""
        with self._lock:
            self._n_shots = self._open().count_events()

    @property
    def n_shots(self) -> int:
        """How many events there were when they were counted."""
        return self._n_shots

    def get_id(self, index: int) -> str:
        """Get a name: experiment, run and number."""
        return f"{self.names.experiment}-r{self.names.run:04d} //{index}"

    def read(self, index: int) -> Shot:
        """Read an event; whatever psana raises is the shot's failure."""
        name = self.get_id(index)
        with self._lock:
            try:
                event = self._open().read_event(index)
            except Exception as error:
                message = " ".join(str(error).split()) or type(error).__name__
                raise ShotError("psana", f"{name}: psana raised {type(error).__name__}: {message}") from error
        if event.image is None:
            raise ShotError("no image", f"{name}: has no image of {self.names.address}")
        return self._build_shot(name, index, event, event.image)

    def _build_shot(self, name: str, index: int, event: StreamEvent, image: np.ndarray) -> Shot:
        """A shot of an event."""
        context = self.context
        models = Models(None, None) if not context.params else Models(None, context.find_layout_detector(
            event.encoder))
        values = ShotValues(
            energies=np.array([np.nan if event.energy is None else event.energy]),
            encoders=None if event.encoder is None else np.array([event.encoder]),
            pulse_energies=None if event.pulse_energy is None else np.array([event.pulse_energy]))
        detector = context.reference.detector if context.reference is not None else models.detector
        panels = cut_segments(image, detector, name)
        shot = context.build_shot(name, None, panels, None, models, values)
        experiment = None if shot.experiment is None else dataclasses.replace(shot.experiment, imageset=None)
        # Streams are no image files: an experiment of them names none.
        return dataclasses.replace(shot, index=index, id=name, time=event.time, experiment=experiment or Experiment())


def cut_segments(image: np.ndarray, detector: Detector | None, name: str) -> list[np.ndarray]:
    """Cut the segments of an event into the panels of a detector.

    Parameters
    ----------
    image : (slow, fast) or (segment, slow, fast) array
        As psana gives it.
    detector : Detector or None
        Its panels lie in the segments, one below the other, where ``raw_image_offset`` says; None: a panel a segment.
    name : str
        Of the shot, for messages.

    Returns
    -------
    list of (slow, fast) array

    Raises
    ------
    ShotError
        With the reason "wrong shape".
    """
    if image.ndim not in (2, 3):
        raise ShotError("wrong shape", f"{name}: an image of 2 or 3 dimensions was expected, got {image.shape}")
    segments = image.reshape(-1, *image.shape[-2:])
    if detector is None or [segment.shape for segment in segments] == detector.panel_shapes:
        return list(segments)
    stacked = segments.reshape(-1, segments.shape[-1])
    panels = []
    for panel in detector:
        fast, slow = panel.raw_image_offset
        part = stacked[slow:slow + panel.image_size[1], fast:fast + panel.image_size[0]]
        if part.shape != panel.shape:
            raise ShotError("wrong shape", f"{name}: panel {panel.name} of the geometry does not lie in segments of "
                            f"{image.shape}: is it of this detector?")
        panels.append(np.ascontiguousarray(part))
    return panels
