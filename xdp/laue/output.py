"""The output file of `xdp laue_spots`: groups and names as LaueUtil's ``lu_hdf2spots`` has them, and additions.

The layout is described in ``docs/laue.md``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import xdp
from xdp.laue.compression import dataset_options, store, store_rows
from xdp.laue.design import Design
from xdp.laue.tasks import MaskResult

_PIXEL_CHUNK = 1 << 18
"""Pixels of a chunk of the pixel list: 1 MiB, as for the other arrays."""
_BYTES_A_CHUNK = 1 << 20
"""Bytes of a chunk of maps and tables: HDF5's own cache holds one such chunk."""


class SpotsFile:
    """An output file that is being written, masks in their order.

    Its `counts` are the spots of each mask.

    Parameters
    ----------
    file : h5py.File
        Open for writing, empty.
    shape : tuple of int
        Frames, rows, columns.
    n_masks : int
        Masks after synchronisation.
    is_synced : bool
        Whether masks are synchronised.
    compression : str
        See :mod:`xdp.laue.compression`.
    """

    def __init__(self, file: Any, shape: tuple[int, int, int], n_masks: int, is_synced: bool,
                 compression: str) -> None:
        self._file = file
        self._compression, self._options = compression, dataset_options(compression)
        image = shape[1:]
        self._raw = self._images("masks_raw", shape, np.uint8)
        self._filtered = self._images("masks_filtered", shape, np.uint8)
        self._synced = self._images("masks_synced", (n_masks, *image), np.uint8) if is_synced else None
        self._labels = self._images("masks/labels", (n_masks, *image), np.int32)
        self.counts = np.zeros(n_masks, np.int32)
        self._pixels = file.create_dataset("spots/pixel_list", (0,), np.int32, maxshape=(None,),
                                           chunks=(_PIXEL_CHUNK,), **self._options)
        self._n_pixels, self._waiting = 0, np.empty(0, np.int32)

    def _images(self, name: str, shape: tuple[int, ...], kind: type) -> Any:
        return self._file.create_dataset(name, shape, kind, chunks=(1, *shape[1:]), **self._options)

    def write_array(self, name: str, values: np.ndarray) -> None:
        """Write one array, compressed unless it is small."""
        # a filter's header would take more room than it saves
        if values.size <= 64:
            self._file.create_dataset(name, data=values)
            return
        rows = min(len(values), max(1, _BYTES_A_CHUNK * len(values) // values.nbytes))
        chunks = None if self._compression == "none" else (rows, *values.shape[1:])
        data = self._file.create_dataset(name, values.shape, values.dtype, chunks=chunks, **self._options)
        store_rows(data, values, self._compression)

    def write_table(self, group: str, columns: dict[str, np.ndarray]) -> None:
        """Write the columns of a table as arrays of a group."""
        for name, column in columns.items():
            self.write_array(f"{group}/{name}", column)

    def add_mask(self, mask: int, frames: np.ndarray, result: MaskResult) -> list[dict[str, np.ndarray]]:
        """Write one mask's images.

        Parameters
        ----------
        mask : int
            Its number; masks come in order.
        frames : ndarray of int
            The frames that share it.
        result : MaskResult

        Returns
        -------
        list of dict
            The spots of each frame, their pixel lists counted in the whole file.
        """
        for frame, raw, filtered in zip(frames, result.raw, result.filtered, strict=True):
            store(self._raw, int(frame), raw)
            store(self._filtered, int(frame), filtered)
        if self._synced is not None and result.synced is not None:
            store(self._synced, mask, result.synced)
        store(self._labels, mask, result.labels)
        # pixel lists of a mask count from its own first pixel; here the whole file's count begins
        begin = self._n_pixels + len(self._waiting)
        self._waiting = np.concatenate([self._waiting, result.pixels])
        if len(self._waiting) >= _PIXEL_CHUNK:
            self._write_pixels(len(self._waiting) // _PIXEL_CHUNK * _PIXEL_CHUNK)
        self.counts[mask] = len(result.spots[0]["label"])
        return [{**part, "pixel_list_BE": part["pixel_list_BE"] + begin} for part in result.spots]

    def _write_pixels(self, count: int) -> None:
        """Write the first `count` pixels that wait; chunks are written once, since each is compressed as a whole."""
        self._pixels.resize(self._n_pixels + count, axis=0)
        store_rows(self._pixels, self._waiting[:count], self._compression, self._n_pixels)
        self._n_pixels, self._waiting = self._n_pixels + count, self._waiting[count:]

    def finish(self, frames_of_masks: list[np.ndarray], design: Design, info: dict[str, Any]) -> None:
        """Write what is known at the end: last pixels, counts, masks of the frames, the scan's design, parameters.

        Parameters
        ----------
        frames_of_masks : list of (n,) int arrays
            Frames that share each mask; each frame is in one of them.
        design : Design
            The scan's angles, delays, laser states and repeats.
        info : dict
            Parameters and facts of the run, by name.
        """
        self._write_pixels(len(self._waiting))
        self.write_array("masks/counts", self.counts)
        # each frame belongs to one mask, so that all are written
        frame2mask = np.empty(design.n_frames, np.int32)
        for mask, frames in enumerate(frames_of_masks):
            frame2mask[frames] = mask
        self.write_array("masks/frame2mask", frame2mask)
        for name in ("angle", "laser", "delay", "repeat"):
            column = getattr(design, name)
            if column is not None:
                self.write_array(f"lauecollect/{name}", column.astype(np.uint8) if name == "laser" else column)
        group = self._file.create_group("info")
        for name, value in {"program": f"xdp {xdp.__version__}", **info}.items():
            group.attrs[name] = value


def write_csv(path: str, spots: dict[str, np.ndarray], design: Design) -> None:
    """Write the table of spots as text, a row a spot, with angle and laser of its frame."""
    columns = make_spot_columns(spots, design)
    with open(path, "w", encoding="utf-8") as file:
        file.write(",".join(columns) + "\n")
        for row in zip(*(column.tolist() for column in columns.values()), strict=True):
            file.write(",".join(format(value, ".10g") if isinstance(value, float) else str(value) for value in row)
                       + "\n")


def make_spot_columns(spots: dict[str, np.ndarray], design: Design) -> dict[str, np.ndarray]:
    """Make plain columns of the table of spots.

    Parameters
    ----------
    spots : dict of ndarray
        See `xdp.laue.spots.COLUMNS`.
    design : Design

    Returns
    -------
    dict of ndarray
        Pairs and boxes in columns of their own; angle and laser of each spot's frame added.
    """
    columns = {name: spots[name] for name in ("frame", "mask", "label")}
    columns["angle"] = design.angle[spots["frame"]]
    if design.laser is not None:
        columns["laser"] = design.laser[spots["frame"]].astype(np.int32)
    columns |= {"X": spots["XY"][:, 0], "Y": spots["XY"][:, 1]}
    columns |= {name: spots["box"][:, i] for i, name in enumerate(("X_begin", "X_end", "Y_begin", "Y_end"))}
    return columns | {name: spots[name] for name in ("n_pixels", "I", "I_corrected", "sigma_I")}


def write_parquet(path: str, spots: dict[str, np.ndarray], design: Design) -> None:
    """Write the table of spots as a Parquet file; needs pyarrow."""
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(make_spot_columns(spots, design)), path)
