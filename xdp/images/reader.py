"""Reads the frames of an experiment, whatever files they are in."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.errors import FormatError, XdpError
from xdp.images.formats.base import EVERYTHING, GIVEN, Format
from xdp.images.formats.find import find_format_class
from xdp.images.names import fill_template

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xdp.experiment import Experiment, ImageSet, Scan


def open_reader(experiment: Experiment) -> Reader:
    """Open a reader of an experiment's frames.

    Parameters
    ----------
    experiment : Experiment
        With an image set; a sequence needs its scan, and a detector gives the size that each frame must have.

    Returns
    -------
    Reader
        No file is opened yet.

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
    files, indices = list_frame_files(imageset, experiment.scan)
    shapes = None if experiment.detector is None else tuple(experiment.detector.panel_shapes)
    return Reader(files, indices, dict(imageset.params), shapes)


def check_stacks(experiments: Iterable[Experiment]) -> None:
    """Check that files which hold all frames of a scan have them, before anything is computed for these frames.

    Parameters
    ----------
    experiments : iterable of Experiment
        Those without scan or images, and files that are not there, are left to who reads them.

    Raises
    ------
    FormatError
        If a file has fewer images than the scan.
    """
    looked_at = set()
    for experiment in experiments:
        imageset, scan = experiment.imageset, experiment.scan
        if imageset is None or imageset.template is None or scan is None or not os.path.exists(imageset.template):
            continue
        if (imageset.template, scan.image_range) not in looked_at:
            looked_at.add((imageset.template, scan.image_range))
            open_reader(experiment).open_file(0)


def list_frame_files(imageset: ImageSet, scan: Scan | None) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """List the files of an image set, and which image of its file each frame is.

    Parameters
    ----------
    imageset : ImageSet
        Single files, one file, or a template.
    scan : Scan or None
        Of a sequence: its frames are listed.

    Returns
    -------
    files : tuple of str
        One a frame; a file that holds all frames is given once.
    indices : tuple of int
        Index of each frame in its file, from 0.

    Raises
    ------
    XdpError
        If a sequence has no scan.

    Examples
    --------
    >>> from xdp.experiment import ImageSet, Scan
    >>> list_frame_files(ImageSet("ImageSequence", template="img_##.cbf"), Scan((3, 4), (0.0, 0.1)))
    (('img_03.cbf', 'img_04.cbf'), (0, 0))
    """
    if imageset.template is None:
        images = imageset.images or ()
        return images, imageset.single_file_indices or (0,) * len(images)
    if scan is None:
        raise XdpError(f"{imageset.template}: a sequence of images needs a scan to say which")
    first, last = scan.image_range
    if is_template(imageset):
        files = tuple(fill_template(imageset.template, number) for number in range(first, last + 1))
        return files, (0,) * scan.n_frames
    # Part of a stack carries its own indices; a whole one may go without, and counts images from 1 as scans do.
    indices = imageset.single_file_indices
    if indices is not None and len(indices) == scan.n_frames:
        return (imageset.template,), indices
    return (imageset.template,), tuple(range(first - 1, last))


def is_template(imageset: ImageSet) -> bool:
    """Whether the ``template`` of an image set stands for many files.

    Else it is one stack, which gives the places of its images in it and may have a ``#`` in its name.
    """
    template = imageset.template
    return template is not None and not imageset.single_file_indices and "#" in template.rpartition("/")[2]


class Reader:
    """Frames of an experiment by number, from 0.

    Threads may share a reader. A pickled reader holds the names of its files and opens them anew.

    Parameters
    ----------
    files : tuple of str
        One file a frame, or one for all.
    indices : tuple of int
        Index of each frame in its file, from 0.
    params : dict
        Options of the format.
    shapes : tuple of (slow, fast), optional
        Shape each panel must have; None: those of the first frame.
    """

    def __init__(self, files: tuple[str, ...], indices: tuple[int, ...], params: dict[str, Any],
                 shapes: tuple[tuple[int, int], ...] | None = None) -> None:
        self.files = tuple(files)
        self.indices = tuple(indices)
        self.params = params
        self._shapes = shapes

    def __getstate__(self) -> dict[str, Any]:
        # Cached properties hold open files and arrays: they stay behind.
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
        return find_format_class(self.files[0], self.params)

    @functools.cached_property
    def _stack(self) -> Format:
        """The one file of all frames, opened once; a file that is too short is found out before any work is done."""
        opened = self._open(self.files[0])
        _check_index(opened, max(self.indices, default=0))
        return opened

    def _open(self, file: str) -> Format:
        """Open a file for its pixels: geometry that its header lacks is the experiment's."""
        return self._format_class(file, {**self.params, GIVEN: EVERYTHING})

    def select(self, start: int, stop: int) -> Reader:
        """A reader of some of the frames, where each has a file of its own.

        Parameters
        ----------
        start, stop : int
            First frame, from 0, and the one behind the last.

        Returns
        -------
        Reader
            Holds the names of these files only.
        """
        return Reader(self.files[start:stop], self.indices[start:stop], self.params, self._shapes)

    def share_file(self, other: Reader) -> None:
        """Use the file that another reader has open, where both read frames of the same stack.

        Parameters
        ----------
        other : Reader
            Of another experiment; one of other files changes nothing.
        """
        if len(self.files) == 1 and self.files == other.files and self.params == other.params:
            # The cached properties themselves: each still of an HDF5 file would else open it and read its mask again.
            for name in ("_format_class", "_stack", "_static"):
                self.__dict__[name] = getattr(other, name)

    @functools.cached_property
    def _static(self) -> list[np.ndarray] | None:
        """Mask of the one file of all frames, read once."""
        return self._stack.static_mask()

    def open_file(self, frame: int) -> Format:
        """Open the file that holds a frame; that of a stack is opened once.

        Parameters
        ----------
        frame : int
            From 0.

        Returns
        -------
        Format
            The file.
        """
        if len(self.files) == 1:
            return self._stack
        return self._open(self.files[frame])

    def read(self, frame: int) -> list[np.ndarray]:
        """Read the pixels of a frame.

        Parameters
        ----------
        frame : int
            From 0.

        Returns
        -------
        list of (slow, fast) array
            Raw counts, one array a panel.

        Raises
        ------
        IndexError
            If there is no such frame.
        FormatError
            If the file is missing, damaged or too short, or its size is not that of the experiment's detector.
        """
        if not 0 <= frame < self.n_frames:
            raise IndexError(f"frame must be in 0 to {self.n_frames - 1}, got {frame}")
        opened = self.open_file(frame)
        _check_index(opened, self.indices[frame])
        panels = opened.raw(self.indices[frame])
        if self._shapes is not None and tuple(panel.shape for panel in panels) != self._shapes:
            raise FormatError(f"{opened.path}: expected {_describe(list(self._shapes))} as the experiment's detector "
                              f"has, the image has {_describe([panel.shape for panel in panels])}")
        return panels

    def static_mask(self) -> list[np.ndarray] | None:
        """Read which pixels are valid in all frames, as the format knows it.

        Returns
        -------
        list of (slow, fast) bool, or None
            One a panel, True where the pixel is valid; None where all are.
        """
        return self._static if len(self.files) == 1 else self.open_file(0).static_mask()


def _check_index(opened: Format, index: int) -> None:
    """Raise FormatError unless a file has an image of this index."""
    if not 0 <= index < opened.n_images:
        raise FormatError(f"{opened.path}: it has {opened.n_images} images, and the experiment wants image {index + 1}"
                          ": its scan is not that of the file, or the file is not complete; import it again")


def _describe(shapes: list[tuple[int, ...]]) -> str:
    """Sizes of panels, fast by slow, for a message: a detector's panels are mostly alike."""
    sizes = [" x ".join(str(n) for n in reversed(shape)) for shape in shapes]
    return f"{sizes[0]} pixels" if len(sizes) == 1 else f"{len(sizes)} panels of {sizes[0]} pixels"
