"""Models that take the place of those of the images: a reference detector, and values of the user."""

from __future__ import annotations

import dataclasses
from typing import Any

from xdp.errors import OptionError, XdpError
from xdp.experiment import Beam, Detector, read_experiments
from xdp.images.importing.detector_overrides import override_detector
from xdp.images.importing.options import BeamOverride, DetectorOverride
from xdp.images.importing.overrides import override_beam
from xdp.serial.events.shot import Shot, ShotError
from xdp.serial.process.options import ShotProcessing

MOST_KEPT = 64
"""Changed detectors that are kept: shots share a detector, or few of them. A choice."""


class ShotGeometry:
    """Lays a reference and the user's values over the models of shots.

    Parameters
    ----------
    options : ShotProcessing
        ``geometry``; and ``input.reference_geometry`` where there is one.

    Raises
    ------
    OptionError
        If the reference has no detector or several, or a value has no use for stills.
    """

    def __init__(self, options: ShotProcessing) -> None:
        self.geometry = options.geometry
        given = getattr(options, "input", None)
        path = None if given is None else given.reference_geometry
        self.sync = given is not None and given.sync_reference_geom
        self.reference = None if path is None else read_reference(path)
        self.ignore_gain = given is not None and given.ignore_gain_mismatch
        own = options.spotfinder.threshold.dispersion.gain
        summed = options.integration.summation.detector_gain
        self.gains = [f"{name}={value:g}" for name, value in (
            ("spotfinder.threshold.dispersion.gain", own), ("integration.summation.detector_gain", summed))
            if value is not None and value != 1.0]
        for name in ("convert_stills_to_sequences",):
            if getattr(self.geometry, name):
                raise OptionError(f"geometry.{name}=True: shots are stills; use xdp import for sequences")
        self._reset()

    def _reset(self) -> None:
        """Begin with nothing changed."""
        self._made: dict[int, tuple[Detector | None, Beam | None, Detector | None]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_made"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    @property
    def does_nothing(self) -> bool:
        """Whether the models of shots stay as they are."""
        return (self.reference is None and self.geometry.beam == BeamOverride()
                and self.geometry.detector == DetectorOverride())

    def check_gain(self, shot: Shot) -> None:
        """Refuse a gain that is both in the detector's model and in the parameters: noise would count twice.

        Parameters
        ----------
        shot : Shot
            With its models.

        Raises
        ------
        OptionError
            Unless ``ignore_gain_mismatch`` allows it.
        """
        if self.ignore_gain or shot.experiment is None or shot.experiment.detector is None:
            return
        gain = shot.experiment.detector[0].gain
        if gain not in (0.0, 1.0) and self.gains:
            raise OptionError(f"the detector has a gain of {gain:g}, and {' and '.join(self.gains)} was given: counts "
                              "are divided by the first already; leave the second at 1, or give "
                              "input.ignore_gain_mismatch=True")

    def apply(self, shot: Shot) -> Shot:
        """Give a shot its models.

        Parameters
        ----------
        shot : Shot

        Returns
        -------
        Shot

        Raises
        ------
        ShotError
            With the reason "wrong shape" if the panels of the reference are not those of the image.
        """
        if self.does_nothing or shot.experiment is None:
            return shot
        experiment = shot.experiment
        beam = override_beam(experiment.beam, self.geometry.beam)
        detector = self._change(experiment.detector, beam, shot)
        energy = shot.photon_energy
        if self.geometry.beam.wavelength is not None:
            from xdp.images.formats.hdf5.nexus_beam import EV_ANGSTROM

            energy = EV_ANGSTROM / self.geometry.beam.wavelength
        distance = shot.distance
        if detector is not None and (distance is None or self.geometry.detector.distance is not None):
            from xdp.images.importing.detector_overrides import compute_distance

            distance = compute_distance(detector, beam)
        return dataclasses.replace(shot, photon_energy=energy, distance=distance,
                                   experiment=dataclasses.replace(experiment, beam=beam, detector=detector))

    def _change(self, detector: Detector | None, beam: Beam | None, shot: Shot) -> Detector | None:
        """The detector of a shot; the same object for shots that have the same one."""
        known = self._made.get(id(detector))
        if known is not None and known[0] is detector and known[1] == beam:
            return known[2]
        changed = detector
        if self.reference is not None:
            found = [tuple(image.shape) for image in shot.image]
            wanted = [tuple(shape) for shape in self.reference.panel_shapes]
            if found != wanted:
                raise ShotError("wrong shape", f"{shot.id}: input.reference_geometry has {len(wanted)} panels of "
                                f"{wanted[0]} (slow, fast) pixels, the image has {len(found)} of "
                                f"{found[0] if found else ()}")
            changed = sync_panels(self.reference, detector) if self.sync and detector is not None else self.reference
        changed = override_detector(changed, self.geometry.detector, beam)
        if len(self._made) >= MOST_KEPT:
            self._made.clear()
        # the detector is kept with the changed one, so that its id stays its own
        self._made[id(detector)] = detector, beam, changed
        return changed


def read_reference(path: str) -> Detector:
    """Read the one detector of a reference.

    Parameters
    ----------
    path : str
        An ``.expt`` file.

    Returns
    -------
    Detector

    Raises
    ------
    OptionError
        If it has none, or more than one.
    """
    try:
        detectors = read_experiments(path).unique("detector")
    except XdpError as error:
        raise OptionError(f"input.reference_geometry={path}: {error}") from error
    if len(detectors) != 1:
        raise OptionError(f"input.reference_geometry={path}: must have one detector, has {len(detectors)}")
    return detectors[0]


def sync_panels(reference: Detector, detector: Detector) -> Detector:
    """Give the panels of a reference the names, trusted ranges and gains of those of the images.

    Parameters
    ----------
    reference, detector : Detector
        With the same number of panels.

    Returns
    -------
    Detector
        Positions are the reference's.
    """
    panels = [dataclasses.replace(panel, name=own.name, trusted_range=own.trusted_range, gain=own.gain)
              for panel, own in zip(reference, detector, strict=True)]
    return dataclasses.replace(reference, panels=tuple(panels))
