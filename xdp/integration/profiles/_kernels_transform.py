"""Numba kernels between the pixels of a shoebox and the grid of the reflection's own frame.

A *column* is one pixel of the detector over all frames of the box. It is sampled at n x n points. From pixels to the
grid, each point lies in one cell of the (e1, e2) grid, so that a pixel's counts are shared among cells by area. From
the grid to pixels, a profile is interpolated at each point between the four grid points about it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.integration.profiles._kernels_frame import (
    MOST_POINTS,
    Box,
    KabschFrame,
    clear_unrecorded,
    compute_shares,
    list_points,
    locate_on_grid,
    make_box,
    make_frame,
)
from xdp.kernels import kernel

VALID = 1
FOREGROUND = 4
OVERLAPPED = 32
BITS = VALID | FOREGROUND | OVERLAPPED
"""Bits of a mask that decide whether a pixel is used."""
GOOD = VALID | FOREGROUND
"""What these bits are for a pixel that is used: valid, foreground, and not a neighbour's."""

ROOM = 4096
"""Added to a grid coordinate before the fraction is cut off and taken away again: cutting rounds towards 0, and so down
only where numbers are positive. Grids have some ten points; no pixel lies further out than 4096 of them."""


class Workspace(NamedTuple):
    """Arrays that serve one reflection after the other, so that none is made in the loop over reflections.

    Attributes
    ----------
    columns : (area,) int64
        Place of each column with foreground within a frame of the box.
    middles : (area, 2) float64
        Grid coordinates of the columns' middles.
    offsets : (MOST_POINTS^2, 2) float64
        Of the sample points of a pixel from its middle, grid steps.
    cells : (area, MOST_POINTS^2) int32
        Cell (e2, e1) of each sample point of each column; n_side^2 for one outside the grid.
    corners : (area, MOST_POINTS^2) int32
        First of the four grid points about each sample point, on a grid with a border of one point.
    parts : (area, MOST_POINTS^2, 2) float32
        How far the sample point lies from it, along e1 and e2.
    shares : (n_frames, n_side) float64
        What each frame records of each plane of e3.
    totals : (n_frames,) float64
        What each frame records.
    slices : (n_frames, (n_side + 2)^2) float32
        What each frame records of a sharp profile.
    """

    columns: np.ndarray
    middles: np.ndarray
    offsets: np.ndarray
    cells: np.ndarray
    corners: np.ndarray
    parts: np.ndarray
    shares: np.ndarray
    totals: np.ndarray
    slices: np.ndarray


class PlacedReflection(NamedTuple):
    """A reflection that has a frame, and whose columns are listed in the workspace.

    Attributes
    ----------
    box : Box
    frame : KabschFrame
    n_columns : int
    n_points2 : int
        Sample points of a column.
    """

    box: Box
    frame: KabschFrame
    n_columns: np.int64
    n_points2: np.int64


@kernel
def find_largest(boxes, rows):
    """The most pixels of a frame, frames, and pixels of a box among `rows`; each at least 1."""
    area, frames, pixels = np.int64(1), np.int64(1), np.int64(1)
    for r in rows:
        box = make_box(boxes, r)
        area, frames, pixels = max(area, box.area), max(frames, box.n_frames), max(pixels, box.area * box.n_frames)
    return area, frames, pixels


@kernel
def make_workspace(area, n_frames, n_side):
    """A :class:`Workspace` for boxes of up to `area` pixels a frame and `n_frames` frames."""
    n_points2 = MOST_POINTS * MOST_POINTS
    return Workspace(np.empty(area, np.int64), np.empty((area, 2)), np.empty((n_points2, 2)),
                     np.empty((area, n_points2), np.int32), np.empty((area, n_points2), np.int32),
                     np.empty((area, n_points2, 2), np.float32), np.empty((n_frames, n_side)), np.empty(n_frames),
                     np.empty((n_frames, (n_side + 2) ** 2), np.float32))


@kernel
def place_reflection(r, given, work):
    """Make the frame of reflection `r`, list its columns, and find what each frame records of it.

    Returns
    -------
    is_valid, PlacedReflection
        False where the reflection has no frame.
    """
    box, rays, grid = make_box(given.boxes, r), given.rays, given.grid
    is_valid, frame = make_frame(rays.s1[r], rays.centre[r], rays.steps[r], box.panel, given.geometry, grid)
    n_columns = np.int64(0)
    if is_valid:
        n_columns = list_columns(frame, box, given, work)
        compute_shares(frame, rays.centre[r, 2], box, grid, work.shares, work.totals)
        clear_unrecorded(given.geometry.scan, box, work.shares, work.totals)
    return is_valid, PlacedReflection(box, frame, n_columns, frame.n_points * frame.n_points)


@kernel
def list_columns(frame, box, given, work):
    """List the columns with foreground, their middles and the cells of their sample points; returns their number."""
    d, pixel, mask = given.geometry.d[box.panel], given.geometry.pixel_size[box.panel], given.boxes.mask
    n_side, offsets, cells = 2 * given.grid.half + 1, work.offsets, work.cells
    n_points2 = list_points(frame, offsets)
    n = 0
    for place in range(box.area):
        # a column without foreground on any frame takes part in nothing: a box has two to three times as many pixels
        is_any = False
        for k in range(box.n_frames):
            if mask[box.first + k * box.area + place] & FOREGROUND:
                is_any = True
                break
        if not is_any:
            continue
        g1, g2 = locate_on_grid(frame.pixel_map, d, pixel, box.x0 + place % box.width + 0.5,
                                box.y0 + place // box.width + 0.5)
        work.columns[n] = place
        work.middles[n, 0], work.middles[n, 1] = g1, g2
        for p in range(n_points2):
            # the grid is taken as flat over a pixel: all its points are the middle plus the same offsets
            i = np.int64(g1 + offsets[p, 0] + ROOM) - ROOM
            j = np.int64(g2 + offsets[p, 1] + ROOM) - ROOM
            is_in = i >= 0 and j >= 0 and i < n_side and j < n_side
            cells[n, p] = j * n_side + i if is_in else n_side * n_side
        n += 1
    return np.int64(n)


@kernel
def list_corners(frame, n_columns, n_side, work):
    """For sample points of columns, the four grid points about each and its place between them.

    A point beyond the border of the grid is given to the corner of the border, where profiles are 0. Returns the number
    of points of a column.
    """
    middles, offsets, corners, parts = work.middles, work.offsets, work.corners, work.parts
    n_points2 = list_points(frame, offsets)
    for c in range(n_columns):
        for p in range(n_points2):
            # grid points stand in the middles of cells, and the border adds one: half a step in all
            x = middles[c, 0] + offsets[p, 0] + 0.5
            y = middles[c, 1] + offsets[p, 1] + 0.5
            i, j = np.int64(x + ROOM) - ROOM, np.int64(y + ROOM) - ROOM
            if i >= 0 and j >= 0 and i <= n_side and j <= n_side:
                corners[c, p] = j * (n_side + 2) + i
                parts[c, p, 0], parts[c, p, 1] = x - i, y - j
            else:
                corners[c, p] = 0
                parts[c, p, 0] = parts[c, p, 1] = 0.0
    return n_points2


@kernel
def interpolate(work, k, c, n_points2, row):
    """Mean of slice k, rows of length `row`, at the sample points of column c: linear between grid points."""
    slices, corners, parts = work.slices, work.corners, work.parts
    total = np.float32(0.0)  # 32 bits, as the slices: their rounding is far below counting statistics
    for p in range(n_points2):
        i = corners[c, p]
        x, y = parts[c, p, 0], parts[c, p, 1]
        low = slices[k, i] + x * (slices[k, i + 1] - slices[k, i])
        high = slices[k, i + row] + x * (slices[k, i + row + 1] - slices[k, i + row])
        total += low + y * (high - low)
    return np.float64(total) / n_points2


@kernel
def slice_profile(profile, box, grid, work):
    """What each frame records of a sharp profile: ``slices[k] = sum_m shares[k, m] / (Gaussian in m) profile[m]``."""
    shares, slices, edge_erf = work.shares, work.slices, grid.edge_erf
    for k in range(box.n_frames):
        for c in range(slices.shape[1]):
            slices[k, c] = 0.0
        for m in range(shares.shape[1]):
            if shares[k, m] > 0.0:
                # the frame has this part of plane m of the Gaussian, and is taken to have the same of the profile
                part = np.float32(shares[k, m] / (0.5 * (edge_erf[m + 1] - edge_erf[m])))
                for c in range(slices.shape[1]):
                    slices[k, c] += part * profile[m, c]


@kernel
def sum_planes(values, less, boxes, placed, work, planes):
    """Share values of good pixels among (e2, e1) cells, frame by frame; `less` 1 takes the background off.

    `planes` (n_frames, n_side^2 + 1) is filled; its last cell is for points outside the grid.
    """
    box, cells, columns, mask, background = placed.box, work.cells, work.columns, boxes.mask, boxes.background
    # each of n x n points has an equal part of its pixel's counts
    part = 1.0 / placed.n_points2
    for k in range(box.n_frames):
        for m in range(planes.shape[1]):
            planes[k, m] = 0.0
        first = box.first + k * box.area
        for c in range(placed.n_columns):
            i = first + columns[c]
            if (mask[i] & BITS) != GOOD:
                continue
            value = np.float32(part * (values[i] - less * background[i]))
            for p in range(placed.n_points2):
                planes[k, cells[c, p]] += value


@kernel
def spread_planes(planes, box, work, out):
    """Share each frame's plane among the planes of e3: ``out[m] = sum_k shares[k, m] / totals[k] planes[k]``."""
    shares, totals = work.shares, work.totals
    n_side, n_cells = out.shape
    for m in range(n_side):
        for c in range(n_cells):
            out[m, c] = 0.0
        for k in range(box.n_frames):
            if shares[k, m] > 0.0:
                # where along e3 a frame's counts lie within it is not known: as the Gaussian has it
                fraction = np.float32(shares[k, m] / totals[k])
                for c in range(n_cells):
                    out[m, c] += fraction * planes[k, c]
