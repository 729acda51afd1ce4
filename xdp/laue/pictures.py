"""Pictures of any plane: the maps, a mask, the labels, or a frame with its spots."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from xdp.errors import XdpError
from xdp.files import atomic_output

#: Planes that are named with an index, and maps, which are not.
_STACKS = ("frame", "masks_raw", "masks_filtered", "masks_synced", "labels")
MAPS = ("avg", "std", "iqr", "max", "arg", "avg_corrected", "std_corrected", "n_used", "n_rejected", "p_value",
        "p_value_left")


def check_planes(planes: tuple[str, ...]) -> None:
    """Require each name to be a map, or a stack with an index as ``frame:3``.

    Raises
    ------
    XdpError
        If one is not.
    """
    for plane in planes:
        name, _, index = plane.partition(":")
        if not (plane in MAPS or (name in _STACKS and re.fullmatch(r"\d+", index))):
            raise XdpError(f"png={plane}: no such plane; there are {' '.join(MAPS)}, "
                           f"and {' '.join(s + ':I' for s in _STACKS)}")


def write_plane_pictures(output: Path, images: str | os.PathLike, planes: tuple[str, ...]) -> list[Path]:
    """Write planes as PNG files beside an output file: ``NAME__spots_avg.png``, ``NAME__spots_frame-3.png``.

    Parameters
    ----------
    output : Path
        A file written by `find_laue_spots`.
    images : path
        The images it was made from, for ``frame:I``.
    planes : tuple of str
        See `check_planes`.

    Returns
    -------
    list of Path
        The files.
    """
    import h5py

    check_planes(planes)
    written = []
    with h5py.File(output, "r") as file:
        for plane in planes:
            picture = _read_plane(file, images, plane)
            written.append(output.with_name(f"{output.stem}_{plane.replace(':', '-')}.png"))
            _save(written[-1], picture, _choose_limits(plane, picture))
    return written


def _read_plane(file: Any, images: str | os.PathLike, plane: str) -> np.ndarray:
    """The values of a plane; a frame comes in colour, with its spots outlined."""
    from xdp.laue.stack import ImageStack

    name, _, index = plane.partition(":")
    if not index:
        if name not in file["stats"]:
            raise XdpError(f"png={plane}: method={file['info'].attrs['method']} makes no such map")
        return file["stats"][name][()]
    if name == "masks_synced" and name not in file:
        raise XdpError(f"png={plane}: masks were not synchronised (sync)")
    if name == "frame":
        stack = ImageStack(images)
        _check_index(plane, int(index), stack.shape[0])
        mask = int(file["masks/frame2mask"][int(index)])
        return outline_spots(stack.read_frame(int(index)), file["masks/labels"][mask] > 0, file["stats/avg"][()])
    data = file["masks/labels"] if name == "labels" else file[name]
    _check_index(plane, int(index), data.shape[0])
    return data[int(index)]


def _check_index(plane: str, index: int, count: int) -> None:
    if index >= count:
        raise XdpError(f"png={plane}: the index must be below {count}")


def outline_spots(frame: np.ndarray, mask: np.ndarray, background: np.ndarray) -> np.ndarray:
    """A frame in shades of grey (dark where bright), pixels round the spots red; (row, column, 3) uint8."""
    from scipy import ndimage

    # three times the range of the background: weak spots show, and strong ones are black anyway
    low, high = float(np.percentile(background, 1)), float(np.percentile(background, 99))
    grey = 255 * (1 - np.clip((frame - low) / max(3 * (high - low), 1.0), 0, 1))
    picture = np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)
    picture[ndimage.binary_dilation(mask) & ~mask] = (220, 30, 30)
    return picture


def _choose_limits(plane: str, picture: np.ndarray) -> tuple[float, float]:
    """Values shown as darkest and brightest: masks as they are, maps without their extremes."""
    if picture.ndim == 3 or plane.startswith("masks"):
        return 0, 1
    # single hot or dead pixels would take the whole range
    low, high = (float(v) for v in np.percentile(picture, (0.5, 99.5)))
    return low, high if high > low else low + 1


def _save(path: Path, picture: np.ndarray, limits: tuple[float, float]) -> None:
    from matplotlib import image

    with atomic_output(path) as part:
        image.imsave(part, picture, vmin=limits[0], vmax=limits[1], format="png",
                     cmap="gray_r" if picture.dtype == np.uint8 else "viridis")
