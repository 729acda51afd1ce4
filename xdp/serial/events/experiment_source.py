"""Shots of an ``.expt`` file: the images that it names, with its models."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections import OrderedDict
from typing import Any

from xdp.errors import FormatError
from xdp.experiment import Experiment, read_experiments
from xdp.experiment.imageset import STILLS
from xdp.images.masks.static import read_static_mask
from xdp.images.reader import Reader, list_frame_files, open_reader
from xdp.serial.events.context import RunContext, name_shot
from xdp.serial.events.shot import Shot
from xdp.serial.events.source import Source

MOST_OPEN = 16
"""Readers that are kept open. A choice: shots are read in order, so that few files are read from at a time."""


class ImportedShots(Source):
    """The images of an ``.expt`` file, each a shot; scans are taken apart.

    Several experiments on one image, as after indexing, are one shot. Crystals are not used.

    Parameters
    ----------
    path : str
        The file.
    context : RunContext
        Of the run: energy and distance of all shots may be given.

    Raises
    ------
    FormatError
        If it has no images.
    """

    def __init__(self, path: str, context: RunContext) -> None:
        self.path = path
        self.context = context
        frames: dict[tuple[str, int], tuple[Experiment, str, int, int]] = {}
        for experiment in read_experiments(path):
            if experiment.imageset is None:
                continue
            files, indices = list_frame_files(experiment.imageset, experiment.scan)
            for frame, index in enumerate(indices):
                file = files[frame] if len(files) > 1 else files[0]
                frames.setdefault((file, index), (experiment, file, index, frame))
        self.frames = list(frames.values())
        if not self.frames:
            raise FormatError(f"{path}: names no images: shots are wanted")
        self._reset()

    def _reset(self) -> None:
        """Begin with nothing opened."""
        self._lock = threading.Lock()
        self._open: OrderedDict[int, tuple[Reader, Any]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "context": self.context, "frames": self.frames}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    @property
    def n_shots(self) -> int:
        """Number of images."""
        return len(self.frames)

    def get_id(self, index: int) -> str:
        """Get the image's file, and which image of it where the file has several."""
        _, file, place, _ = self.frames[index]
        return name_shot(file, place if self._is_stack(index) else None)

    def _is_stack(self, index: int) -> bool:
        """Whether a file has several images, as the experiments know it."""
        imageset = self.frames[index][0].imageset
        return imageset is not None and (imageset.single_file_indices is not None
                                         or (imageset.template is not None and "#" not in imageset.template))

    def read(self, index: int) -> Shot:
        """Read an image with the models of its experiment."""
        experiment, file, place, frame = self.frames[index]
        reader, valid = self._find_reader(experiment)
        image = reader.read(frame)
        is_stack = self._is_stack(index)
        old = experiment.imageset
        assert old is not None
        imageset = dataclasses.replace(old, kind=STILLS, template=None, images=(os.path.abspath(file),),
                                       single_file_indices=(place,) if is_stack else None)
        still = dataclasses.replace(experiment, identifier="", goniometer=None, scan=None, crystal=None, profile=None,
                                    scaling_model=None, imageset=imageset)
        return self.context.lay_over(still, place, self.get_id(index), image, valid)

    def _find_reader(self, experiment: Experiment) -> tuple[Reader, Any]:
        """The open reader of an experiment's images, and their static mask."""
        key = id(experiment)
        with self._lock:
            if key not in self._open:
                reader = open_reader(experiment)
                self._open[key] = reader, read_static_mask(experiment, reader)
                if len(self._open) > MOST_OPEN:
                    self._open.popitem(last=False)
            self._open.move_to_end(key)
            return self._open[key]
