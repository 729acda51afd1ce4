"""Reads the frames of an experiment, whatever files they are in."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.errors import FormatError, XdpError
from xdp.images.formats.base import Format, find_format_class
from xdp.images.names import fill

if TYPE_CHECKING:
    from xdp.experiment import Experiment, ImageSet, Scan


def open_reader(experiment: Experiment) -> Reader:
    """A reader of an experiment's frames.

    Raises
    ------
    XdpError
        If the experiment has no images.
    FormatError
        If its first file cannot be read or is of no known format.
    """
    imageset = experiment.imageset
    if imageset is None:
        raise XdpError("the experiment has no images to read")
    files, indices = frame_files(imageset, experiment.scan)
    shapes = None if experiment.detector is None else tuple(experiment.detector.panel_shapes)
    return Reader(files, indices, dict(imageset.params), shapes)


def frame_files(imageset: ImageSet, scan: Scan | None) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """File, and index in it (from 0), of each frame of an image set; of a sequence, the frames of `scan`.

    A file that holds all frames is given once.
    """
    if imageset.template is None:
        images = imageset.images or ()
        return images, imageset.single_file_indices or (0,) * len(images)
    if scan is None:
        raise XdpError(f"{imageset.template}: a sequence of images needs a scan to say which")
    first, last = scan.image_range
    if "#" in imageset.template:
        return tuple(fill(imageset.template, number) for number in range(first, last + 1)), (0,) * scan.n_frames
    indices = imageset.single_file_indices
    if indices is not None and len(indices) == scan.n_frames:
        return (imageset.template,), indices
    return (imageset.template,), tuple(range(first - 1, last))


class Reader:
    """Frames of an experiment by number, from 0.

    Threads may share a reader; it pickles as the names of its files and opens them anew.

    Parameters
    ----------
    files
        One file a frame, or one for all.
    indices
        Index of each frame in its file, from 0.
    params
        Options of the format.
    shapes
        Shape (slow, fast) each panel must have; None: those of the first frame.
    """

    def __init__(self, files: tuple[str, ...], indices: tuple[int, ...], params: dict[str, Any],
                 shapes: tuple[tuple[int, int], ...] | None = None) -> None:
        self.files = tuple(files)
        self.indices = tuple(indices)
        self.params = params
        self._shapes = shapes

    def __getstate__(self) -> dict[str, Any]:
        return {"files": self.files, "indices": self.indices, "params": self.params, "_shapes": self._shapes}

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.indices)

    @property
    def panel_shapes(self) -> list[tuple[int, int]]:
        """Shape (slow, fast) of each panel."""
        return list(self._shapes) if self._shapes is not None else [panel.shape for panel in self._first_frame]

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels."""
        return np.result_type(*(panel.dtype for panel in self._first_frame))

    @functools.cached_property
    def _first_frame(self) -> list[np.ndarray]:
        return self.read(0)

    @functools.cached_property
    def _format_class(self) -> type[Format]:
        return find_format_class(self.files[0])

    @functools.cached_property
    def _stack(self) -> Format:
        """The one file of all frames, opened once."""
        return self._format_class(self.files[0], self.params)

    def share(self, other: Reader) -> None:
        """Use the file that another reader has open, where it is the same: experiments on frames of one stack."""
        if len(self.files) == 1 and self.files == other.files and self.params == other.params:
            for name in ("_format_class", "_stack", "_static"):
                self.__dict__[name] = getattr(other, name)

    @functools.cached_property
    def _static(self) -> list[np.ndarray] | None:
        """Mask of the one file of all frames, read once."""
        return self._stack.static_mask()

    def format(self, frame: int) -> Format:
        """The open file that holds a frame."""
        if len(self.files) == 1:
            return self._stack
        return self._format_class(self.files[frame], self.params)

    def read(self, frame: int) -> list[np.ndarray]:
        """The pixels of a frame: one (slow, fast) array a panel.

        Raises
        ------
        FormatError
            If the file is missing or damaged, or its size is not that of the experiment's detector.
        """
        if not 0 <= frame < self.n_frames:
            raise IndexError(f"frame must be in 0 to {self.n_frames - 1}, got {frame}")
        opened = self.format(frame)
        panels = opened.raw(self.indices[frame])
        if self._shapes is not None and tuple(panel.shape for panel in panels) != self._shapes:
            raise FormatError(f"{opened.path}: expected {_describe(list(self._shapes))} as the experiment's detector "
                              f"has, the image has {_describe([panel.shape for panel in panels])}")
        return panels

    def static_mask(self) -> list[np.ndarray] | None:
        """Pixels that the format says are valid in all frames, a bool (slow, fast) array a panel; None: all."""
        return self._static if len(self.files) == 1 else self.format(0).static_mask()


def _describe(shapes: list[tuple[int, ...]]) -> str:
    """Sizes of panels, fast by slow, shortly."""
    sizes = [" x ".join(str(n) for n in reversed(shape)) for shape in shapes]
    return f"{sizes[0]} pixels" if len(sizes) == 1 else f"{len(sizes)} panels of {sizes[0]} pixels"
