"""Numba kernel that sums reference reflections to profiles, in whole numbers.

Floating-point sums depend on their order; whole numbers do not. So profiles are the same to the last bit in whatever
blocks and order reflections come.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from xdp.integration.profiles._kernels_frame import compute_shares, make_box, make_frame
from xdp.integration.profiles._kernels_transform import (
    FOREGROUND,
    OVERLAPPED,
    VALID,
    PlacedReflection,
    find_largest,
    list_columns,
    make_workspace,
    spread_planes,
    sum_planes,
)
from xdp.kernels import kernel

ONE = 2 ** 28
"""Stands for the number 1 in sums of profiles: a grid point is known to 4e-9, far below counting statistics. With
`WEIGHT_ONE` 2^38 a reference, so that 2^25 references fit into int64."""
WEIGHT_ONE = 1024
"""Stands for the number 1 in sums of weights."""
AREA_ONE = 2 ** 20
"""Stands for the number 1 in sums of areas."""


class Contributions(NamedTuple):
    """The profiles that each of n references is added to.

    Attributes
    ----------
    profiles : (n, m) int64
        Their numbers, -1 for none.
    weights : (n, m) int64
        In multiples of 1 / `WEIGHT_ONE`.
    """

    profiles: np.ndarray
    weights: np.ndarray


class ProfileSums(NamedTuple):
    """Sums of references, one a profile, which grow in place.

    Attributes
    ----------
    grids : (n_profiles, n_side, n_side^2) int64
        Weight times grid of sum 1, in multiples of 1 / (`ONE` `WEIGHT_ONE`).
    weights : (n_profiles,) int64
        In multiples of 1 / `WEIGHT_ONE`.
    areas, areas_2 : (n_profiles,) int64
        Weight times squared length of a pixel along e1 and along e2, in cells of the grid, in multiples of
        1 / (`AREA_ONE` `WEIGHT_ONE`).
    """

    grids: np.ndarray
    weights: np.ndarray
    areas: np.ndarray
    areas_2: np.ndarray


@kernel
def add_references(rows, given, contributions, sums):
    """Add transformed reference reflections to the profiles that they are near to.

    Each of `rows` is transformed, its grid divided by its sum and rounded to multiples of 1 / `ONE`. A row that has no
    frame or no counts above background, or has foreground pixels that are not valid or belong to a neighbour, is not
    added and set to -1 in `rows`.
    """
    geometry, grid, rays, boxes = given
    n_side = 2 * grid.half + 1
    n_cells = n_side * n_side
    most_area, most_frames, _ = find_largest(boxes, rows)
    work = make_workspace(most_area, most_frames, n_side)
    planes = np.empty((most_frames, n_cells + 1), np.float32)
    shape = np.empty((n_side, n_cells), np.float32)
    whole = np.empty((n_side, n_cells), np.int64)
    for row in range(rows.size):
        # a negative row number tells the caller which were not used
        r = rows[row]
        box = make_box(boxes, r)
        is_valid, frame = make_frame(rays.s1[r], rays.centre[r], rays.steps[r], box.panel, geometry, grid)
        if not is_valid or not has_whole_foreground(boxes.mask, box):
            rows[row] = -1
            continue
        n_columns = list_columns(frame, box, given, work)
        compute_shares(frame, rays.centre[r, 2], box, grid, work.shares, work.totals)
        placed = PlacedReflection(box, frame, n_columns, frame.n_points * frame.n_points)
        # net counts: a profile has no background
        sum_planes(boxes.data, 1.0, boxes, placed, work, planes)
        spread_planes(planes, box, work, shape)
        if not round_to_whole(shape, whole):
            rows[row] = -1
            continue
        areas = compute_pixel_areas(frame, rays.steps[r])
        add_to_profiles(whole, areas, contributions.profiles[row], contributions.weights[row], sums)


@kernel
def has_whole_foreground(mask, box):
    """Whether all foreground pixels of a box are valid and its own."""
    for i in range(box.first, box.end):
        if mask[i] & FOREGROUND and (mask[i] & VALID == 0 or mask[i] & OVERLAPPED):
            return False
    return True


@kernel
def round_to_whole(shape, whole):
    """Divide a grid by its sum and round it to multiples of 1 / `ONE`; False where the sum is not positive."""
    total = 0.0
    for m in range(shape.shape[0]):
        for c in range(shape.shape[1]):
            total += shape[m, c]
    if not total > 0.0:
        return False
    scale = float(ONE) / total
    for m in range(shape.shape[0]):
        for c in range(shape.shape[1]):
            # floor(x + 0.5) rounds halves up whatever their sign, unlike rounding to even
            whole[m, c] = np.int64(math.floor(shape[m, c] * scale + 0.5))
    return True


@kernel
def compute_pixel_areas(frame, steps):
    """Squares of the length of a pixel along e1 and along e2, in multiples of 1 / `AREA_ONE`.

    Where cells are as long along both, these are the area: pixels are nearly square.
    """
    if steps[0] == steps[1]:
        area = np.int64(math.floor(frame.area * AREA_ONE + 0.5))
        return area, area
    # a pixel that lies askew is as wide as its variance along an axis says
    return (np.int64(math.floor((frame.g1_x * frame.g1_x + frame.g1_y * frame.g1_y) * AREA_ONE + 0.5)),
            np.int64(math.floor((frame.g2_x * frame.g2_x + frame.g2_y * frame.g2_y) * AREA_ONE + 0.5)))


@kernel
def add_to_profiles(whole, areas, profiles, weights, sums):
    """Add a grid of whole numbers to the `profiles` (m,), as often as `weights` (m,) say."""
    for n in range(profiles.size):
        if profiles[n] >= 0:
            # no overflow: see ONE
            to = sums.grids[profiles[n]]
            weight = np.int64(weights[n])
            for m in range(whole.shape[0]):
                for c in range(whole.shape[1]):
                    to[m, c] += weight * whole[m, c]
            sums.weights[profiles[n]] += weights[n]
            sums.areas[profiles[n]] += weights[n] * areas[0]
            sums.areas_2[profiles[n]] += weights[n] * areas[1]
