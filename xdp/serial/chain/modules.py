"""What a module of the chain is, and how modules are found by their names."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from xdp.errors import OptionError
from xdp.serial.calibration.calibrate import Calibration
from xdp.serial.chain.configuration import ModuleSettings
from xdp.serial.chain.keys import KeyReport, ShotKeys, read_keys
from xdp.serial.events.shot import Shot, ShotError, ShotFailure

log = logging.getLogger(__name__)

ENTRY_POINTS = "xdp.serial.modules"
"""Group of entry points by which users add modules: a class for each name."""


@dataclass(frozen=True)
class ChainRun:
    """What modules know of the run.

    Attributes
    ----------
    fields : dict
        ``run``, ``experiment`` and others that names of files may have.
    has_times : bool
        Whether the shots have times; where none has, files are named by the numbers of the shots.
    report : KeyReport
        What is to be said about keys.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    has_times: bool = True
    report: KeyReport = field(default_factory=KeyReport)


@dataclass
class ChainEvent:
    """A shot on its way through the chain; modules may put another image in its place.

    Attributes
    ----------
    shot : Shot
        As the modules before left it.
    raw : Shot
        As it was read.
    is_corrected : bool
        Whether a module has corrected the image and kept it.
    messages : list of str
        Lines for the log, in order.
    """

    shot: Shot
    raw: Shot
    is_corrected: bool = False
    messages: list[str] = field(default_factory=list)


class ChainModule:
    """The base of all modules.

    A module is made for each batch of shots: ``begin(run)``, then ``event(event)`` for each shot that reaches it, then
    ``end()``, whose results of all batches are joined in order: they have ``join(other)``, or are None.

    Attributes
    ----------
    keys_model : type of Options
        Its keys.
    needs_distance, needs_time : bool
        Whether a shot without is skipped and counted as failed.
    """

    keys_model: ClassVar[type[ShotKeys]] = ShotKeys
    needs_distance: ClassVar[bool] = False
    needs_time: ClassVar[bool] = False

    def __init__(self, settings: ModuleSettings) -> None:
        self.settings = settings

    def begin(self, run: ChainRun) -> None:
        """Read the keys and the files that they name."""
        self.run = run
        self.keys: Any = read_keys(self.settings, self.keys_model, run.fields, run.report)
        self.calibration = Calibration(self.keys.make_calibration())

    def event(self, event: ChainEvent) -> bool | None:
        """Look at a shot; False skips it for the modules after this one."""
        return None

    def end(self) -> Any:
        """Give what is joined over all batches; None for nothing."""
        return None

    def prepare(self, event: ChainEvent) -> Shot | None:
        """The shot as the keys want it: checked and corrected; None where the keys leave it out.

        Raises
        ------
        ShotError
            If the shot cannot be used.
        """
        if not self._is_wanted(event.shot):
            return None
        shot = event.shot if event.is_corrected else event.raw
        shot = self._check(override_models(shot, self.keys))
        if not event.is_corrected:
            shot = self.calibration.apply(shot)
            if shot.failure is not None:
                raise ShotError(shot.failure.reason, shot.failure.message)
        if self.keys.cache_image:
            event.shot, event.is_corrected = shot, True
        return shot

    def _is_wanted(self, shot: Shot) -> bool:
        """Whether the lasers are as the keys want them."""
        for name in ("laser_1_status", "laser_4_status"):
            wanted = getattr(self.keys, name)
            if wanted is None:
                continue
            if shot.scalars.get(name) is None:
                raise ShotError("bad value", f"{shot.id}: {name} is not known; events.value.scalar={name}=PATH names "
                                "the data set that has it")
            if bool(shot.scalars[name]) != bool(wanted):
                return False
        return True

    def _check(self, shot: Shot) -> Shot:
        """Refuse a shot without what the module needs."""
        if not shot.image:
            raise ShotError("no image", f"{shot.id}: has no image")
        if self.keys.check_beam_status and not (shot.photon_energy or 0) > 0:
            raise ShotError("no energy", f"{shot.id}: has no wavelength; check_beam_status = False goes on without")
        if self.needs_time and shot.time is None and self.run.has_times:
            raise ShotError("no time", f"{shot.id}: has no time")
        if self.needs_distance and shot.distance is None:
            raise ShotError("no distance", f"{shot.id}: has no distance")
        return shot


def override_models(shot: Shot, keys: ShotKeys) -> Shot:
    """Put the energy and the beam centre of the keys in the place of the shot's.

    Parameters
    ----------
    shot : Shot
    keys : ShotKeys

    Returns
    -------
    Shot
    """
    from xdp.images.formats.hdf5.nexus_beam import EV_ANGSTROM

    models = shot.experiment
    if keys.override_energy is not None:
        shot = dataclasses.replace(shot, photon_energy=keys.override_energy)
        if models is not None and models.beam is not None:
            beam = dataclasses.replace(models.beam, wavelength=EV_ANGSTROM / keys.override_energy)
            models = dataclasses.replace(models, beam=beam)
    has_centre = keys.override_beam_x is not None and keys.override_beam_y is not None
    if has_centre and models is not None and models.detector is not None and models.beam is not None:
        models = dataclasses.replace(models, detector=_move_centre(models, keys))
    return shot if models is shot.experiment else dataclasses.replace(shot, experiment=models)


def _move_centre(models: Any, keys: ShotKeys) -> Any:
    """The detector moved across the beam, so that the beam meets the first panel where the keys say."""
    import numpy as np

    from xdp.experiment.detector import move_panels

    detector, direction = models.detector, models.beam.unit_s0
    panel = detector[0]
    frame = panel.d_matrix
    x, y, _ = np.linalg.solve(np.column_stack([frame[:, :2], -direction]), -frame[:, 2])
    shift = frame[:, 0] * (x - keys.override_beam_x * panel.pixel_size[0]) + frame[:, 1] * (
        y - keys.override_beam_y * panel.pixel_size[1])
    return move_panels(detector, [np.column_stack([p.d_matrix[:, :2], p.d_matrix[:, 2] + shift]) for p in detector])


def describe_failure(error: Exception, shot: Shot) -> ShotFailure:
    """The failure that an error of a module makes of a shot.

    Parameters
    ----------
    error : Exception
    shot : Shot

    Returns
    -------
    ShotFailure
    """
    from xdp.serial.events.failures import explain_failure

    return explain_failure(error, shot.id.split(" //")[0])


def find_module(name: str) -> Callable[[ModuleSettings], Any]:
    """Find the class of a module by its name, with or without ``mod_``.

    Parameters
    ----------
    name : str

    Returns
    -------
    callable
        Called with the :class:`ModuleSettings` of an instance.

    Raises
    ------
    OptionError
        If there is none, or an entry point cannot be loaded.
    """
    import importlib
    from importlib.metadata import entry_points

    short = name.removeprefix("mod_")
    for point in entry_points(group=ENTRY_POINTS):
        if point.name in (name, short):
            try:
                return point.load()
            except Exception as error:
                raise OptionError(f"module {name}: its entry point {point.value} cannot be loaded ({error})") from None
    if short in MODULES:
        path, _, attribute = MODULES[short].partition(":")
        return getattr(importlib.import_module(path), attribute)
    raise OptionError(f"there is no module {name}: known are {', '.join(f'mod_{known}' for known in MODULES)}, and "
                      f"those that are installed as entry points of the group {ENTRY_POINTS}")


MODULES = {
    "hitfind": "xdp.serial.chain.hitfind:HitfindModule",
    "index": "xdp.serial.chain.hitfind:IndexModule",
    "dump": "xdp.serial.chain.dump:DumpModule",
    "average": "xdp.serial.chain.averages:AverageModule",
    "radial_average": "xdp.serial.chain.averages:RadialAverageModule",
}
"""Modules of ours by their names without ``mod_``."""
