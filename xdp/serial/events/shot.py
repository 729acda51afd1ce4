"""A shot: what was recorded of one pulse, and why it cannot be used where it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from xdp.display import Displayed
from xdp.errors import XdpError
from xdp.experiment import Experiment
from xdp.serial.events.times import format_time

#: Why a shot cannot be used: one of these words, for tables that count them.
REASONS = (
    "no image", "missing file", "truncated", "damaged", "wrong shape", "no geometry", "no energy", "no distance",
    "no time", "not finite", "blank", "saturated", "bad value", "psana", "disk full", "error",
)


class ShotError(XdpError):
    """A shot cannot be used; `reason` is one of :data:`REASONS`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, str(self))


class ShotFailure(NamedTuple):
    """Why a shot cannot be used.

    Attributes
    ----------
    reason : str
        One of :data:`REASONS`.
    message : str
        One line for the user, with the file's name.
    """

    reason: str
    message: str


class PeakList(NamedTuple):
    """Peaks that somebody else found, such as Cheetah, in the order of the file.

    Attributes
    ----------
    fast, slow : (n,) float64
        Where they are in the image as the file has it, pixels; the centre of the first pixel is at (0, 0), as in the
        file itself.
    intensity : (n,) float64
        Of each peak; zeros where the file has none.
    """

    fast: np.ndarray
    slow: np.ndarray
    intensity: np.ndarray


@dataclass(frozen=True, repr=False)
class Shot(Displayed):
    """What was recorded of one pulse. Modules change a shot by :func:`dataclasses.replace`.

    Attributes
    ----------
    index : int
        Place among the events, from 0: the same whatever part of them a worker reads.
    id : str
        The file, and which image of it as CrystFEL has it: ``run.cxi //12``.
    image : list of (slow, fast) array
        Raw counts of each panel; empty where `failure` says why there are none.
    valid : list of (slow, fast) bool, or None
        Pixels that may be used, one array a panel; None: all.
    experiment : Experiment or None
        Beam, detector and image set of the shot, as far as they are known.
    time : int or None
        Nanoseconds since 1970, see :mod:`xdp.serial.events.times`.
    photon_energy : float or None
        eV.
    distance : float or None
        From the sample to the detector, mm: encoder + ``detz_offset`` where the file has an encoder.
    pulse_energy : float or None
        mJ.
    scalars : mapping of str to float
        What the user asked for besides; None where the shot has no such value.
    peaks : PeakList or None
        Peaks that the file has.
    failure : ShotFailure or None
        Why the shot cannot be used; None where it can.
    """

    index: int
    id: str
    image: list[np.ndarray] = field(default_factory=list)
    valid: list[np.ndarray] | None = None
    experiment: Experiment | None = None
    time: int | None = None
    photon_energy: float | None = None
    distance: float | None = None
    pulse_energy: float | None = None
    scalars: Mapping[str, float | None] = field(default_factory=dict)
    peaks: PeakList | None = None
    failure: ShotFailure | None = None

    def _facts(self) -> list[tuple[str, Any]]:
        facts = [("index", self.index), ("id", self.id), ("panels", len(self.image)), ("time", self.timestamp),
                 ("photon energy", self.photon_energy), ("distance", self.distance)]
        return facts if self.failure is None else [*facts, ("failure", self.failure.message)]

    @property
    def timestamp(self) -> str | None:
        """The time as logs and tables have it; None where it is not known."""
        return None if self.time is None else format_time(self.time)

    @property
    def wavelength(self) -> float | None:
        """Wavelength in Å, from the photon energy."""
        from xdp.images.formats.hdf5.nexus_beam import EV_ANGSTROM

        return EV_ANGSTROM / self.photon_energy if self.photon_energy else None
