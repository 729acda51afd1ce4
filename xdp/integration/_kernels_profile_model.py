"""How far spots spread over pixels and frames, and how likely a mosaicity makes that."""

from __future__ import annotations

from math import asin, erf, exp, floor, log, sqrt

import numpy as np

from xdp.kernels import kernel


@kernel
def measure_frames(bbox, offsets, data, mask, strong, panel, panels, centres, to_index, first, hkl, s0, wave_number,
                   slots, total, moment, own):
    """Sum up the marked pixels of each frame of each shoebox.

    Parameters
    ----------
    bbox, offsets, data, mask, panel
        As of shoeboxes; pixels whose mask is not 0 count.
    strong : int
        Mask of the pixels that a spot was found in.
    panels : float64 (p, 13)
        d matrix row by row, pixel size fast and slow (mm), attenuation (1/mm; 0: no parallax), thickness.
    centres : float64 (n, 3)
        Unit vectors from which angles are counted.
    to_index : float64 (m, 3, 3)
        From q in the lab to fractional indices, at the borders of the frames from `first` on; none: not asked for.
    hkl : int32 (n, 3)
        Own index of each spot.
    s0, wave_number
        Incident wave vector (3,), Å⁻¹, and its length.
    slots : int64 (n + 1,)
        Frames of box i are ``slots[i]:slots[i + 1]`` of the results.
    total, moment, own : float64 (slots,)
        Filled, from 0: counts; counts times squared angle (rad²) from the centre; counts of strong pixels which round
        to their own index at the beginning and the end of the frame.
    """
    for i in range(bbox.shape[0]):
        n_fast = np.int64(bbox[i, 1] - bbox[i, 0])
        n_slow = np.int64(bbox[i, 3] - bbox[i, 2])
        plate = panel[i]
        for j in range(offsets[i], offsets[i + 1]):
            if mask[j] == 0:
                continue
            row, column = divmod(j - offsets[i], n_fast)
            frame, row = divmod(row, n_slow)
            x, y, z = pixel_ray(panels, plate, bbox[i, 0] + column + 0.5, bbox[i, 2] + row + 0.5)
            dx, dy, dz = x - centres[i, 0], y - centres[i, 1], z - centres[i, 2]
            # the chord is short, so that its half's arc sine is accurate where an arc cosine is not
            angle = 2.0 * asin(min(0.5 * sqrt(dx * dx + dy * dy + dz * dz), 1.0))
            slot = slots[i] + frame
            total[slot] += data[j]
            moment[slot] += data[j] * angle * angle
            if mask[j] != strong or to_index.shape[0] == 0:
                continue
            qx, qy, qz = x * wave_number - s0[0], y * wave_number - s0[1], z * wave_number - s0[2]
            border = bbox[i, 4] + frame - first
            if _rounds_to(to_index, border, qx, qy, qz, hkl, i) and _rounds_to(to_index, border + 1, qx, qy, qz, hkl,
                                                                                i):
                own[slot] += data[j]


@kernel
def pixel_ray(panels, i, fast, slow):
    """Unit vector towards a point in pixels on panel i, the parallax taken off (see :mod:`xdp.experiment.pixels`)."""
    d = panels[i]
    x, y = fast * d[9], slow * d[10]
    if d[11] > 0.0:
        px, py, pz = d[0] * x + d[1] * y + d[2], d[3] * x + d[4] * y + d[5], d[6] * x + d[7] * y + d[8]
        inverse = 1.0 / sqrt(px * px + py * py + pz * pz)
        nx, ny, nz = d[3] * d[7] - d[6] * d[4], d[6] * d[1] - d[0] * d[7], d[0] * d[4] - d[3] * d[1]
        path = d[12] / abs((px * nx + py * ny + pz * nz) * inverse)
        depth = (1.0 / d[11] - (path + 1.0 / d[11]) * exp(-d[11] * path)) * inverse
        x -= depth * (px * d[0] + py * d[3] + pz * d[6])
        y -= depth * (px * d[1] + py * d[4] + pz * d[7])
    px, py, pz = d[0] * x + d[1] * y + d[2], d[3] * x + d[4] * y + d[5], d[6] * x + d[7] * y + d[8]
    inverse = 1.0 / sqrt(px * px + py * py + pz * pz)
    return px * inverse, py * inverse, pz * inverse


@kernel
def _rounds_to(to_index, border, qx, qy, qz, hkl, i):
    """Whether a point of the reciprocal lattice's frame is nearest to index i."""
    for k in range(3):
        value = to_index[border, k, 0] * qx + to_index[border, k, 1] * qy + to_index[border, k, 2] * qz
        if floor(value + 0.5) != hkl[i, k]:
            return False
    return True


@kernel
def mosaicity_likelihood(early, late, counts, offsets, sigma):
    """Logarithm of the likelihood of sigma_m, up to a constant, after Kabsch (2010) and for the counts on the frames.

    A frame records the share ``z = (erf(late/sigma) - erf(early/sigma)) / 2`` of a spot, never below 1e-10, with
    ``early, late = |zeta| tau / sqrt(2)``, tau the angles of its beginning and end from the spot's. A spot adds log(Z),
    Z its sum of z over the frames it is seen on, and ``sum(n log(z)) - sum(n) log(Z)`` for its counts n there.

    Parameters
    ----------
    early, late, counts : float64 (m,)
        Radians; radians; counts; one for each frame of each spot, frames ascending.
    offsets : int64 (n + 1,)
        Frames of spot i are ``offsets[i]:offsets[i + 1]``.
    sigma : float
        Radians.
    """
    result = 0.0
    for i in range(offsets.shape[0] - 1):
        total, seen, total_counts = 0.0, 0.0, 0.0
        last, above = 0.0, 0.0
        for j in range(offsets[i], offsets[i + 1]):
            # most often a frame begins where the one before it ended
            below = above if j > offsets[i] and early[j] == last else erf(early[j] / sigma)
            last = late[j]
            above = erf(last / sigma)
            share = max(0.5 * abs(above - below), 1e-10)
            total += share
            seen += counts[j] * log(share)
            total_counts += counts[j]
        if total > 0.0:
            result += seen + (1.0 - total_counts) * log(total)
    return result
