"""Numba kernels that say which pixels of a shoebox belong to its reflection, and which to its neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel
from xdp.prediction._kernels_kabsch import make_kabsch_axes

# Bits of xdp.reflections.flags.MaskCode, as bytes that kernels take.
BACKGROUND = np.uint8(2)
FOREGROUND = np.uint8(4)
OVERLAPPED = np.uint8(32)

SHARES_FOREGROUND = np.uint8(1)
"""A neighbour's foreground lies on the foreground of a box ..."""
SHARES_BACKGROUND = np.uint8(2)
"""... or on its background: bits of our own, that are written into no file."""


class PanelRows(NamedTuple):
    """What outlines need of a detector: one row a panel.

    Attributes
    ----------
    axes : (p, 3, 3) float64
        Unit vectors fast, slow and normal.
    origin : (p, 3) float64
        Components of the origin along these, mm.
    pixel_size : (p, 2) float64
        Fast and slow, mm.
    mu, thickness : (p,) float64
        Absorption of the sensor, 1/mm (0: no parallax), and its thickness, mm.
    """

    axes: np.ndarray
    origin: np.ndarray
    pixel_size: np.ndarray
    mu: np.ndarray
    thickness: np.ndarray


class PredictedRows(NamedTuple):
    """Columns of a table of predicted reflections.

    Attributes
    ----------
    panel : (n,) int64
    bbox : (n, 6) int32
        Half-open limits: fast, fast, slow, slow, frame, frame.
    s1 : (n, 3) float64
        Diffracted beams, of any length.
    radius : (n, 2) float64
        How far the foreground reaches along e1 and e2, radians.
    s0 : (3,) float64
        Incident beam, of any length; it gives e1 and e2 where these differ.
    """

    panel: np.ndarray
    bbox: np.ndarray
    s1: np.ndarray
    radius: np.ndarray
    s0: np.ndarray


class Cells(NamedTuple):
    """Boxes by the squares of a grid on each panel that they touch.

    Attributes
    ----------
    size : int
        Pixels along the side of a square.
    across, down : int
        Squares of a panel.
    ends : (n_cells + 1,) int64
        Rows of cell c, ``(panel * down + y) * across + x``, are ``rows[ends[c - 1]:ends[c]]``.
    rows : (k,) int64
        Rows of the table.
    """

    size: int
    across: int
    down: int
    ends: np.ndarray
    rows: np.ndarray


class Outlines(NamedTuple):
    """Outlines of some rows of a table.

    Attributes
    ----------
    place : (n,) int64
        The number of each row among the outlines.
    offsets, pixels : (m + 1,) int64, (n_pixels,) uint8
        1 where a pixel (slow, fast) of its box is foreground; outline j begins at ``offsets[j]``.
    panel, bbox, centre : (n,) int64, (n, 6) int32, (n, 3) float64
        Columns of the table; `centre` is the prediction (fast, slow, frame).
    """

    place: np.ndarray
    offsets: np.ndarray
    pixels: np.ndarray
    panel: np.ndarray
    bbox: np.ndarray
    centre: np.ndarray


class Limits(NamedTuple):
    """What two boxes share: half-open limits in pixels and frames."""

    left: int
    right: int
    top: int
    bottom: int
    first: int
    last: int


@kernel
def draw_footprints(rows, predicted, panels, offsets, out):
    """The outlines of reflections on their panels: 1 where a pixel is foreground, in `out`.

    The first two coordinates of a point of the detector in the Kabsch frame of a reflection are ``e_k . (s' - s1) /
    |s1|``, e1 and e2 being at right angles to s1: the sum of their squares is the squared sine of the angle between
    the point's direction s' and s1. A pixel is foreground if for one of its corners it is at most ``radius^2``; where
    the radius differs, if ``(e1 . s' / radius_1)^2 + (e2 . s' / radius_2)^2`` is at most 1. With mu > 0 the parallax
    of all corners is that of the depth 1/mu - (t + 1/mu) exp(-mu t), t being the path of the reflection's own ray
    through the sensor. It shifts no corner by more than the depth, and so turns no direction by more than depth /
    distance: corners farther away than that cannot be foreground.

    Parameters
    ----------
    rows : (m,) int64
        Rows whose outlines are drawn.
    predicted : PredictedRows
    panels : PanelRows
    offsets : (m + 1,) int64
        The pixels (slow, fast) of the box of ``rows[j]`` begin at ``offsets[j]``.
    out : (n_pixels,) uint8
        Filled.

    References
    ----------
    W. Kabsch, Acta Cryst. D66, 133 (2010), doi:10.1107/S0907444909047374.
    """
    panel, bbox, s1, radius, s0 = predicted
    axes, origin, pixel_size, mu, thickness = panels
    f = np.empty((2, 3))
    for j in range(rows.shape[0]):
        i = rows[j]
        p = np.int64(panel[i])
        u = np.empty(3)
        length = np.sqrt(s1[i, 0] * s1[i, 0] + s1[i, 1] * s1[i, 1] + s1[i, 2] * s1[i, 2])
        for k in range(3):
            u[k] = (s1[i, 0] * axes[p, k, 0] + s1[i, 1] * axes[p, k, 1] + s1[i, 2] * axes[p, k, 2]) / length
        depth = 0.0
        if mu[p] > 0.0:
            path = thickness[p] / abs(u[2])
            depth = 1.0 / mu[p] - (path + 1.0 / mu[p]) * np.exp(-mu[p] * path)
        largest = max(radius[i, 0], radius[i, 1])
        limit = largest * largest
        is_round = radius[i, 0] == radius[i, 1]
        if not is_round:
            _divide_axes(s1[i], s0, axes[p], radius[i], f)
        normal = origin[p, 2]
        reach = largest + depth / abs(normal) if normal != 0.0 else 1.0
        far = 1.000001 * reach * reach  # a millionth more, since the angles are rounded
        x0, x1 = np.int64(bbox[i, 0]), np.int64(bbox[i, 1])
        y0, y1 = np.int64(bbox[i, 2]), np.int64(bbox[i, 3])
        width = x1 - x0
        at = offsets[j]
        for k in range(at, offsets[j + 1]):
            out[k] = np.uint8(0)
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                fast = origin[p, 0] + x * pixel_size[p, 0]
                slow = origin[p, 1] + y * pixel_size[p, 1]
                square = fast * fast + slow * slow + normal * normal
                along = fast * u[0] + slow * u[1] + normal * u[2]
                # Most corners of a box are far off: they cost no root.
                if square - along * along > far * square:
                    continue
                if depth > 0.0:
                    shift = 1.0 - depth / np.sqrt(square)
                    fast *= shift
                    slow *= shift
                    square = fast * fast + slow * slow + normal * normal
                    along = fast * u[0] + slow * u[1] + normal * u[2]
                is_inside = along > 0.0 and square - along * along <= limit * square
                if is_inside and not is_round:
                    first = f[0, 0] * fast + f[0, 1] * slow + f[0, 2] * normal
                    second = f[1, 0] * fast + f[1, 1] * slow + f[1, 2] * normal
                    is_inside = first * first + second * second <= square
                # A corner belongs to the four pixels around it, as far as they are in the box.
                if is_inside:
                    for yy in range(max(np.int64(y - 1), y0), min(np.int64(y + 1), y1)):
                        for xx in range(max(np.int64(x - 1), x0), min(np.int64(x + 1), x1)):
                            out[at + (yy - y0) * width + xx - x0] = np.uint8(1)


@kernel
def _divide_axes(s1, s0, axes, radius, out):
    """Put e1 and e2 along a panel's `axes`, divided by the radii, into `out` (2, 3): an ellipse becomes a circle."""
    kabsch = make_kabsch_axes(s1, s0)
    for a in range(2):
        for k in range(3):
            out[a, k] = 0.0
            for m in range(3):
                out[a, k] += kabsch[3 * a + m] * axes[k, m] / radius[a]


@kernel
def mark_pixels(own, bbox, first, last, footprint_at, footprint, offsets, mask):
    """Set FOREGROUND or BACKGROUND in the masks of boxes, the same on all their frames.

    Box j is reflection ``own[j]``; its footprint begins at ``footprint_at[j]``, its mask at ``offsets[j]``; on frames
    outside `first`..`last` - 1 (beyond the scan) pixels are neither.
    """
    for j in range(own.shape[0]):
        i = own[j]
        area = np.int64(bbox[i, 1] - bbox[i, 0]) * np.int64(bbox[i, 3] - bbox[i, 2])
        for z in range(bbox[i, 4], bbox[i, 5]):
            if z < first or z >= last:
                continue
            at = offsets[j] + (z - bbox[i, 4]) * area
            for k in range(area):
                mask[at + k] |= FOREGROUND if footprint[footprint_at[j] + k] else BACKGROUND


@kernel
def _cells_of(box, cells):
    """The first and last cells, across and down, that a box touches."""
    return (max(box[0] // cells.size, 0), min((box[1] - 1) // cells.size, cells.across - 1),
            max(box[2] // cells.size, 0), min((box[3] - 1) // cells.size, cells.down - 1))


@kernel
def fill_cells(rows, group, bbox, cells):
    """Put boxes into the cells that they touch; `group` (n,) is the panel.

    Called twice. Where ``cells.rows`` is empty, the boxes of cell c are counted into ``cells.ends[c + 1]``. Else
    ``cells.ends[c]`` is the beginning of cell c, and moves to its end while its rows are written.
    """
    is_counting = cells.rows.shape[0] == 0
    for i in rows:
        x0, x1, y0, y1 = _cells_of(bbox[i], cells)
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                c = (np.int64(group[i]) * cells.down + y) * cells.across + x
                if is_counting:
                    cells.ends[c + 1] += 1
                else:
                    cells.rows[cells.ends[c]] = i
                    cells.ends[c] += 1


@kernel
def find_touching(others, group, bbox, cells, meets):
    """Whether a box of the rows `others` shares a pixel with a box of the cells; ``meets[j]`` is for ``others[j]``."""
    ends = cells.ends
    for j in range(others.shape[0]):
        a = others[j]
        meets[j] = False
        x0, x1, y0, y1 = _cells_of(bbox[a], cells)
        for cy in range(y0, y1 + 1):
            for cx in range(x0, x1 + 1):
                c = (np.int64(group[a]) * cells.down + cy) * cells.across + cx
                for m in range(ends[c - 1] if c > 0 else np.int64(0), ends[c]):
                    b = cells.rows[m]
                    if (bbox[a, 0] < bbox[b, 1] and bbox[b, 0] < bbox[a, 1] and bbox[a, 2] < bbox[b, 3]
                            and bbox[b, 2] < bbox[a, 3] and bbox[a, 4] < bbox[b, 5] and bbox[b, 4] < bbox[a, 5]):
                        meets[j] = True
                        break
                # One neighbour is enough: the loops over cells end as well.
                if meets[j]:
                    break
            if meets[j]:
                break


@kernel
def mark_overlaps(own, outlines, cells, offsets, mask, shares):
    """Set OVERLAPPED where a pixel of a box belongs to a neighbour.

    That is where it is foreground of the neighbour, unless it is foreground of the box's own reflection too and this
    one's prediction is the nearer.

    Parameters
    ----------
    own : (k,) int64
        Row of each box.
    outlines : Outlines
        Of these rows and their neighbours.
    cells : Cells
        Of the rows that may claim pixels.
    offsets, mask : (k + 1,) int64, (n_pixels,) uint8
        Masks of the boxes, one after the other; changed.
    shares : (k,) uint8
        Gets SHARES_FOREGROUND where a neighbour's foreground lies on the box's foreground, SHARES_BACKGROUND where on
        its background.
    """
    bbox, pixels, size = outlines.bbox, outlines.pixels, cells.size
    for j in range(own.shape[0]):
        a = own[j]
        x0, x1, y0, y1 = _cells_of(bbox[a], cells)
        for cy in range(y0, y1 + 1):
            for cx in range(x0, x1 + 1):
                c = (np.int64(outlines.panel[a]) * cells.down + cy) * cells.across + cx
                first = cells.ends[c - 1] if c > 0 else np.int64(0)
                for m in range(first, cells.ends[c]):
                    b = cells.rows[m]
                    left, right = max(bbox[a, 0], bbox[b, 0]), min(bbox[a, 1], bbox[b, 1])
                    top, bottom = max(bbox[a, 2], bbox[b, 2]), min(bbox[a, 3], bbox[b, 3])
                    z0, z1 = max(bbox[a, 4], bbox[b, 4]), min(bbox[a, 5], bbox[b, 5])
                    if b == a or left >= right or top >= bottom or z0 >= z1:
                        continue
                    # A pair that shares several cells is marked once: in the cell with the corner of what they share.
                    if (min(max(left // size, 0), cells.across - 1) != cx
                            or min(max(top // size, 0), cells.down - 1) != cy):
                        continue
                    shares[j] |= _mark_pair(a, b, Limits(left, right, top, bottom, z0, z1), outlines,
                                            pixels[outlines.offsets[outlines.place[a]]:],
                                            pixels[outlines.offsets[outlines.place[b]]:], mask[offsets[j]:])


@kernel
def _mark_pair(a, b, shared, outlines, foot_a, foot_b, mask):
    """Mark in the box of reflection a what belongs to b; `foot_a`, `foot_b` and `mask` begin with their boxes."""
    bbox, centre = outlines.bbox, outlines.centre
    found = np.uint8(0)
    width_a, width_b = np.int64(bbox[a, 1] - bbox[a, 0]), np.int64(bbox[b, 1] - bbox[b, 0])
    area = width_a * np.int64(bbox[a, 3] - bbox[a, 2])
    for y in range(shared.top, shared.bottom):
        for x in range(shared.left, shared.right):
            if not foot_b[(y - bbox[b, 2]) * width_b + x - bbox[b, 0]]:
                continue
            in_plane = (y - bbox[a, 2]) * width_a + x - bbox[a, 0]
            is_own = foot_a[in_plane] != 0
            found |= SHARES_FOREGROUND if is_own else SHARES_BACKGROUND
            for z in range(shared.first, shared.last):
                if is_own:
                    to_a = ((x + 0.5 - centre[a, 0]) ** 2 + (y + 0.5 - centre[a, 1]) ** 2
                            + (z + 0.5 - centre[a, 2]) ** 2)
                    to_b = ((x + 0.5 - centre[b, 0]) ** 2 + (y + 0.5 - centre[b, 1]) ** 2
                            + (z + 0.5 - centre[b, 2]) ** 2)
                    # Of two equally near ones the earlier row has the pixel, so that exactly one has.
                    if to_a < to_b or (to_a == to_b and a < b):
                        continue
                mask[(z - bbox[a, 4]) * area + in_plane] |= OVERLAPPED
    return found


@kernel
def measure_covered(rows, group, bbox, cells, covered, fraction):
    """The part of each box's pixels that lie in a neighbour's box, into `fraction` (n,).

    `covered` is room for the pixels of the largest box.
    """
    ends = cells.ends
    for i in rows:
        width, height = np.int64(bbox[i, 1] - bbox[i, 0]), np.int64(bbox[i, 3] - bbox[i, 2])
        volume = width * height * np.int64(bbox[i, 5] - bbox[i, 4])
        covered[:volume] = np.uint8(0)
        x0, x1, y0, y1 = _cells_of(bbox[i], cells)
        for cy in range(y0, y1 + 1):
            for cx in range(x0, x1 + 1):
                c = (np.int64(group[i]) * cells.down + cy) * cells.across + cx
                for m in range(ends[c - 1] if c > 0 else np.int64(0), ends[c]):
                    b = cells.rows[m]
                    if b == i:
                        continue
                    # Marked rather than counted: pixels under several neighbours count once.
                    for z in range(max(bbox[i, 4], bbox[b, 4]), min(bbox[i, 5], bbox[b, 5])):
                        for y in range(max(bbox[i, 2], bbox[b, 2]), min(bbox[i, 3], bbox[b, 3])):
                            at = ((z - bbox[i, 4]) * height + y - bbox[i, 2]) * width - bbox[i, 0]
                            for x in range(max(bbox[i, 0], bbox[b, 0]), min(bbox[i, 1], bbox[b, 1])):
                                covered[at + x] = np.uint8(1)
        n = np.int64(0)
        for k in range(volume):
            n += covered[k]
        fraction[i] = n / max(volume, np.int64(1))
