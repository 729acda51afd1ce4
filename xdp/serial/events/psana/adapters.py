"""The two versions of psana behind one interface: events of a run by number.

psana itself is not part of xdp; it comes with LCLS' software. What is used of it is little, and is named here: for
version 1 ``DataSource("exp=...:run=...:idx")``, ``runs``, ``times``, ``event``, ``env``, ``Detector``, ``EventId``; for
version 2 ``DataSource(exp=, run=)``, ``runs``, ``events``, ``Detector``, ``timestamp``.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from xdp.errors import XdpError
from xdp.serial.events.times import make_time

_HOW = ("LCLS streams are read through psana, which is not installed here: use an environment of LCLS that has it (at "
        "SLAC: source /sdf/group/lcls/ds/ana/sw/conda1/manage/bin/psconda.sh for version 1, conda2 for version 2; "
        "elsewhere: conda install -c lcls-i psana), and install xdp there. Files of other formats need no psana")


@dataclass(frozen=True)
class StreamEvent:
    """What psana gives of an event; each None where it has none.

    Attributes
    ----------
    image : (slow, fast) or (segment, slow, fast) array, or None
        Raw counts.
    time : int or None
        Nanoseconds since 1970.
    energy : float or None
        Photon energy, eV.
    encoder : float or None
        mm.
    pulse_energy : float or None
        mJ.
    """

    image: np.ndarray | None
    time: int | None
    energy: float | None
    encoder: float | None
    pulse_energy: float | None


@dataclass(frozen=True)
class StreamNames:
    """What is read of a run.

    Attributes
    ----------
    experiment : str
        Such as cxi49812.
    run : int
        Its number.
    address : str
        Of the detector.
    encoder : str or None
        Process variable of the detector's encoder.
    folder : str or None
        Where the streams are; None: where LCLS puts them.
    """

    experiment: str
    run: int
    address: str
    encoder: str | None = None
    folder: str | None = None


class StreamRun(ABC):
    """A run, opened."""

    @abstractmethod
    def count_events(self) -> int:
        """Count the events that are there now; streams that are still written have more later."""

    @abstractmethod
    def read_event(self, index: int) -> StreamEvent:
        """Read an event.

        Parameters
        ----------
        index : int
            From 0.

        Returns
        -------
        StreamEvent
        """


def open_stream_run(names: StreamNames) -> StreamRun:
    """Open a run with the version of psana that is installed.

    Parameters
    ----------
    names : StreamNames
        What is read.

    Returns
    -------
    StreamRun

    Raises
    ------
    XdpError
        If psana is not installed.
    """
    try:
        psana = importlib.import_module("psana")
    except ImportError as error:
        raise XdpError(f"{_HOW} ({error})") from error
    # Version 2 has no options of its own to be set.
    return FirstPsana(psana, names) if hasattr(psana, "setOption") else SecondPsana(psana, names)


def _find_number(value: Any) -> float | None:
    """A finite number; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


class FirstPsana(StreamRun):
    """psana of LCLS-I: events by their times, in any order.

    Parameters
    ----------
    psana : module
        Version 1.
    names : StreamNames
        What is read.
    """

    def __init__(self, psana: Any, names: StreamNames) -> None:
        self._psana = psana
        self._names = names
        folder = f":dir={names.folder}" if names.folder else ""
        source = psana.DataSource(f"exp={names.experiment}:run={names.run}:idx{folder}")
        self._run = next(iter(source.runs()))
        environment = source.env()
        self._detector = psana.Detector(names.address, environment)
        self._beam = self._find_detector("EBeam", environment)
        self._gas = self._find_detector("FEEGasDetEnergy", environment)
        self._encoder = self._find_detector(names.encoder, environment)
        self._times = list(self._run.times())

    def _find_detector(self, name: str | None, environment: Any) -> Any:
        """A source of the run besides its detector; None where the run has none of that name."""
        if name is None:
            return None
        try:
            return self._psana.Detector(name, environment)
        except Exception:  # psana raises errors of several kinds of its own
            return None

    def count_events(self) -> int:
        """Count the times of the run's index."""
        self._times = list(self._run.times())
        return len(self._times)

    def read_event(self, index: int) -> StreamEvent:
        """Read an event by its time."""
        event = self._run.event(self._times[index])
        image = self._detector.raw(event)
        seconds, nanoseconds = event.get(self._psana.EventId).time()
        beam, gas = (None if source is None else source.get(event) for source in (self._beam, self._gas))
        pulses = [] if gas is None else [_find_number(getattr(gas, name)()) for name in (
            "f_11_ENRC", "f_12_ENRC", "f_21_ENRC", "f_22_ENRC") if hasattr(gas, name)]
        known = [pulse for pulse in pulses if pulse is not None]
        return StreamEvent(
            None if image is None else np.asarray(image), make_time(seconds, nanoseconds),
            None if beam is None else _find_number(beam.ebeamPhotonEnergy()),
            None if self._encoder is None else _find_number(self._encoder(event)),
            float(np.mean(known)) if known else None)


class SecondPsana(StreamRun):
    """psana of LCLS-II: events one after the other; going back begins the run anew.

    Parameters
    ----------
    psana : module
        Version 2.
    names : StreamNames
        What is read.
    """

    def __init__(self, psana: Any, names: StreamNames) -> None:
        self._psana = psana
        self._names = names
        self._n_events: int | None = None
        self._begin()

    def _begin(self) -> None:
        """Open the run at its first event."""
        folder = {"dir": self._names.folder} if self._names.folder else {}
        source = self._psana.DataSource(exp=self._names.experiment, run=self._names.run, **folder)
        self._run = next(iter(source.runs()))
        self._detector = self._run.Detector(self._names.address)
        self._energy = self._find_detector("ebeamh")
        self._gas = self._find_detector("gmd")
        self._encoder = self._find_detector(self._names.encoder) if self._names.encoder else None
        self._events: Iterator[Any] = iter(self._run.events())
        self._next = 0

    def _find_detector(self, name: str | None) -> Any:
        """A detector of the run; None where the run has none of that name."""
        try:
            return self._run.Detector(name)
        except Exception:  # psana raises errors of several kinds of its own
            return None

    def count_events(self) -> int:
        """Count the events by going through them, once."""
        if self._n_events is None:
            self._begin()
            self._n_events = sum(1 for _ in self._events)
            self._begin()
        return self._n_events

    def read_event(self, index: int) -> StreamEvent:
        """Go on to an event."""
        if index < self._next:
            self._begin()
        event: Any = None
        while self._next <= index:
            event = next(self._events, None)
            if event is None:
                raise XdpError(f"{self._names.experiment}, run {self._names.run}: has {self._next} events, event "
                               f"{index} is wanted")
            self._next += 1
        image = self._detector.raw.raw(event)
        # Seconds in the upper half, nanoseconds in the lower.
        stamp = int(event.timestamp)
        return StreamEvent(
            None if image is None else np.asarray(image), make_time(stamp >> 32, stamp & 0xFFFFFFFF),
            None if self._energy is None else _find_number(self._energy.raw.ebeamPhotonEnergy(event)),
            None if self._encoder is None else _find_number(self._encoder(event)),
            None if self._gas is None else _find_number(self._gas.raw.milliJoulesPerPulse(event)))
