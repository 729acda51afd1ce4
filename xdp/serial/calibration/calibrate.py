"""Corrects the raw counts of shots: dark, common mode, gain, mask, in this order."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from xdp.errors import FormatError, OptionError, XdpError
from xdp.images.masks.static import combine_masks
from xdp.serial.calibration.common_mode import find_common_mode
from xdp.serial.calibration.dark import Dark, find_faulty_pixels
from xdp.serial.calibration.maps import fit_map, read_bad_mask, read_data_set, read_map
from xdp.serial.calibration.options import CalibrationOptions
from xdp.serial.calibration.sections import list_sections
from xdp.serial.calibration.three_gains import correct_three_gains, read_stages
from xdp.serial.events.image_sources import is_hdf5
from xdp.serial.events.shot import Shot, ShotFailure

logger = logging.getLogger(__name__)


class Calibration:
    """Corrects shots. The maps are read once, and fitted to the panels of the first shot of each shape.

    Parameters
    ----------
    options : CalibrationOptions
        Files, and what is done.

    Raises
    ------
    FormatError
        If a file cannot be read.
    OptionError
        If the options do not fit each other.
    """

    def __init__(self, options: CalibrationOptions) -> None:
        self.options = options
        if options.gain_map_level is not None and options.gain_map_path is None:
            raise OptionError("gain_map_level needs gain_map_path")
        if (options.pedestal_path is None) != (options.gains_path is None):
            raise OptionError("pedestal_path and gains_path must be given both or not at all")
        if options.common_mode_correction != "none" and options.dark_path is None:
            raise OptionError("common_mode_correction needs a dark: give dark_path and dark_stddev")
        self.dark = read_dark(options)
        self.gain = None if options.gain_map_path is None else read_map(options.gain_map_path)
        self.mask = None if options.mask_path is None else read_bad_mask(options.mask_path)
        self.stages = None if options.pedestal_path is None or options.gains_path is None else (
            read_stages(options.pedestal_path, "pedestals"), read_stages(options.gains_path, "gains"))
        self._reset()

    def _reset(self) -> None:
        """Begin with no maps fitted to panels."""
        self._fitted: dict[tuple, dict[str, Any]] = {}
        self._joined: tuple[Any, Any, list[np.ndarray] | None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_fitted", "_joined")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    @property
    def does_nothing(self) -> bool:
        """Whether shots stay as they are."""
        return self.dark is None and self.gain is None and self.mask is None and self.stages is None

    def apply(self, shot: Shot) -> Shot:
        """Correct a shot.

        Parameters
        ----------
        shot : Shot
            With raw counts; one that failed is given back as it is.

        Returns
        -------
        Shot
            With float64 images where they are corrected, and the pixels that may be used; or with its failure, such as
            a dark of another shape.
        """
        if shot.failure is not None or self.does_nothing:
            return shot
        try:
            return self._correct(shot)
        except XdpError as error:
            message = f"{shot.id}: {error}"
            reason = "wrong shape" if "wrong shape" in message else "bad value"
            return dataclasses.replace(shot, failure=ShotFailure(reason, message))

    def _correct(self, shot: Shot) -> Shot:
        """The corrected shot."""
        maps = self.get_maps([panel.shape for panel in shot.image])
        image, valid = shot.image, shot.valid
        if self.stages is not None:
            image, own = correct_three_gains(image, *self.stages)
            valid = combine_masks(valid, own)
        dark = maps["dark"]
        if dark is not None:
            if dark.stddev is None and self.options.common_mode_correction != "none":
                raise FormatError(f"the dark {self.options.dark_path} has no deviation, which "
                                  f"common_mode_correction={self.options.common_mode_correction} needs: give "
                                  "dark_stddev")
            image = [panel.astype(np.float64) - mean for panel, mean in zip(image, dark.mean, strict=True)]
            image = self._subtract_common_mode(shot, image, dark)
        if maps["gain"] is not None:
            image = [panel * gain for panel, gain in zip(image, maps["gain"], strict=True)]
        return dataclasses.replace(shot, image=image, valid=self._join_masks(valid, maps["valid"]))

    def _join_masks(self, valid: Any, own: Any) -> list[np.ndarray] | None:
        """Pixels that may be used by both masks; equal ones of consecutive shots are the same object."""
        known = self._joined
        if known is None or known[0] is not valid or known[1] is not own:
            # threads that share this may join the masks twice: they put the whole in place at once
            self._joined = known = valid, own, combine_masks(valid, own)
        return known[2]

    def _subtract_common_mode(self, shot: Shot, image: list[np.ndarray], dark: Dark) -> list[np.ndarray]:
        """The image without the offset of each section."""
        algorithm = self.options.common_mode_correction
        if algorithm == "none" or dark.stddev is None:
            return image
        detector = None if shot.experiment is None else shot.experiment.detector
        for section in list_sections(detector, len(image)):
            offsets = find_common_mode([image[i] for i in section], [dark.stddev[i] for i in section], algorithm)
            for i, offset in zip(section, offsets, strict=True):
                image[i] = image[i] - offset
        return image

    def get_maps(self, shapes: Sequence[tuple[int, ...]]) -> dict[str, Any]:
        """Get the maps as panels of given shapes have them.

        Parameters
        ----------
        shapes : sequence of (slow, fast)
            Of the panels.

        Returns
        -------
        dict
            ``dark`` (:class:`Dark`), ``gain`` (factors) and ``valid`` (pixels that may be used); None where there is
            none.

        Raises
        ------
        FormatError
            If a map is of another shape.
        """
        key = tuple(tuple(shape) for shape in shapes)
        if key not in self._fitted:
            self._fitted[key] = self._fit_shapes(key)
        return self._fitted[key]

    def _fit_shapes(self, shapes: Sequence[tuple[int, ...]]) -> dict[str, Any]:
        """The maps of panels of given shapes."""
        options = self.options
        dark = None
        valid: list[np.ndarray] | None = None
        if self.dark is not None:
            stddev = None if self.dark.stddev is None else fit_map(self.dark.stddev, shapes,
                                                                   str(options.dark_stddev or options.dark_path))
            dark = Dark(fit_map(self.dark.mean, shapes, str(options.dark_path)), stddev)
            if stddev is not None:
                valid = [sigma > 0.0 for sigma in stddev]
            if options.flag_pixels:
                valid = combine_masks(valid, [faults == 0 for faults in find_faulty_pixels(dark)])
        gain = None
        if self.gain is not None:
            gain = [panel.astype(np.float64) for panel in fit_map(self.gain, shapes, str(options.gain_map_path))]
            if options.gain_map_level is not None:
                # As the original has it: zeros of the map are the pixels of low gain.
                gain = [np.where(panel == 0.0, options.gain_map_level, 1.0) for panel in gain]
        if self.mask is not None:
            valid = combine_masks(valid, fit_map(self.mask, shapes, str(options.mask_path)))
        return {"dark": dark, "gain": gain, "valid": valid}


def read_dark(options: CalibrationOptions) -> Dark | None:
    """Read the dark that the options name.

    Parameters
    ----------
    options : CalibrationOptions
        ``dark_path``, and ``dark_stddev`` unless the same file has the deviation.

    Returns
    -------
    Dark or None
        None where no dark is named. Without deviations all its pixels count; a warning says so.

    Raises
    ------
    FormatError
        If a file cannot be read.
    OptionError
        If a deviation is named without a dark.
    """
    if options.dark_path is None:
        if options.dark_stddev is not None:
            raise OptionError("dark_stddev needs dark_path")
        return None
    mean = [panel.astype(np.float64) for panel in read_map(options.dark_path)]
    stddev = None
    if options.dark_stddev is not None:
        stddev = read_map(options.dark_stddev)
    elif is_hdf5(options.dark_path):
        stddev = read_data_set(options.dark_path, "stddev")
    if stddev is None:
        logger.warning("%s: the dark has no deviation (dark_stddev): pixels that do not work are not found by it",
                       options.dark_path)
    return Dark(mean, None if stddev is None else [panel.astype(np.float64) for panel in stddev])
