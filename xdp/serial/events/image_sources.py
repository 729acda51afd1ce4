"""Shots from image files: stacks, and many files with one image each."""

from __future__ import annotations

import dataclasses
import os
import threading
from typing import Any

import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.base import EVERYTHING, GIVEN, Format, Models
from xdp.images.formats.find import find_format
from xdp.images.formats.hdf5.files import SIGNATURE
from xdp.serial.events.context import RunContext, name_shot
from xdp.serial.events.shot import Shot, ShotError
from xdp.serial.events.source import OneImageFiles, Source
from xdp.serial.events.values import ShotValues, read_peaks, read_shot_values


class SingleImages(OneImageFiles):
    """Files of any format that have one image each."""

    def read(self, index: int) -> Shot:
        """Read the one image of a file."""
        opened, models = open_with_models(self.files[index], self.context.params)
        return self.context.build_shot(self.files[index], None, opened.raw(0), opened.static_mask(), models)


class StackedImages(Source):
    """Images of one file that holds many. It is opened when it is first read, and again where it grows.

    Parameters
    ----------
    file : str
        HDF5, CXI, zarr, NPY ...
    context : RunContext
        Of the run.
    events : sequence of int or str, optional
        Which images, in order: by their numbers, or as CrystFEL names them (``//3``, ``tag1//``); by default all.
    """

    def __init__(self, file: str, context: RunContext, events: tuple[int | str, ...] | None = None) -> None:
        self.file = file
        self.context = context
        self.events = events
        self._reset()

    def _reset(self) -> None:
        """Begin with nothing opened."""
        self._lock = threading.Lock()
        self._opened: Format | None = None
        self._made: dict[str, Any] = {}
        self._joined = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "context": self.context, "events": self.events}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def _open(self) -> Format:
        """The open file."""
        with self._lock:
            if self._opened is None:
                self._opened = find_format(self.file, {**self.context.params, GIVEN: EVERYTHING})
            return self._opened

    def _read_models(self, place: int) -> Models:
        """What the file says of geometry, without the stand-ins for what it does not say."""
        with self._lock:
            if "models" not in self._made:
                try:
                    self._made["models"] = find_format(self.file, self.context.params)
                except FormatError:
                    self._made["models"] = None
        strict = self._made["models"]
        try:
            return Models() if strict is None else strict.models(place)
        except FormatError:
            return Models()

    def refresh(self) -> None:
        """Open the file anew: it may have grown."""
        self._reset()

    @property
    def n_shots(self) -> int:
        """Images of the file, or those that were asked for; 1 where the file cannot be opened, to say so."""
        if self.events is not None:
            return len(self.events)
        try:
            return self._open().n_images
        except FormatError:
            return 1

    def get_id(self, index: int) -> str:
        """Get the file's name and the number of the image."""
        event = index if self.events is None else self.events[index]
        if isinstance(event, str):
            return f"{self.file} {event}"
        names = getattr(self._opened, "events", None)
        # Layouts have events that are no numbers.
        if names is not None and 0 <= event < len(names):
            return f"{self.file} {names[event].name}"
        return name_shot(self.file, event)

    def read(self, index: int) -> Shot:
        """Read an image of the stack, with the values and peaks that the file has for it."""
        opened = self._open()
        place = self._find_place(opened, index)
        if not 0 <= place < opened.n_images:
            raise ShotError("no image", f"{self.file}: has {opened.n_images} images, image {place} is wanted (from 0)")
        values = self._read_values()
        image = opened.raw(place)
        shot = self.context.build_shot(self.file, place, image, self._read_mask(place, image),
                                       self._read_models(place), values)
        if values is not None and values.peaks is not None:
            return dataclasses.replace(shot, peaks=read_peaks(self.file, values.peaks, place))
        return shot

    def _find_place(self, opened: Format, index: int) -> int:
        """Number of an image in the file."""
        event = index if self.events is None else self.events[index]
        if isinstance(event, int):
            return event
        with self._lock:
            if "places" not in self._made:
                self._made["places"] = {e.name: i for i, e in enumerate(getattr(opened, "events", ()))}
        digits = event.removeprefix("//")
        place = self._made["places"].get(event, int(digits) if digits.isdecimal() and len(digits) < 12 else None)
        if place is None:
            raise ShotError("no image", f"{self.file}: has no event {event}")
        return place

    def _read_values(self) -> ShotValues | None:
        """Values of the shots, read once; None where the file is not HDF5."""
        with self._lock:
            if "values" not in self._made:
                self._made["values"] = (read_shot_values(self.file, self.context.options.value)
                                        if is_hdf5(self.file) else None)
            return self._made["values"]

    def _read_mask(self, place: int, image: list[np.ndarray]) -> list[np.ndarray] | None:
        """The file's mask: the one of all images, read once, and that of this image."""
        opened = self._open()
        with self._lock:
            if "mask" not in self._made:
                self._made["mask"] = opened.static_mask()
        static, own = self._made["mask"], opened.frame_mask(place)
        if static is None or own is None:
            return static if own is None else own
        known = getattr(self._joined, "known", None)
        # Equal masks of images are the same objects: they are joined once.
        if known is None or known[0] is not static or known[1] is not own:
            known = self._joined.known = static, own, [a & b for a, b in zip(static, own, strict=True)]
        return known[2]


def open_with_models(path: str, params: dict[str, Any]) -> tuple[Format, Models]:
    """Open a file of one image, which may lack a geometry.

    Parameters
    ----------
    path : str
        The file.
    params : dict
        Of the format.

    Returns
    -------
    Format
        For its pixels.
    Models
        What its header says; nothing where it lacks a part of a geometry.

    Raises
    ------
    FormatError
        If it is no image.
    """
    try:
        opened = find_format(path, params)
        return opened, opened.models(0)
    except FormatError:
        # For its pixels alone; what is damaged fails once more.
        return find_format(path, {**params, GIVEN: EVERYTHING}), Models()


def is_hdf5(path: str) -> bool:
    """Whether a file begins as HDF5 does.

    Parameters
    ----------
    path : str
        A file, or the folder of a store.

    Returns
    -------
    bool
    """
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as stream:
        return stream.read(len(SIGNATURE)) == SIGNATURE
