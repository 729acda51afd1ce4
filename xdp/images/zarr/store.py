"""Zarr stores as image stacks: those that ``xdp convert`` writes, with their experiments, and plain arrays.

A store of ours is a zarr 3 group with the array ``counts`` (frame, panel, slow, fast), one frame an inner chunk and
several a shard, the array ``valid`` (panel, slow, fast), and the experiments in its attribute ``xdp``. Its frames are
read straight from the shards, one read a frame, so that threads do not wait for each other; zarr itself reads the
others.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from xdp.errors import FormatError, XdpError
from xdp.files import open_input
from xdp.images.formats.base import Format, Models
from xdp.images.formats.limits import MAX_FRAME_BYTES
from xdp.images.formats.pixel_types import convert_to_native
from xdp.images.padding import compute_padded_shape
from xdp.images.zarr.shards import Shards

if TYPE_CHECKING:
    from xdp.experiment import Experiment, ExperimentList

# The attribute of the group that makes a store one of ours, and the version of what it holds.
ATTRIBUTE = "xdp"
STORE_VERSION = 1


class ZarrStore(Format):
    """A zarr store: one of ours, or an array of 2 to 4 dimensions whose geometry comes from parameters."""

    name: ClassVar[str] = "zarr"
    is_stack: ClassVar[bool] = True

    def __init__(self, path: str | os.PathLike, params: Mapping[str, Any] | None = None) -> None:
        super().__init__(path, params)
        # The attribute makes it one of ours; any other array is a stack without geometry.
        metadata = _read_metadata(self.path)
        self._experiments: ExperimentList | None = None
        self._shards: Shards | None = None
        if ATTRIBUTE in metadata.get("attributes", {}):
            self._read_ours(metadata["attributes"][ATTRIBUTE])
        else:
            self._shape = _check_plain_shape(self.path, self._array)

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """A folder with the metadata of zarr 3 or 2."""
        names = ("zarr.json", ".zarray")
        return os.path.isdir(path) and any(os.path.isfile(os.path.join(path, name)) for name in names)

    @property
    def n_images(self) -> int:
        """Frames of the array."""
        return self._shape[0]

    def models(self, index: int = 0) -> Models:
        """The models of one image, as they were when the store was written."""
        if self._experiments is None:
            return Models()
        number, frame = self._find_owner(index)
        experiment = self._experiments[number]
        scan = experiment.scan
        if scan is not None:
            from xdp.images.scans import select_image

            scan = select_image(scan, frame)
        return Models(experiment.beam, experiment.detector, experiment.goniometer, scan)

    def stack_models(self) -> Models:
        """The models of the store: of its sequence, or of its first still."""
        if self._experiments is None:
            return Models()
        first = self._experiments[0]
        scan = first.scan if len(self._experiments) == 1 else None
        return Models(first.beam, first.detector, first.goniometer, scan)

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The panels of a frame, without what pads the smaller ones."""
        if not 0 <= index < self.n_images:
            raise IndexError(f"{self.path}: frame {index} of {self.n_images}")
        frame = self._read_array_frame(index) if self._shards is None else self._shards[index]
        # Axes in front of slow and fast are panels.
        panels = frame.reshape(-1, *frame.shape[-2:])
        if self._experiments is None:
            return [convert_to_native(panel) for panel in panels]
        shapes = self._experiments[0].known.detector.panel_shapes
        return [convert_to_native(panel[:slow, :fast]) for panel, (slow, fast) in zip(panels, shapes, strict=True)]

    def static_mask(self) -> list[np.ndarray] | None:
        """The valid pixels kept with the images."""
        if self._experiments is None:
            return None
        import zarr

        name = os.path.join(self.path, "valid")
        valid = _convert_zarr_errors(self.path, lambda: np.asarray(zarr.open_array(name, mode="r")[:]))
        shapes = self._experiments[0].known.detector.panel_shapes
        if valid.dtype != bool or valid.shape != self._shape[1:]:
            raise FormatError(f"{self.path}: its mask has shape {valid.shape}, wanted {self._shape[1:]}")
        # A mask that is True everywhere is none: the pixels need not be masked then.
        masks = [np.ascontiguousarray(panel[:slow, :fast]) for panel, (slow, fast) in zip(valid, shapes, strict=True)]
        return None if all(mask.all() for mask in masks) else masks

    def _read_ours(self, attribute: Any) -> None:
        """Read the experiments of a store of ours, and open its shards."""
        from xdp.experiment.io import experiments_from_dict

        version = attribute.get("version") if isinstance(attribute, dict) else None
        if version != STORE_VERSION:
            raise FormatError(f"{self.path}: is a store of version {version!r}, this program reads {STORE_VERSION}")
        self._experiments = experiments_from_dict(attribute.get("experiments"), self.path)
        self._shards = Shards(os.path.join(self.path, "counts"))
        self._shape = self._shards.shape
        n_frames = sum(count_frames(experiment) for experiment in self._experiments)
        detector = self._experiments[0].detector if self._experiments else None
        if detector is None or len(self._shape) != 4 or n_frames != self._shape[0]:
            raise FormatError(f"{self.path}: its experiments have {n_frames} frames, its counts have {self._shape}")
        if compute_padded_shape(detector.panel_shapes) != self._shape[1:]:
            raise FormatError(f"{self.path}: its counts have the shape {self._shape}, which its detector does not fit")
        # First frame of each experiment in the store.
        self._firsts = np.cumsum([0] + [count_frames(experiment) for experiment in self._experiments])

    def _find_owner(self, index: int) -> tuple[int, int]:
        """Find the experiment of a frame, and which of its frames it is."""
        number = int(np.searchsorted(self._firsts, index, side="right")) - 1
        return number, index - int(self._firsts[number])

    @functools.cached_property
    def _array(self) -> Any:
        """The array of a store that is not ours."""
        import zarr

        return _convert_zarr_errors(self.path, lambda: zarr.open_array(self.path, mode="r"))

    def _read_array_frame(self, index: int) -> np.ndarray:
        """Read a frame of a store that is not ours; an array of two dimensions is one frame."""
        array = self._array
        return _convert_zarr_errors(self.path, lambda: np.asarray(array[:] if array.ndim == 2 else array[index]))


def count_frames(experiment: Experiment) -> int:
    """Count the frames of an experiment in a store: those of its scan; 1 for a still."""
    return 1 if experiment.scan is None else experiment.scan.n_frames


def _read_metadata(path: str) -> dict[str, Any]:
    """Read the store's own description; empty for zarr 2."""
    name = os.path.join(path, "zarr.json")
    if not os.path.isfile(name):
        return {}
    try:
        with open_input(name) as stream:
            metadata = json.load(stream)
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{name}: is damaged: {error}") from error
    if not isinstance(metadata, dict) or not isinstance(metadata.get("attributes", {}), dict):
        raise FormatError(f"{name}: is damaged: wanted a description of an array or group")
    return metadata


def _check_plain_shape(path: str, array: Any) -> tuple[int, ...]:
    """Shape (frame, ..., slow, fast) of an array that is not ours, if it can be a stack of frames."""
    shape = tuple(int(n) for n in array.shape)
    if not 2 <= len(shape) <= 4 or min(shape) < 1 or array.dtype.kind not in "iufb":
        raise FormatError(f"{path}: must be an array of numbers with 2 to 4 dimensions, is {array.dtype} of {shape}")
    shape = shape if len(shape) > 2 else (1, *shape)
    if int(np.prod(shape[1:], dtype=object)) * array.dtype.itemsize > MAX_FRAME_BYTES:
        raise FormatError(f"{path}: claims frames of {shape[1:]} pixels, more than {MAX_FRAME_BYTES} bytes")
    return shape


def _convert_zarr_errors(path: str, call: Any) -> Any:
    """Call a function; zarr's complaints about a damaged store become a FormatError."""
    try:
        return call()
    except XdpError:
        raise
    except Exception as error:  # zarr's codecs raise whatever their libraries do
        raise FormatError(f"{path}: cannot be read as zarr: {' '.join(str(error).split())}") from error
