"""Shots from the pickled image dictionaries of cctbx.xfel (``mod_dump``), read without unpickling."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Beam, Detector, Panel
from xdp.images.formats.base import Models
from xdp.images.masks.pickles import read_flex_pickle
from xdp.serial.events.shot import Shot
from xdp.serial.events.source import OneImageFiles
from xdp.serial.events.times import find_time, parse_time

#: Endings of the names of such files.
ENDINGS = (".pickle", ".pkl")


class PickledImages(OneImageFiles):
    """Files with one image dictionary each."""

    def read(self, index: int) -> Shot:
        """Read the image of a file, cut into its active areas."""
        path = self.files[index]
        values = read_image_dictionary(path)
        image = cut_active_areas(values, path)
        shot = self.context.build_shot(path, None, image, None, build_models(values, image, path))
        return dataclasses.replace(shot, time=find_dictionary_time(values, path))


def read_image_dictionary(path: str) -> dict[str, Any]:
    """Read an image dictionary.

    Parameters
    ----------
    path : str
        The pickle; nothing in it is executed.

    Returns
    -------
    dict

    Raises
    ------
    FormatError
        If it is none, or holds anything but arrays, numbers and text.
    """
    values = read_flex_pickle(path)
    data = values.get("DATA") if isinstance(values, dict) else None
    if not isinstance(data, np.ndarray) or data.ndim != 2:
        raise FormatError(f"{path}: an image dictionary of cctbx was expected, with an image DATA of two dimensions")
    return {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in values.items()}


def cut_active_areas(values: Mapping[str, Any], path: str) -> list[np.ndarray]:
    """Cut an image into its active areas.

    Parameters
    ----------
    values : mapping
        Of the file: DATA and ACTIVE_AREAS (slow0, fast0, slow1, fast1, ends excluded); without these the whole image.
    path : str
        For messages.

    Returns
    -------
    list of (slow, fast) array

    Raises
    ------
    FormatError
        If an area is not within the image.
    """
    data = values["DATA"]
    return [np.ascontiguousarray(data[s0:s1, f0:f1]) for s0, f0, s1, f1 in list_active_areas(values, path)]


def list_active_areas(values: Mapping[str, Any], path: str) -> list[tuple[int, int, int, int]]:
    """List the active areas of an image dictionary: (slow0, fast0, slow1, fast1), ends excluded."""
    n_slow, n_fast = values["DATA"].shape
    areas = values.get("ACTIVE_AREAS")
    if areas is None:
        return [(0, 0, n_slow, n_fast)]
    numbers = [int(v) for v in np.asarray(areas).reshape(-1)]
    rows = [tuple(numbers[i:i + 4]) for i in range(0, len(numbers), 4)]
    for row in rows:
        if len(row) != 4 or not (0 <= row[0] < row[2] <= n_slow and 0 <= row[1] < row[3] <= n_fast):
            raise FormatError(f"{path}: ACTIVE_AREAS has {row}, which is not within the image of {n_slow} x {n_fast}")
    return [(a, b, c, d) for a, b, c, d in rows]


def find_dictionary_time(values: Mapping[str, Any], path: str) -> int | None:
    """Find the time of an image dictionary: its own, else that in the file's name.

    Parameters
    ----------
    values : mapping
        Of the file.
    path : str
        Its name.

    Returns
    -------
    int or None
        Nanoseconds since 1970.
    """
    text = values.get("TIMESTAMP")
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    if isinstance(text, str) and text:
        try:
            return parse_time(text)
        except FormatError:
            return find_time(path.rpartition("/")[2])
    return find_time(path.rpartition("/")[2])


def build_models(values: Mapping[str, Any], image: list[np.ndarray], path: str) -> Models:
    """Build beam and detector of an image dictionary.

    The active areas lie where they are in the image; the beam is at (BEAM_CENTER_Y, BEAM_CENTER_X) along fast and slow.

    Parameters
    ----------
    values : mapping
        Of the file.
    image : list of (slow, fast) array
        The active areas.
    path : str
        For messages.

    Returns
    -------
    Models
        Each None where the file does not say enough, or says 0.
    """
    numbers = {key: _get_number(values, key) for key in (
        "WAVELENGTH", "DISTANCE", "PIXEL_SIZE", "BEAM_CENTER_X", "BEAM_CENTER_Y", "SATURATED_VALUE",
        "MIN_TRUSTED_VALUE")}
    wavelength, distance, pixel = numbers["WAVELENGTH"], numbers["DISTANCE"], numbers["PIXEL_SIZE"]
    beam = Beam.along_z(wavelength) if wavelength and wavelength > 0.0 else None
    if not distance or distance <= 0.0 or not pixel or pixel <= 0.0:
        return Models(beam, None)
    shape = values["DATA"].shape
    centre = [value if value is not None else 0.5 * size * pixel
              for value, size in ((numbers["BEAM_CENTER_X"], shape[0]), (numbers["BEAM_CENTER_Y"], shape[1]))]
    panels = []
    for i, (area, part) in enumerate(zip(list_active_areas(values, path), image, strict=True)):
        origin = (area[1] * pixel - centre[1], centre[0] - area[0] * pixel, -distance)
        panels.append(Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), origin, (part.shape[1], part.shape[0]), (pixel, pixel),
                            trusted_range=(_or(numbers["MIN_TRUSTED_VALUE"], -400.0),
                                           _or(numbers["SATURATED_VALUE"], 90000.0)),
                            name=f"p{i}", type="SENSOR_PAD", raw_image_offset=(area[1], area[0])))
    return Models(beam, Detector(tuple(panels)))


def _get_number(values: Mapping[str, Any], key: str) -> float | None:
    """A finite number of the dictionary; None where there is none."""
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if np.isfinite(value) else None


def _or(value: float | None, default: float) -> float:
    """A value, or the default where it is not known."""
    return default if value is None else value
