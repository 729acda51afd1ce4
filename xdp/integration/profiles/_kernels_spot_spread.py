"""How far spots spread over pixels and frames, and how likely a mosaicity makes that."""

from __future__ import annotations

from math import asin, erf, exp, log, sqrt
from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel

LEAST_SHARE = 1e-10
"""Of a frame: keeps the logarithm finite where sigma_m is far too small for a frame that the spot was seen on."""


class IndexMatrices(NamedTuple):
    """How a ray is indexed: matrices from scattering vectors to fractional indices, at the borders of frames.

    A pixel belongs to its spot if the nearest whole index is the spot's, at both borders of the frame.

    Attributes
    ----------
    s0 : (3,) float64
        Incident wave vector, Å⁻¹.
    wave_number : float
        Its length.
    first : int
        The frame whose beginning is the first border.
    to_index : (m, 3, 3) float64
        From q in the lab to fractional indices at each border; none (0, 3, 3) where no index is asked for.
    hkl : (n, 3) int32
        Index of each spot.
    """

    s0: np.ndarray
    wave_number: float
    first: int
    to_index: np.ndarray
    hkl: np.ndarray


class FrameSums(NamedTuple):
    """Sums over the pixels of each frame of each shoebox, filled by the kernel.

    Attributes
    ----------
    start : (n + 1,) int64
        Frames of box i are ``start[i]:start[i + 1]`` of the others.
    total : (n_frames,) float64
        Counts.
    moment : (n_frames,) float64
        Counts times squared angle (rad²) from the centre.
    own : (n_frames,) float64
        Counts of strong pixels that are nearest to their spot's index at the beginning and the end of the frame.
    """

    start: np.ndarray
    total: np.ndarray
    moment: np.ndarray
    own: np.ndarray


@kernel
def sum_frames(boxes, strong, panels, centres, indexing, sums):
    """Sum up the marked pixels of each frame of each shoebox.

    Parameters
    ----------
    boxes : BoxPixels
        Pixels whose mask is not 0 count; backgrounds are not looked at.
    strong : int
        Mask of the pixels that a spot was found in.
    panels : float64 (p, 13)
        d matrix row by row, pixel size fast and slow (mm), attenuation (1/mm; 0: no parallax), thickness.
    centres : float64 (n, 3)
        Unit vectors from which angles are counted.
    indexing : Indexing
    sums : FrameSums
        Filled.
    """
    bbox, offsets, data, mask = boxes.bbox, boxes.offsets, boxes.data, boxes.mask
    is_turning = indexing.to_index.shape[0] > 0
    for i in range(bbox.shape[0]):
        j = offsets[i]
        if offsets[i + 1] == j:
            continue
        d = panels[boxes.panel[i]]
        foot = find_foot(d)
        for frame in range(bbox[i, 5] - bbox[i, 4]):
            counts, squares, owned = 0.0, 0.0, 0.0
            border = bbox[i, 4] + frame - indexing.first
            for row in range(bbox[i, 2], bbox[i, 3]):
                for column in range(bbox[i, 0], bbox[i, 1]):
                    j += 1
                    if mask[j - 1] == 0:
                        continue
                    x, y, z = compute_ray(d, foot, column + 0.5, row + 0.5)
                    dx, dy, dz = x - centres[i, 0], y - centres[i, 1], z - centres[i, 2]
                    # the chord is short, so that its half's arc sine is accurate where an arc cosine is not
                    angle = 2.0 * asin(min(0.5 * sqrt(dx * dx + dy * dy + dz * dz), 1.0))
                    counts += data[j - 1]
                    squares += data[j - 1] * angle * angle
                    if mask[j - 1] == strong and is_turning and is_own(indexing, i, border, x, y, z):
                        owned += data[j - 1]
            at = sums.start[i] + frame
            sums.total[at], sums.moment[at], sums.own[at] = counts, squares, owned


@kernel
def find_foot(d):
    """Components of a panel's origin along its fast and slow axes, and the panel's distance, mm."""
    nx, ny, nz = d[3] * d[7] - d[6] * d[4], d[6] * d[1] - d[0] * d[7], d[0] * d[4] - d[3] * d[1]
    return (d[0] * d[2] + d[3] * d[5] + d[6] * d[8], d[1] * d[2] + d[4] * d[5] + d[7] * d[8],
            abs(nx * d[2] + ny * d[5] + nz * d[8]))


@kernel
def compute_ray(d, foot, fast, slow):
    """Unit vector towards a point in pixels on a panel, the parallax taken off (see :mod:`xdp.experiment.pixels`)."""
    x, y = fast * d[9], slow * d[10]
    if d[11] > 0.0:
        along_fast, along_slow = foot[0] + x, foot[1] + y
        length = sqrt(along_fast * along_fast + along_slow * along_slow + foot[2] * foot[2])
        path = d[12] * length / foot[2]
        depth = (1.0 / d[11] - (path + 1.0 / d[11]) * exp(-d[11] * path)) / length
        x -= depth * along_fast
        y -= depth * along_slow
    px, py, pz = d[0] * x + d[1] * y + d[2], d[3] * x + d[4] * y + d[5], d[6] * x + d[7] * y + d[8]
    inverse = 1.0 / sqrt(px * px + py * py + pz * pz)
    return px * inverse, py * inverse, pz * inverse


@kernel
def is_own(indexing, i, border, x, y, z):
    """Whether the ray (x, y, z) is nearest to the index of spot `i`, at a border of a frame and at the next."""
    s0, k = indexing.s0, indexing.wave_number
    qx, qy, qz = x * k - s0[0], y * k - s0[1], z * k - s0[2]
    return (is_nearest(indexing.to_index[border], qx, qy, qz, indexing.hkl[i])
            and is_nearest(indexing.to_index[border + 1], qx, qy, qz, indexing.hkl[i]))


@kernel
def is_nearest(to_index, x, y, z, hkl):
    """Whether no other index is nearer to the point (x, y, z) of reciprocal space in the lab than `hkl`."""
    a = to_index[0, 0] * x + to_index[0, 1] * y + to_index[0, 2] * z - hkl[0]
    b = to_index[1, 0] * x + to_index[1, 1] * y + to_index[1, 2] * z - hkl[1]
    c = to_index[2, 0] * x + to_index[2, 1] * y + to_index[2, 2] * z - hkl[2]
    # half-open, so that each point belongs to one index
    return min(a, b, c) >= -0.5 and max(a, b, c) < 0.5


@kernel
def mosaicity_likelihood(early, late, counts, offsets, every, sigma):
    r"""Logarithm of the likelihood of sigma_m, up to a constant, after Kabsch (2010) and for the counts on the frames.

    A frame records of a spot the share

    .. math::

        z = \tfrac12 \big| \mathrm{erf}(t_{late}/\sigma) - \mathrm{erf}(t_{early}/\sigma) \big|, \qquad
        t = |\zeta|\, \tau / \sqrt2,

    with tau the angles of its beginning and end from the spot's. A spot with counts n on the frames that it is seen on,
    and Z the sum of z there, adds

    .. math::

        \log Z + \sum n \log z - \sum n\, \log Z:

    the chance to be seen on these frames, and that of how its counts are shared among them.

    Parameters
    ----------
    early, late : float64 (m,)
        t of the beginning and end of each frame of each spot, frames ascending, rad.
    counts : float64 (m,)
        Counts there.
    offsets : int64 (n + 1,)
        Frames of spot i are ``offsets[i]:offsets[i + 1]``.
    every : int
        1, or how many spots to go on from one that is used to the next.
    sigma : float
        sigma_m, rad.
    """
    result = 0.0
    for i in range(0, offsets.shape[0] - 1, every):
        total, seen, total_counts = 0.0, 0.0, 0.0
        last, above = 0.0, 0.0
        n_frames = offsets[i + 1] - offsets[i]
        for j in range(offsets[i], offsets[i + 1]):
            # most often a frame begins where the one before it ended
            below = above if j > offsets[i] and early[j] == last else erf(early[j] / sigma)
            last = late[j]
            above = erf(last / sigma)
            share = max(0.5 * abs(above - below), LEAST_SHARE)
            total += share
            if n_frames > 1:  # else counts tell nothing of how they are shared: their terms cancel
                seen += counts[j] * log(share)
                total_counts += counts[j]
        if total > 0.0:
            result += seen + (1.0 - total_counts) * log(total)
    return result
