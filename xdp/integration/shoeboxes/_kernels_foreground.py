"""Numba kernels that say which pixels of a shoebox belong to its reflection, and which to its neighbours."""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel

VALID = np.uint8(1)
BACKGROUND = np.uint8(2)
FOREGROUND = np.uint8(4)
OVERLAPPED = np.uint8(32)

SHARES_FOREGROUND = np.uint8(1)
SHARES_BACKGROUND = np.uint8(2)


@kernel
def footprints(rows, panel, bbox, s1, radius, axes, origin, pixel_size, mu, thickness, offsets, out):
    """The outlines of reflections on their panels: 1 where a pixel is foreground, in `out`.

    The first two coordinates of a point of the detector in the Kabsch frame of a reflection are
    ``e_k . (s' - s1) / |s1|``, e1 and e2 being at right angles to s1: the sum of their squares is the squared sine of
    the angle between the point's direction s' and s1. A pixel is foreground if for one of its corners it is at most
    ``radius^2``. With mu > 0 the parallax of all corners is that of the depth 1/mu - (t + 1/mu) exp(-mu t), t being
    the path of the reflection's own ray through the sensor. It shifts no corner by more than the depth, and so turns
    no direction by more than depth / distance: corners farther away than that cannot be foreground.

    Of reflection ``rows[j]`` the pixels (slow, fast) of its box begin at ``offsets[j]``; `s1` (n, 3) has any length,
    `radius` (n,) is in radians; the rest is a row a panel: unit vectors fast, slow and normal in `axes` (p, 3, 3), the
    components of the `origin` (p, 3) along these, `pixel_size` (p, 2), `mu` (0: no parallax) and `thickness`.
    """
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
        limit = radius[i] * radius[i]
        normal = origin[p, 2]
        reach = radius[i] + depth / abs(normal) if normal != 0.0 else 1.0
        far = 1.000001 * reach * reach
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
                if square - along * along > far * square:
                    continue
                if depth > 0.0:
                    shift = 1.0 - depth / np.sqrt(square)
                    fast *= shift
                    slow *= shift
                    square = fast * fast + slow * slow + normal * normal
                    along = fast * u[0] + slow * u[1] + normal * u[2]
                if along > 0.0 and square - along * along <= limit * square:
                    for yy in range(max(y - 1, y0), min(y + 1, y1)):
                        for xx in range(max(x - 1, x0), min(x + 1, x1)):
                            out[at + (yy - y0) * width + xx - x0] = np.uint8(1)


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
def _cells_of(box, cell, cells_across, cells_down):
    """The first and last cells, across and down, that a box touches."""
    return (max(box[0] // cell, 0), min((box[1] - 1) // cell, cells_across - 1),
            max(box[2] // cell, 0), min((box[3] - 1) // cell, cells_down - 1))


@kernel
def find_neighbours(rows, group, bbox, cell, cells_across, cells_down, start, index):
    """Put boxes into the cells of a square grid that they touch.

    `group` is the panel. Called with an empty `index` it counts into `start` (n_cells + 1), else it
    fills `index` and moves ``start[c]`` to the end of cell c.
    """
    is_counting = index.shape[0] == 0
    for i in rows:
        x0, x1, y0, y1 = _cells_of(bbox[i], cell, cells_across, cells_down)
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                c = (np.int64(group[i]) * cells_down + y) * cells_across + x
                if is_counting:
                    start[c + 1] += 1
                else:
                    index[start[c]] = i
                    start[c] += 1


@kernel
def meet_boxes(others, group, bbox, cell, cells_across, cells_down, start, index, meets):
    """Whether a box of `others` shares a pixel with one of those in the cells of :func:`find_neighbours`.

    ``start[c]`` is the end of cell c in `index`; ``meets[j]`` is for ``others[j]``.
    """
    for j in range(others.shape[0]):
        a = others[j]
        meets[j] = False
        x0, x1, y0, y1 = _cells_of(bbox[a], cell, cells_across, cells_down)
        for cy in range(y0, y1 + 1):
            for cx in range(x0, x1 + 1):
                c = (np.int64(group[a]) * cells_down + cy) * cells_across + cx
                for m in range(start[c - 1] if c > 0 else np.int64(0), start[c]):
                    b = index[m]
                    if (bbox[a, 0] < bbox[b, 1] and bbox[b, 0] < bbox[a, 1] and bbox[a, 2] < bbox[b, 3]
                            and bbox[b, 2] < bbox[a, 3] and bbox[a, 4] < bbox[b, 5] and bbox[b, 4] < bbox[a, 5]):
                        meets[j] = True
                        break
                if meets[j]:
                    break
            if meets[j]:
                break


@kernel
def mark_overlaps(own, place, group, bbox, centre, cell, cells_across, cells_down, start, index, footprint_at,
                  footprint, offsets, mask, shares):
    """Set OVERLAPPED where a pixel of a box belongs to a neighbour.

    That is where it is foreground of the neighbour, unless it is foreground of the box's own reflection too and this
    one's predicted `centre` (fast, slow, frame) is the nearer. ``place[i]`` is the number of reflection i among the
    footprints; cells are those of :func:`find_neighbours`, ``start[c]`` being the end of cell c. ``shares[j]`` gets
    SHARES_FOREGROUND where a neighbour's foreground lies on the box's foreground, SHARES_BACKGROUND on its background.
    """
    for j in range(own.shape[0]):
        a = own[j]
        x0, x1, y0, y1 = _cells_of(bbox[a], cell, cells_across, cells_down)
        for cy in range(y0, y1 + 1):
            for cx in range(x0, x1 + 1):
                c = (np.int64(group[a]) * cells_down + cy) * cells_across + cx
                first = start[c - 1] if c > 0 else np.int64(0)
                for m in range(first, start[c]):
                    b = index[m]
                    left, right = max(bbox[a, 0], bbox[b, 0]), min(bbox[a, 1], bbox[b, 1])
                    top, bottom = max(bbox[a, 2], bbox[b, 2]), min(bbox[a, 3], bbox[b, 3])
                    z0, z1 = max(bbox[a, 4], bbox[b, 4]), min(bbox[a, 5], bbox[b, 5])
                    if b == a or left >= right or top >= bottom or z0 >= z1:
                        continue
                    # a pair that shares several cells is met in the one that holds the corner of what they share
                    if (min(max(left // cell, 0), cells_across - 1) != cx
                            or min(max(top // cell, 0), cells_down - 1) != cy):
                        continue
                    shares[j] |= _mark_pair(a, b, left, right, top, bottom, z0, z1, bbox, centre,
                                            footprint[footprint_at[place[a]]:], footprint[footprint_at[place[b]]:],
                                            mask[offsets[j]:])


@kernel
def _mark_pair(a, b, left, right, top, bottom, z0, z1, bbox, centre, foot_a, foot_b, mask):
    """Mark in the box of reflection a what belongs to b."""
    found = np.uint8(0)
    width_a, width_b = np.int64(bbox[a, 1] - bbox[a, 0]), np.int64(bbox[b, 1] - bbox[b, 0])
    area = width_a * np.int64(bbox[a, 3] - bbox[a, 2])
    for y in range(top, bottom):
        for x in range(left, right):
            if not foot_b[(y - bbox[b, 2]) * width_b + x - bbox[b, 0]]:
                continue
            in_plane = (y - bbox[a, 2]) * width_a + x - bbox[a, 0]
            is_own = foot_a[in_plane] != 0
            found |= SHARES_FOREGROUND if is_own else SHARES_BACKGROUND
            for z in range(z0, z1):
                if is_own:
                    to_a = ((x + 0.5 - centre[a, 0]) ** 2 + (y + 0.5 - centre[a, 1]) ** 2
                            + (z + 0.5 - centre[a, 2]) ** 2)
                    to_b = ((x + 0.5 - centre[b, 0]) ** 2 + (y + 0.5 - centre[b, 1]) ** 2
                            + (z + 0.5 - centre[b, 2]) ** 2)
                    if to_a < to_b or (to_a == to_b and a < b):
                        continue
                mask[(z - bbox[a, 4]) * area + in_plane] |= OVERLAPPED
    return found


@kernel
def cover_boxes(rows, group, bbox, cell, cells_across, cells_down, start, index, covered, fraction):
    """The part of each box's pixels that lie in a neighbour's box, into `fraction`.

    Cells are those of :func:`find_neighbours`; `covered` is room for the pixels of the largest box.
    """
    for i in rows:
        width, height = np.int64(bbox[i, 1] - bbox[i, 0]), np.int64(bbox[i, 3] - bbox[i, 2])
        volume = width * height * np.int64(bbox[i, 5] - bbox[i, 4])
        covered[:volume] = np.uint8(0)
        x0, x1, y0, y1 = _cells_of(bbox[i], cell, cells_across, cells_down)
        for cy in range(y0, y1 + 1):
            for cx in range(x0, x1 + 1):
                c = (np.int64(group[i]) * cells_down + cy) * cells_across + cx
                for m in range(start[c - 1] if c > 0 else np.int64(0), start[c]):
                    b = index[m]
                    if b == i:
                        continue
                    for z in range(max(bbox[i, 4], bbox[b, 4]), min(bbox[i, 5], bbox[b, 5])):
                        for y in range(max(bbox[i, 2], bbox[b, 2]), min(bbox[i, 3], bbox[b, 3])):
                            at = ((z - bbox[i, 4]) * height + y - bbox[i, 2]) * width - bbox[i, 0]
                            for x in range(max(bbox[i, 0], bbox[b, 0]), min(bbox[i, 1], bbox[b, 1])):
                                covered[at + x] = np.uint8(1)
        n = np.int64(0)
        for k in range(volume):
            n += covered[k]
        fraction[i] = n / max(volume, 1)
