"""Images whose panels lie in their files as a geometry file says: CrystFEL's layouts of any number of dimensions.

An event is one image: what the placeholders stand for in the path of the data set, and the indices along its
dimensions of that kind. Events are in the order of their paths, then of their indices.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Detector
from xdp.images.formats.base import EVERYTHING, GIVEN, Format, Models
from xdp.images.formats.find import GEOMETRY_FILE, find_format
from xdp.images.formats.hdf5.files import SIGNATURE, convert_hdf5_errors, get_child, open_hdf5
from xdp.images.formats.hdf5.frames import Frames
from xdp.images.formats.hdf5.slabs import ImageEvent, cut_panel, fill_path, read_slab
from xdp.images.formats.pixel_types import convert_to_native
from xdp.images.geometry_files.crystfel import (
    PLACEHOLDER,
    CrystFELGeometry,
    GeometryPanel,
    Quantity,
    convert_clen,
    convert_to_energy,
)
from xdp.images.geometry_files.crystfel_detector import (
    build_energy_beam,
    build_geometry_detector,
    find_energy,
    mark_bad_pixels,
)
from xdp.images.geometry_files.masks import OwnMasks, read_panel_mask

# Events of one file: more are a slip, or damaged.
_MOST_EVENTS = 50_000_000
# Detectors that are kept: an encoder repeats its values. A choice.
_MOST_DETECTORS = 64


class LaidOut(Format):
    """The images of a file, cut into the panels of a geometry file.

    Images that are not HDF5, of one panel, are cut in the same way: then the panels need no data set.
    """

    name: ClassVar[str] = "geometry file"
    is_stack: ClassVar[bool] = True

    def __init__(self, path: str | os.PathLike, params: Mapping[str, Any] | None = None) -> None:
        super().__init__(path, params)
        self.geometry = load_geometry(str(self.params[GEOMETRY_FILE]))
        self._lock = threading.Lock()
        self._frames: dict[str, Frames] = {}
        self._own_masks = OwnMasks()
        self._last_mask = threading.local()
        self._detectors: dict[tuple[float | None, float | None], Detector] = {}
        self._inner: Format | None = None
        if _is_hdf5(self.path):
            self.events: Sequence[ImageEvent] = self._list_events()
        else:
            self._inner = find_format(self.path, {GIVEN: EVERYTHING})
            self.events = [ImageEvent((), (i,)) for i in range(self._inner.n_images)]
        self.notes += self.geometry.notes

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """Never by its content: only a geometry file says so."""
        return False

    @property
    def n_images(self) -> int:
        """Number of events."""
        return len(self.events)

    def _list_events(self) -> Sequence[ImageEvent]:
        """The events that all panels have."""
        with open_hdf5(self.path) as handle, convert_hdf5_errors(self.path):
            first = self.geometry.panels[0]
            _require_data(self.geometry)
            places = sorted({(panel.data or "", panel.dims) for panel in self.geometry.panels}, key=str)
            found = list(_walk_events(handle, first))
            others = [place for place in places if place != (first.data or "", first.dims) and place[0] != first.data]
            for data, _ in others:
                # Another data set must have the event, too; its size along the placeholder may differ.
                found = [event for event in found if _has_event(handle, data, event)]
        if not found:
            raise FormatError(f"{self.path}: has no data set {first.data}, as {self.geometry.path} wants it")
        return found

    def models(self, index: int = 0) -> Models:
        """Beam and detector: of the geometry file, with what this image has of them."""
        energy, clen = self.read_energy(index), self.read_clen(index)
        key = clen, energy
        with self._lock:
            if key not in self._detectors:
                if len(self._detectors) >= _MOST_DETECTORS:
                    self._detectors.clear()
                known = clen if clen is not None else self._stand_in()
                self._detectors[key] = build_geometry_detector(self.geometry, known, energy)
            return Models(build_energy_beam(energy), self._detectors[key])

    def _stand_in(self) -> float | None:
        """A camera length where somebody else gives the distance."""
        return 0.1 if "distance" in self.given else None

    def read_energy(self, index: int) -> float | None:
        """Read the photon energy of an image.

        Parameters
        ----------
        index : int
            Of the image.

        Returns
        -------
        float or None
            eV; NaN where the image has one that is not above 0, None where nobody says.
        """
        beam = self.geometry.beam
        if beam is None:
            return None
        if beam[1].path is None:
            return find_energy(self.geometry)
        value = self._read_number(beam[1], index)
        return None if value is None else convert_to_energy(beam[0], value, beam[1].unit)

    def read_clen(self, index: int) -> float | None:
        """Read the camera length of an image where the geometry file leaves it to the images.

        Parameters
        ----------
        index : int
            Of the image.

        Returns
        -------
        float or None
            m, without ``coffset``; None where the geometry file itself has it, or nobody.
        """
        clen = self.geometry.panels[0].clen
        if clen is None or clen.path is None:
            return None
        value = self._read_number(clen, index)
        return None if value is None else convert_clen(clen, value)

    def _read_number(self, quantity: Quantity, index: int) -> float | None:
        """A number of an image: one for all, or one each along the first index of the event."""
        if self._inner is not None or quantity.path is None:
            return None
        event = self.events[index]
        with open_hdf5(self.path) as handle, convert_hdf5_errors(self.path, f"{quantity.path} is damaged"):
            item = get_child(handle, fill_path(quantity.path, event.parts))
            if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iufb" or not item.size:
                return None
            if item.size == 1:
                return float(np.asarray(item[()]).reshape(-1)[0])
            place = event.indices[0] if event.indices else 0
            if place >= item.shape[0]:
                return None
            value = np.asarray(item[place]).reshape(-1)
            return float(value[0]) if value.size == 1 else None

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """Cut the panels out of an image."""
        if not 0 <= index < len(self.events):
            raise FormatError(f"{self.path}: has {len(self.events)} images, image {index + 1} is wanted")
        event = self.events[index]
        slabs: dict[str, np.ndarray] = {}
        panels = []
        for panel in self.geometry.panels:
            path = "" if self._inner is not None else fill_path(panel.data or "", event.parts)
            # Panels of one data set share the read.
            key = f"{path} {panel.dims if panel.dims.count(PLACEHOLDER) else ''}"
            if key not in slabs:
                slabs[key] = self._read_slab(path, panel, event, index)
            panels.append(convert_to_native(cut_panel(slabs[key], panel, f"{self.path} {event.name}")))
        return panels

    def _read_slab(self, path: str, panel: GeometryPanel, event: ImageEvent, index: int) -> np.ndarray:
        """What a data set has of an event: its dimensions without the placeholders."""
        if self._inner is not None:
            whole = self._inner.raw(index)
            if len(whole) != 1:
                raise FormatError(f"{self.path}: has {len(whole)} panels already; a geometry file cuts images of one")
            return whole[0]
        if panel.dims[0] == PLACEHOLDER and panel.dims.count(PLACEHOLDER) == 1 and len(panel.dims) > 2:
            with self._lock:
                if path not in self._frames:
                    self._frames[path] = Frames(self.path, [path])
                frames = self._frames[path]
            return frames[event.indices[0]]
        with open_hdf5(self.path) as handle, convert_hdf5_errors(self.path, f"{path} is damaged"):
            return read_slab(handle, path, panel, event)

    def static_mask(self) -> list[np.ndarray] | None:
        """Pixels that are good in all images: neither in a bad region nor bad in a mask of all images."""
        return self._join_masks(mark_bad_pixels(self.geometry), None)

    def frame_mask(self, index: int) -> list[np.ndarray] | None:
        """Pixels that are good by the masks of this image alone, and by ``flag_equal``."""
        bad = None
        if any(panel.flag_equal is not None for panel in self.geometry.panels):
            bad = [np.zeros(image.shape, bool) if panel.flag_equal is None else image == panel.flag_equal
                   for panel, image in zip(self.geometry.panels, self.raw(index), strict=True)]
        return self._join_masks(bad, index)

    def _join_masks(self, bad: list[np.ndarray] | None, index: int | None) -> list[np.ndarray] | None:
        """Join pixels that are bad with those of the masks of all images (index None), or of one image."""
        parts: list[list[np.ndarray]] = [[] if bad is None else [~bad[i]] for i in range(len(self.geometry.panels))]
        for part, panel in zip(parts, self.geometry.panels, strict=True):
            for mask in panel.masks.values():
                event = None if index is None else self.events[index]
                found = read_panel_mask(self.path, self.geometry.path, panel, mask, event, self._own_masks)
                if found is not None:
                    part.append(found)
        if not any(parts):
            return None
        # Masks of images that are parts of the same arrays are the same: those who work with them know them again.
        key = [(array.base if array.base is not None else array) for part in parts for array in part]
        known = getattr(self._last_mask, "known", None)
        if index is not None and known is not None and len(known[0]) == len(key) and all(
                a is b for a, b in zip(known[0], key, strict=True)):
            return known[1]
        good = [np.ones((p.image_size[1], p.image_size[0]), bool) if not part else
                np.ascontiguousarray(np.logical_and.reduce(part))
                for part, p in zip(parts, self.geometry.panels, strict=True)]
        if index is not None:
            self._last_mask.known = key, good
        return good


def load_geometry(path: str) -> CrystFELGeometry:
    """Load a geometry file, once while it does not change.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    CrystFELGeometry
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise FormatError(f"{path}: the geometry file of the images cannot be read: {error.strerror}") from error
    return _load_geometry(path, status.st_mtime_ns, status.st_size)


# Few: a process reads images of one experiment or two.
@functools.lru_cache(maxsize=8)
def _load_geometry(path: str, mtime: int, size: int) -> CrystFELGeometry:
    """Read a geometry file; its time and size are the key."""
    from xdp.images.geometry_files.read import read_geometry_file

    return read_geometry_file(path)


def _is_hdf5(path: str) -> bool:
    """Whether a file begins as HDF5 does."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as stream:
        return stream.read(len(SIGNATURE)) == SIGNATURE


def _require_data(geometry: CrystFELGeometry) -> None:
    """Each panel must have a data set."""
    for panel in geometry.panels:
        if panel.data is None:
            raise FormatError(f"{geometry.path}, line {panel.line}: panel {panel.name} has no data: HDF5 images need "
                              "the path of the data set")


def _walk_events(handle: h5py.File, panel: GeometryPanel) -> Iterator[ImageEvent]:
    """The events of a panel's data sets."""
    n_found = 0
    for parts, dataset in _walk_paths(handle, panel.data or "", ()):
        n_dims = len(panel.dims)
        if dataset.ndim != n_dims:
            raise FormatError(f"{handle.filename}: {dataset.name} has {dataset.ndim} dimensions, the geometry file has "
                              f"{n_dims} ({', '.join(map(str, panel.dims))})")
        lengths = [dataset.shape[i] for i, dim in enumerate(panel.dims) if dim == PLACEHOLDER]
        n_found += int(np.prod([int(n) for n in lengths], dtype=object))
        if n_found > _MOST_EVENTS:
            raise FormatError(f"{handle.filename}: claims {n_found} events: wanted at most {_MOST_EVENTS}")
        for indices in itertools.product(*(range(n) for n in lengths)):
            yield ImageEvent(parts, indices)


def _walk_paths(node: h5py.Group, path: str, parts: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], h5py.Dataset]]:
    """The data sets that a path with placeholders fits; a placeholder stands for a whole name, or a part of one."""
    names = [name for name in path.split("/") if name]
    for i, name in enumerate(names):
        if PLACEHOLDER not in name:
            continue
        above = "/".join(names[:i])
        group = get_child(node, above) if above else node
        if not isinstance(group, h5py.Group):
            return
        before, _, after = name.partition(PLACEHOLDER)
        for key in sorted(group):
            if key.startswith(before) and key.endswith(after) and len(key) > len(before) + len(after):
                part = key[len(before):len(key) - len(after)]
                rest = "/".join([*names[:i], key, *names[i + 1:]])
                yield from _walk_paths(node, rest, (*parts, part))
        return
    item = get_child(node, path.lstrip("/"))
    if isinstance(item, h5py.Dataset):
        yield parts, item


def _has_event(handle: h5py.File, data: str, event: ImageEvent) -> bool:
    """Whether a data set has an event."""
    return isinstance(get_child(handle, fill_path(data, event.parts)), h5py.Dataset)
