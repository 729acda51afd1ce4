"""Panels side by side in one image, as the Spotfinder recipe takes them; and which panels are nearest to the beam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from xdp.errors import XdpError
from xdp.experiment import Beam, Detector, Panel
from xdp.serial.hits.distl import FlatGeometry, as_int_image

FILLER = 0
"""Value of pixels between the tiles: at the underload of a tiled image, so that it is no background and no peak."""


class Tile(NamedTuple):
    """Where a panel lies in the image.

    Attributes
    ----------
    slow, fast : int
        Its first row and column.
    height, width : int
        Its rows and columns in the image.
    is_turned : bool
        Whether its slow axis runs along the image's rows: rows and columns change places.
    flips : (bool, bool)
        Whether, after that, rows and columns run backwards.
    """

    slow: int
    fast: int
    height: int
    width: int
    is_turned: bool
    flips: tuple[bool, bool]


class Assembly(NamedTuple):
    """How panels make an image.

    Attributes
    ----------
    shape : (int, int)
        Of the image, (slow, fast).
    tiles : tuple of Tile
        One a panel.
    geometry : FlatGeometry
        Of the image: all panels in one plane, turned by quarters.
    """

    shape: tuple[int, int]
    tiles: tuple[Tile, ...]
    geometry: FlatGeometry

    def assemble(self, panels: Sequence[np.ndarray], valid: Sequence[np.ndarray] | None = None) -> np.ndarray:
        """Put the panels side by side.

        Parameters
        ----------
        panels : sequence of (slow, fast) array
        valid : sequence of (slow, fast) bool, optional
            Other pixels get the value between the tiles.

        Returns
        -------
        (slow, fast) array
            Of the panels' type; the panel itself where there is one, and all of it may be used.
        """
        if len(panels) == 1 and valid is None:
            return panels[0]
        image = np.full(self.shape, FILLER, panels[0].dtype)
        for i, (tile, panel) in enumerate(zip(self.tiles, panels, strict=True)):
            part = panel if valid is None else np.where(valid[i], panel, panel.dtype.type(FILLER))
            part = part.T if tile.is_turned else part
            steps = tuple(slice(None, None, -1 if flip else 1) for flip in tile.flips)
            image[tile.slow:tile.slow + tile.height, tile.fast:tile.fast + tile.width] = part[steps]
        return image

    def assemble_counts(self, panels: Sequence[np.ndarray], valid: Sequence[np.ndarray] | None,
                        out: np.ndarray) -> np.ndarray:
        """Put the panels side by side as whole counts.

        Parameters
        ----------
        panels : sequence of (slow, fast) array
        valid : sequence of (slow, fast) bool, or None
            Other pixels get the value between the tiles.
        out : (slow, fast) int32
            Filled here; 0 between the tiles.

        Returns
        -------
        (slow, fast) int32
            `out`; another array where there is one panel, and all of it may be used.
        """
        if len(panels) == 1 and valid is None:
            return as_int_image(panels[0])
        for i, (tile, panel) in enumerate(zip(self.tiles, panels, strict=True)):
            steps = tuple(slice(None, None, -1 if flip else 1) for flip in tile.flips)
            place = out[tile.slow:tile.slow + tile.height, tile.fast:tile.fast + tile.width]
            part = as_int_image(panel)
            part = (part.T if tile.is_turned else part)[steps]
            if valid is None:
                place[...] = part
            else:
                # the value between the tiles is 0: a product is faster than a choice
                np.multiply(part, (valid[i].T if tile.is_turned else valid[i])[steps], out=place)
        return out

    @property
    def areas(self) -> list[tuple[int, int, int, int]]:
        """slow0, fast0, slow1, fast1 of each tile, ends excluded."""
        return [(t.slow, t.fast, t.slow + t.height, t.fast + t.width) for t in self.tiles]

    def locate(self, slow: np.ndarray, fast: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Panel, slow and fast within it of pixels of the image; panel -1 where there is none.

        Parameters
        ----------
        slow, fast : (n,) int
            Pixels of the image.

        Returns
        -------
        (n,) int64, three times
        """
        panel = np.full(len(slow), -1)
        inner = np.zeros((2, len(slow)), np.int64)
        for number, tile in enumerate(self.tiles):
            i, j = slow - tile.slow, fast - tile.fast
            inside = (i >= 0) & (i < tile.height) & (j >= 0) & (j < tile.width)
            i = tile.height - 1 - i if tile.flips[0] else i
            j = tile.width - 1 - j if tile.flips[1] else j
            panel[inside] = number
            inner[:, inside] = (np.stack([j, i]) if tile.is_turned else np.stack([i, j]))[:, inside]
        return panel, inner[0], inner[1]


def plan_assembly(detector: Detector, beam: Beam, distance: float | None = None,
                  saturation: float | None = None) -> Assembly:
    """Plan where each panel goes: to the nearest whole pixel, turned to the nearest quarter.

    Parameters
    ----------
    detector : Detector
    beam : Beam
    distance : float, optional
        mm; by default that of the first panel.
    saturation : float, optional
        Pixels of this value and more are overloaded; by default above the trusted range of the first panel.

    Returns
    -------
    Assembly

    Raises
    ------
    XdpError
        If the panels lie too far apart for one image.
    """
    panel = detector[0]
    pixel = panel.pixel_size[0]
    beam_at, tiles, shape = _place_panels(detector, beam, pixel)
    top = panel.trusted_range[1] if saturation is None else saturation
    geometry = FlatGeometry(pixel, panel.distance if distance is None else distance, beam.wavelength,
                            (beam_at[0] * pixel, beam_at[1] * pixel), top if top > 0 else 65535.0)
    return Assembly(shape, tiles, geometry)


def _place_panels(detector: Detector, beam: Beam,
                  pixel: float) -> tuple[tuple[float, float], tuple[Tile, ...], tuple[int, int]]:
    """Where the beam meets the image (pixels), the tiles, and the image's shape."""
    direction = beam.unit_s0
    # +x of the laboratory to the right, where it is across the beam; else +y
    right = np.array([1.0, 0.0, 0.0]) if abs(direction[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    right = right - (right @ direction) * direction
    right /= np.linalg.norm(right)
    axes = np.stack([np.cross(direction, right), right])
    if len(detector) == 1:
        # one panel is its own image, whichever way it is mounted
        panel = detector[0]
        slow, fast = _meet(panel, direction)
        return (slow, fast), (Tile(0, 0, *panel.shape, False, (False, False)),), panel.shape
    corners, turns = [], []
    for panel in detector:
        corner, turn = _place_panel(panel, axes, pixel)
        corners.append(corner)
        turns.append(turn)
    first = np.min(corners, axis=0)
    tiles = tuple(Tile(int(slow), int(fast), *turn)
                  for (slow, fast), turn in zip(np.asarray(corners) - first, turns, strict=True))
    shape = (max(t.slow + t.height for t in tiles), max(t.fast + t.width for t in tiles))
    # 20,000 pixels: larger than any detector; panels of a bad geometry file would fill the memory
    if max(shape) > 20000:
        raise XdpError(f"the panels would make an image of {shape[0]} by {shape[1]} pixels: is the geometry right?")
    return (-float(first[0]), -float(first[1])), tiles, shape


def _meet(panel: Panel, direction: np.ndarray) -> tuple[float, float]:
    """Where the beam meets a panel's plane, pixels (slow, fast)."""
    x, y, _scale = np.linalg.solve(np.column_stack([panel.d_matrix[:, :2], -direction]), -panel.d_matrix[:, 2])
    return float(y / panel.pixel_size[1]), float(x / panel.pixel_size[0])


def _place_panel(panel: Panel, axes: np.ndarray,
                 pixel: float) -> tuple[np.ndarray, tuple[int, int, bool, tuple[bool, bool]]]:
    """First pixel (slow, fast) from where the beam is, and height, width, turn and flips."""
    height, width = panel.shape
    fast, slow, origin = axes @ panel.d_matrix[:, 0], axes @ panel.d_matrix[:, 1], axes @ panel.d_matrix[:, 2]
    middle = (origin + fast * panel.image_size_mm[0] / 2 + slow * panel.image_size_mm[1] / 2) / pixel
    is_turned = bool(abs(fast[0]) > abs(fast[1]))
    if is_turned:
        height, width, flips = width, height, (bool(fast[0] < 0), bool(slow[1] < 0))
    else:
        flips = (bool(slow[0] < 0), bool(fast[1] < 0))
    return np.rint(middle - np.array([height, width]) / 2).astype(int), (height, width, is_turned, flips)


def choose_nearest_tiles(assembly: Assembly, count: int = 8) -> list[int]:
    """The tiles whose centres are nearest to the beam: the ones that cctbx.xfel searches on a CSPAD.

    Parameters
    ----------
    assembly : Assembly
    count : int, default 8

    Returns
    -------
    list of int
        Their numbers, in order.
    """
    beam = np.array(assembly.geometry.beam) / assembly.geometry.pixel_size
    areas = np.array(assembly.areas, float)
    middle = (areas[:, :2] + areas[:, 2:]) / 2
    order = np.argsort(((middle - beam) ** 2).sum(1), kind="stable")
    return sorted(order[:count].tolist())
