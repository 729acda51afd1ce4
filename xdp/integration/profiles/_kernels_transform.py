"""Numba kernels between a shoebox's pixels and the grid of the reflection's own frame (Kabsch's e1, e2, e3).

All share the description of a reflection made by :func:`set_frame`, and lists of its foreground columns: a column is
one pixel of the detector over all frames of the box. A column's pixel is sampled at n x n points; each point lies in
one cell of the (e1, e2) grid, so that a pixel is shared among cells by area.
"""

from __future__ import annotations

import math

import numpy as np

from xdp.kernels import kernel

VALID = 1
FOREGROUND = 4
OVERLAPPED = 32
MOST_POINTS = 6
"""Sample points along a side of a pixel, at most."""

ROOM = 4096
"""Added before a fraction is cut off, so that it is always cut downwards."""
AREA_ONE = 2 ** 20
"""What stands for the number 1 in sums of areas."""

# entries of `frame`
CENTRE = 8
AREA = 9
RATE = 10
POINTS = 11
PER_X1, PER_Y1, PER_X2, PER_Y2 = 12, 13, 14, 15
SHIFT_X, SHIFT_Y = 16, 17
FRAME_SIZE = 18


@kernel
def set_frame(s1, s0, axis, centre, d, d_inverse, pixel, turn, step_b, step_m, half, frame):
    """Describe a reflection: its axes in grid units, the map from pixels, and the rotation a frame makes along e3.

    ``e1 = s1 x s0 / |..|``, ``e2 = s1 x e1 / |..|``, ``zeta = axis . e1``; a point in the direction of the unit vector
    s' has the grid coordinates ``(half + 0.5) + e_k . (s' - s1/|s1|) / step_b``; a rotation by phi from the
    prediction is ``zeta phi / step_m`` along e3. `centre` is the predicted (fast, slow, frame); between it and the
    point where s1 meets the panel lies the parallax, taken as the same in the whole box.
    Returns False where there is no such frame (s1 along s0 or along the panel, or zeta = 0).
    """
    inverse = 1.0 / math.sqrt(s1[0] * s1[0] + s1[1] * s1[1] + s1[2] * s1[2])
    ux, uy, uz = s1[0] * inverse, s1[1] * inverse, s1[2] * inverse
    e1x, e1y, e1z = uy * s0[2] - uz * s0[1], uz * s0[0] - ux * s0[2], ux * s0[1] - uy * s0[0]
    length = math.sqrt(e1x * e1x + e1y * e1y + e1z * e1z)
    toward = d_inverse[2, 0] * ux + d_inverse[2, 1] * uy + d_inverse[2, 2] * uz
    if not (length > 0.0 and toward > 0.0):
        return False
    e1x, e1y, e1z = e1x / length, e1y / length, e1z / length
    e2x, e2y, e2z = uy * e1z - uz * e1y, uz * e1x - ux * e1z, ux * e1y - uy * e1x
    zeta = axis[0] * e1x + axis[1] * e1y + axis[2] * e1z
    frame[0], frame[1], frame[2] = e1x / step_b, e1y / step_b, e1z / step_b
    frame[3], frame[4], frame[5] = e2x / step_b, e2y / step_b, e2z / step_b
    # e1 and e2 are at right angles to s1: the prediction is the middle of the grid
    frame[6] = half + 0.5 - (frame[0] * ux + frame[1] * uy + frame[2] * uz)
    frame[7] = half + 0.5 - (frame[3] * ux + frame[4] * uy + frame[5] * uz)
    frame[CENTRE] = half + 0.5
    frame[RATE] = zeta * turn / step_m
    mx = (d_inverse[0, 0] * ux + d_inverse[0, 1] * uy + d_inverse[0, 2] * uz) / toward
    my = (d_inverse[1, 0] * ux + d_inverse[1, 1] * uy + d_inverse[1, 2] * uz) / toward
    frame[SHIFT_X], frame[SHIFT_Y] = mx - centre[0] * pixel[0], my - centre[1] * pixel[1]
    ax, ay = grid_point(frame, d, pixel, centre[0] - 0.5, centre[1])
    bx, by = grid_point(frame, d, pixel, centre[0] + 0.5, centre[1])
    frame[PER_X1], frame[PER_X2] = bx - ax, by - ay
    ax, ay = grid_point(frame, d, pixel, centre[0], centre[1] - 0.5)
    bx, by = grid_point(frame, d, pixel, centre[0], centre[1] + 0.5)
    frame[PER_Y1], frame[PER_Y2] = bx - ax, by - ay
    frame[AREA] = abs(frame[PER_X1] * frame[PER_Y2] - frame[PER_Y1] * frame[PER_X2])
    frame[POINTS] = min(max(math.ceil(2.0 * math.sqrt(frame[AREA])), 2), MOST_POINTS)
    return zeta != 0.0


@kernel
def grid_point(frame, d, pixel, x, y):
    """Grid coordinates along e1 and e2 of the point (x, y) of the panel, pixels."""
    mx, my = x * pixel[0] + frame[SHIFT_X], y * pixel[1] + frame[SHIFT_Y]
    lx = d[0, 0] * mx + d[0, 1] * my + d[0, 2]
    ly = d[1, 0] * mx + d[1, 1] * my + d[1, 2]
    lz = d[2, 0] * mx + d[2, 1] * my + d[2, 2]
    inverse = 1.0 / math.sqrt(lx * lx + ly * ly + lz * lz)
    return ((frame[0] * lx + frame[1] * ly + frame[2] * lz) * inverse + frame[6],
            (frame[3] * lx + frame[4] * ly + frame[5] * lz) * inverse + frame[7])


@kernel
def sample(frame, n_points, spread, offsets):
    """Offsets on the grid of n x n sample points from the middle of a pixel, `spread` of it apart; returns n^2."""
    p = 0
    for b in range(n_points):
        v = (b - 0.5 * (n_points - 1)) * spread
        for a in range(n_points):
            u = (a - 0.5 * (n_points - 1)) * spread
            offsets[p, 0] = u * frame[PER_X1] + v * frame[PER_Y1]
            offsets[p, 1] = u * frame[PER_X2] + v * frame[PER_Y2]
            p += 1
    return p


@kernel
def list_columns(frame, d, pixel, bbox, mask, at, n_side, offsets, columns, middles, cells):
    """Find the columns with foreground, and the grid cells of their sample points.

    `mask` of the box begins at `at`. ``columns[c]`` gets the place of the pixel within a frame, ``middles[c]`` the
    grid coordinates of its middle, ``cells[c, p]`` the cell (e2, e1) of point p, n_side^2 for one outside the grid;
    `offsets` is room for the points. Returns the number of columns.
    """
    width, height = np.int64(bbox[1] - bbox[0]), np.int64(bbox[3] - bbox[2])
    area, n_frames = width * height, np.int64(bbox[5] - bbox[4])
    n_points = np.int64(frame[POINTS])
    n_points2 = sample(frame, n_points, 1.0 / n_points, offsets)
    n = 0
    for place in range(area):
        is_any = False
        for k in range(n_frames):
            if mask[at + k * area + place] & FOREGROUND:
                is_any = True
                break
        if not is_any:
            continue
        g1, g2 = grid_point(frame, d, pixel, bbox[0] + place % width + 0.5, bbox[2] + place // width + 0.5)
        columns[n] = place
        middles[n, 0], middles[n, 1] = g1, g2
        for p in range(n_points2):
            i = np.int64(g1 + offsets[p, 0] + ROOM) - ROOM
            j = np.int64(g2 + offsets[p, 1] + ROOM) - ROOM
            is_in = i >= 0 and j >= 0 and i < n_side and j < n_side
            cells[n, p] = j * n_side + i if is_in else n_side * n_side
        n += 1
    return n


@kernel
def list_corners(frame, middles, n_columns, n_side, offsets, corners, parts):
    """For sample points of columns, the four grid points about each and its place between them.

    ``corners[c, p]`` is the first of the four on a grid that has a border of one point, ``parts[c, p]`` how far the
    sample point lies from it, along e1 and e2. A point farther out is given to the corner of the border. Returns the
    number of points of a column.
    """
    n_points = np.int64(frame[POINTS])
    n_points2 = sample(frame, n_points, 1.0 / n_points, offsets)
    for c in range(n_columns):
        for p in range(n_points2):
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
def between(planes, k, corners, parts, c, n_points2, row):
    """Mean over a column's sample points of what lies between the points of plane k, whose rows have length `row`."""
    total = np.float32(0.0)
    for p in range(n_points2):
        i = corners[c, p]
        x, y = parts[c, p, 0], parts[c, p, 1]
        low = planes[k, i] + x * (planes[k, i + 1] - planes[k, i])
        high = planes[k, i + row] + x * (planes[k, i + row + 1] - planes[k, i + row])
        total += low + y * (high - low)
    return np.float64(total) / n_points2


@kernel
def share_frames(frame, centre_z, first, n_frames, sigma, edge_erf, n_side, shares, totals):
    """Parts of the Gaussian rotation profile that each frame has of each grid plane.

    ``shares[k, m]`` is the part of the whole profile recorded on frame ``first + k`` and within plane m of e3;
    ``totals[k]`` that of the frame; `sigma` is in grid units, `edge_erf` the error function at the planes' limits.
    """
    scale = 1.0 / (math.sqrt(2.0) * sigma)
    for k in range(n_frames):
        a = (first + k - centre_z) * frame[RATE]
        b = a + frame[RATE]
        if b < a:
            a, b = b, a
        erf_a, erf_b = math.erf(a * scale), math.erf(b * scale)
        totals[k] = 0.5 * (erf_b - erf_a)
        a += frame[CENTRE]
        b += frame[CENTRE]
        for m in range(n_side):
            if a < m + 1 and b > m:
                low = erf_a if a > m else edge_erf[m]
                high = erf_b if b < m + 1 else edge_erf[m + 1]
                shares[k, m] = 0.5 * (high - low)
            else:
                shares[k, m] = 0.0


@kernel
def to_planes(values, background, less, mask, wanted, at, area, n_frames, columns, n_columns, cells, n_points2, planes):
    """Share counts of foreground pixels among (e2, e1) cells, frame by frame; `less` 1 takes the background off.

    Pixels count whose mask, of the bits VALID, FOREGROUND and OVERLAPPED, has just those `wanted`.
    """
    n_cells = planes.shape[1]
    part = 1.0 / n_points2
    bits = VALID | FOREGROUND | OVERLAPPED
    for k in range(n_frames):
        for m in range(n_cells):
            planes[k, m] = 0.0
        first = at + k * area
        for c in range(n_columns):
            i = first + columns[c]
            if (mask[i] & bits) != wanted:
                continue
            value = np.float32(part * (values[i] - less * background[i]))
            for p in range(n_points2):
                planes[k, cells[c, p]] += value


@kernel
def to_grid(planes, shares, totals, n_frames, n_side, grid):
    """Share each frame's plane among the planes of e3: ``grid[m] = sum_k shares[k, m] / totals[k] planes[k]``.

    Of `planes` (n_frames, n_side^2 + 1) the last cell, for points outside the grid, is dropped.
    """
    n_cells = n_side * n_side
    for m in range(n_side):
        for c in range(n_cells):
            grid[m, c] = 0.0
        for k in range(n_frames):
            if shares[k, m] > 0.0:
                fraction = np.float32(shares[k, m] / totals[k])
                for c in range(n_cells):
                    grid[m, c] += fraction * planes[k, c]


@kernel
def accumulate(rows, s1, s0, centre, panel, bbox, offsets, data, background, mask, axis, turn, d_matrix, d_inverse,
               pixel_size, steps, sigma, half, edge_erf, profiles, weights, one, sums, weight_sum, area_sum):
    """Add transformed reference reflections to the profiles they are near to, in whole numbers.

    Each of `rows` is transformed, its grid divided by its sum and rounded to multiples of 1/`one`, and added with the
    whole-number `weights` (n, m) to ``sums[profiles]``, where those are not negative. `weight_sum` gets the weights,
    `area_sum` the weights times the area of a pixel in cells. Whole numbers add up to the same in any order.
    A row that cannot be transformed, has no counts above background, or has foreground pixels that are not valid or
    belong to a neighbour, is set to -1 in `rows`.
    """
    n_side = 2 * half + 1
    n_cells = n_side * n_side
    most_area, most_frames = 1, 1
    for r in rows:
        most_area = max(most_area, np.int64(bbox[r, 1] - bbox[r, 0]) * np.int64(bbox[r, 3] - bbox[r, 2]))
        most_frames = max(most_frames, np.int64(bbox[r, 5] - bbox[r, 4]))
    frame = np.empty(FRAME_SIZE)
    columns = np.empty(most_area, np.int64)
    cells = np.empty((most_area, MOST_POINTS * MOST_POINTS), np.int32)
    points, middles = np.empty((MOST_POINTS * MOST_POINTS, 2)), np.empty((most_area, 2))
    shares, totals = np.empty((most_frames, n_side)), np.empty(most_frames)
    planes = np.empty((most_frames, n_cells + 1), np.float32)
    grid = np.empty((n_side, n_cells), np.float32)
    whole = np.empty((n_side, n_cells), np.int64)
    for row in range(rows.size):
        r = rows[row]
        pan = np.int64(panel[r])
        d, pixel = d_matrix[pan], pixel_size[pan]
        area = np.int64(bbox[r, 1] - bbox[r, 0]) * np.int64(bbox[r, 3] - bbox[r, 2])
        n_frames = np.int64(bbox[r, 5] - bbox[r, 4])
        at = offsets[r]
        if not set_frame(s1[r], s0[r], axis, centre[r], d, d_inverse[pan], pixel, turn, steps[0], steps[1], half,
                         frame):
            rows[row] = -1
            continue
        if not is_whole(mask, at, offsets[r + 1]):
            rows[row] = -1
            continue
        n_columns = list_columns(frame, d, pixel, bbox[r], mask, at, n_side, points, columns, middles, cells)
        n_points2 = np.int64(frame[POINTS] * frame[POINTS])
        share_frames(frame, centre[r, 2], bbox[r, 4], n_frames, sigma, edge_erf, n_side, shares, totals)
        to_planes(data, background, 1.0, mask, VALID | FOREGROUND, at, area, n_frames, columns, n_columns, cells,
                  n_points2, planes)
        to_grid(planes, shares, totals, n_frames, n_side, grid)
        if not add_grid(grid, one, profiles[row], weights[row], whole, sums):
            rows[row] = -1
            continue
        pixel_area = np.int64(math.floor(frame[AREA] * AREA_ONE + 0.5))
        for m in range(profiles.shape[1]):
            if profiles[row, m] >= 0:
                weight_sum[profiles[row, m]] += weights[row, m]
                area_sum[profiles[row, m]] += weights[row, m] * pixel_area


@kernel
def is_whole(mask, first, last):
    """Whether all foreground pixels of a box are valid and its own."""
    for i in range(first, last):
        if mask[i] & FOREGROUND and (mask[i] & VALID == 0 or mask[i] & OVERLAPPED):
            return False
    return True


@kernel
def add_grid(grid, one, profiles, weights, whole, out):
    """Add a grid, divided by its sum, to profiles in whole numbers; False where the sum is not positive."""
    total = 0.0
    for m in range(grid.shape[0]):
        for c in range(grid.shape[1]):
            total += grid[m, c]
    if not total > 0.0:
        return False
    scale = one / total
    for m in range(grid.shape[0]):
        for c in range(grid.shape[1]):
            whole[m, c] = np.int64(math.floor(grid[m, c] * scale + 0.5))
    for n in range(profiles.size):
        if profiles[n] >= 0:
            to = out[profiles[n]]
            weight = np.int64(weights[n])
            for m in range(grid.shape[0]):
                for c in range(grid.shape[1]):
                    to[m, c] += weight * whole[m, c]
    return True
