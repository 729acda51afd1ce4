"""What holds for all shots of a run: geometry and options laid over what the files say."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from xdp.experiment import Beam, Detector, Experiment, ImageSet
from xdp.experiment.imageset import STILLS
from xdp.images.formats.base import Models
from xdp.images.formats.find import GEOMETRY_FILE
from xdp.images.formats.hdf5.laid_out import load_geometry
from xdp.images.formats.hdf5.nexus_beam import EV_ANGSTROM
from xdp.images.geometry_files.crystfel_detector import build_geometry_detector, find_clen
from xdp.images.importing.detector_overrides import compute_distance, set_distance
from xdp.images.importing.files import make_absolute
from xdp.serial.events.options import EventOptions
from xdp.serial.events.shot import Shot, ShotError
from xdp.serial.events.times import find_time
from xdp.serial.events.values import ShotValues, get_value

# Detectors at other distances that are kept: an encoder repeats its values. A choice.
_MOST_DETECTORS = 256


@dataclass(frozen=True)
class Reference:
    """Models of a geometry file, which take the place of the images' own.

    Attributes
    ----------
    beam : Beam or None
        The wavelength of a shot takes the place of its own.
    detector : Detector
        Its panels are those of the images.
    """

    beam: Beam | None
    detector: Detector


class RunContext:
    """Makes shots of images, values and models.

    Parameters
    ----------
    options : EventOptions
        Of the run.
    reference : Reference, optional
        Models of an ``.expt`` file.
    layout : str, optional
        A geometry file that says how images are cut into panels.

    Attributes
    ----------
    params : dict
        Of the images' formats.
    """

    def __init__(self, options: EventOptions, reference: Reference | None = None,
                 layout: str | None = None) -> None:
        self.options = options
        self.reference = reference
        self.params: dict[str, Any] = {} if layout is None else {GEOMETRY_FILE: layout}
        self._reset()

    def _reset(self) -> None:
        """Begin with no detector moved."""
        self._moved: dict[tuple[int, float], tuple[Detector, Detector]] = {}
        self._last: tuple[Beam | None, Detector | None] = (None, None)

    def __getstate__(self) -> dict[str, Any]:
        # What was made on the way stays behind.
        return {"options": self.options, "reference": self.reference, "params": self.params}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def build_shot(self, path: str, index: int | None, image: list[np.ndarray], valid: list[np.ndarray] | None,
                   models: Models, values: ShotValues | None = None) -> Shot:
        """Make a shot.

        Parameters
        ----------
        path : str
            Its file.
        index : int or None
            Which image of the file; None where it has one.
        image : list of (slow, fast) array
            Counts of each panel.
        valid : list of (slow, fast) bool, or None
            Pixels that the file does not mask.
        models : Models
            Of the image's header.
        values : ShotValues, optional
            Of the file.

        Returns
        -------
        Shot
            Its index is that in the file.

        Raises
        ------
        ShotError
            If the image has not the panels of the geometry.
        """
        values = values or ShotValues()
        place = index or 0
        if self.params:
            values = self._prefer_layout(values)
        energy = self._choose_energy(models, get_value(values.energies, place), values.energies is not None)
        distance = self._choose_distance(values, place)
        beam, detector = self._choose_models(models, energy, distance)
        name = name_shot(path, index)
        check_shapes(name, image, detector)
        if detector is not None and distance is None:
            distance = compute_distance(detector, beam)
        time = values.get_time(place)
        imageset = ImageSet(STILLS, images=(make_absolute(path),), params=dict(self.params),
                            single_file_indices=None if index is None else (index,))
        return Shot(place, name, image, valid, Experiment(
            beam=beam, detector=detector, imageset=imageset),
            time=find_time(path.rpartition("/")[2]) if time is None else time, photon_energy=energy, distance=distance,
            pulse_energy=get_value(values.pulse_energies, place),
            scalars={name: get_value(numbers, place) for name, numbers in values.scalars.items()})

    def lay_over(self, experiment: Experiment, place: int, name: str, image: list[np.ndarray],
                 valid: list[np.ndarray] | None) -> Shot:
        """Make a shot of an image whose models are known.

        Parameters
        ----------
        experiment : Experiment
            With its image set; the reference of the run takes the place of its beam and detector.
        place : int
            Which image of its file.
        name : str
            Of the shot.
        image : list of (slow, fast) array
            Counts of each panel.
        valid : list of (slow, fast) bool, or None
            Pixels that may be used.

        Returns
        -------
        Shot

        Raises
        ------
        ShotError
            If the image has not the panels of the detector.
        """
        models = Models(beam=experiment.beam, detector=experiment.detector)
        energy = self._choose_energy(models, None, False)
        distance = self.options.distance
        beam, detector = self._choose_models(models, energy, distance)
        check_shapes(name, image, detector)
        if detector is not None and distance is None:
            distance = compute_distance(detector, beam)
        return Shot(place, name, image, valid, dataclasses.replace(experiment, beam=beam, detector=detector),
                    time=find_time(name.rpartition("/")[2]), photon_energy=energy, distance=distance)

    def find_layout_detector(self, encoder: float | None) -> Detector | None:
        """Find the detector of a geometry file for images that are no files.

        Parameters
        ----------
        encoder : float or None
            mm: the camera length where the geometry file takes it from the images.

        Returns
        -------
        Detector or None
            None where the camera length is not known.
        """
        geometry = load_geometry(self.params[GEOMETRY_FILE])
        clen = find_clen(geometry)
        if clen is None:
            if encoder is None and self.options.distance is None:
                return None
            # What the user gives takes its place afterwards.
            clen = (encoder if encoder is not None else self.options.distance or 0.0) / 1000.0
        return build_geometry_detector(geometry, clen)

    def _prefer_layout(self, values: ShotValues) -> ShotValues:
        """The file's values without those for which the geometry file says where they come from."""
        geometry = load_geometry(self.params[GEOMETRY_FILE])
        energies = values.energies if geometry.beam is None or self.options.value.energy else None
        has_clen = geometry.panels[0].clen is not None and self.options.detz_offset is None
        return dataclasses.replace(values, energies=energies, encoders=None if has_clen else values.encoders)

    def _choose_energy(self, models: Models, own: float | None, has_own: bool) -> float | None:
        """The photon energy, eV: the user's, the shot's, the header's, the geometry file's."""
        if self.options.energy is not None:
            return self.options.energy
        # A file that has energies says by a 0 that this shot has none: no other is put in its place.
        if has_own:
            return own
        for beam in (models.beam, self.reference.beam if self.reference else None):
            if beam is not None and beam.wavelength > 0.0:
                return EV_ANGSTROM / beam.wavelength
        return None

    def _choose_distance(self, values: ShotValues, index: int) -> float | None:
        """The distance, mm: the user's, the encoder's with its offset, the file's; None: that of the detector."""
        if self.options.distance is not None:
            return self.options.distance
        encoder = get_value(values.encoders, index)
        if encoder is not None and self.options.detz_offset is not None:
            return encoder + self.options.detz_offset
        return get_value(values.distances, index)

    def _choose_models(self, models: Models, energy: float | None,
                       distance: float | None) -> tuple[Beam | None, Detector | None]:
        """Beam and detector; equal ones of consecutive shots are the same object."""
        reference = self.reference
        beam = reference.beam if reference and reference.beam is not None else models.beam
        if energy is not None and np.isfinite(energy) and energy > 0.0:
            wavelength = EV_ANGSTROM / energy
            beam = Beam.along_z(wavelength) if beam is None else dataclasses.replace(beam, wavelength=wavelength)
        detector = reference.detector if reference else models.detector
        last_beam, last_detector = self._last
        beam = last_beam if beam == last_beam else beam
        detector = last_detector if detector == last_detector else detector
        self._last = beam, detector
        if detector is not None and distance is not None and np.isfinite(distance) and distance > 0.0:
            detector = self._move(detector, distance, beam)
        return beam, detector

    def _move(self, detector: Detector, distance: float, beam: Beam | None) -> Detector:
        """The detector at a distance; the same object for shots that have the same one."""
        key = id(detector), distance
        if key not in self._moved:
            if len(self._moved) >= _MOST_DETECTORS:
                self._moved.clear()
            # The detector is kept with the moved one, so that its id stays its own.
            self._moved[key] = detector, set_distance(detector, distance, beam)
        return self._moved[key][1]


def name_shot(path: str, index: int | None) -> str:
    """Name a shot as CrystFEL does.

    Parameters
    ----------
    path : str
        Its file.
    index : int or None
        Which image of the file, from 0; None where it has one.

    Returns
    -------
    str

    Examples
    --------
    >>> name_shot("run.cxi", 12), name_shot("shot.cbf", None)
    ('run.cxi //12', 'shot.cbf')
    """
    return path if index is None else f"{path} //{index}"


def check_shapes(name: str, image: list[np.ndarray], detector: Detector | None) -> None:
    """Refuse an image whose panels are not those of the detector.

    Parameters
    ----------
    name : str
        Of the shot, for the message.
    image : list of (slow, fast) array
        Its panels.
    detector : Detector or None
        None: any panels fit.

    Raises
    ------
    ShotError
        With the reason "wrong shape".
    """
    if detector is None:
        return
    found, wanted = [tuple(panel.shape) for panel in image], [tuple(shape) for shape in detector.panel_shapes]
    if found != wanted:
        raise ShotError("wrong shape", f"{name}: the geometry has {len(wanted)} panels of {wanted[0]} (slow, fast) "
                        f"pixels, the image has {len(found)} of {found[0] if found else ()}: is it of this detector?")
