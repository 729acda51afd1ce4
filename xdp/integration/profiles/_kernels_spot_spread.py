"""How far spots spread over pixels and frames, and how likely a mosaicity makes that."""

from __future__ import annotations

from math import asin, erf, exp, log, sqrt

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
        Filled: counts; counts times squared angle (rad²) from the centre; counts of strong pixels which round
        to their own index at the beginning and the end of the frame.
    """
    is_turning = to_index.shape[0] > 0
    for i in range(bbox.shape[0]):
        j = offsets[i]
        if offsets[i + 1] == j:
            continue
        d = panels[panel[i]]
        foot = _foot(d)
        for frame in range(bbox[i, 5] - bbox[i, 4]):
            counts, squares, owned = 0.0, 0.0, 0.0
            border = bbox[i, 4] + frame - first
            for row in range(bbox[i, 2], bbox[i, 3]):
                for column in range(bbox[i, 0], bbox[i, 1]):
                    j += 1
                    if mask[j - 1] == 0:
                        continue
                    x, y, z = pixel_ray(d, foot, column + 0.5, row + 0.5)
                    dx, dy, dz = x - centres[i, 0], y - centres[i, 1], z - centres[i, 2]
                    # the chord is short, so that its half's arc sine is accurate where an arc cosine is not
                    angle = 2.0 * asin(min(0.5 * sqrt(dx * dx + dy * dy + dz * dz), 1.0))
                    counts += data[j - 1]
                    squares += data[j - 1] * angle * angle
                    if mask[j - 1] != strong or not is_turning:
                        continue
                    x, y, z = x * wave_number - s0[0], y * wave_number - s0[1], z * wave_number - s0[2]
                    if _is_nearest(to_index[border], x, y, z, hkl[i]) and _is_nearest(to_index[border + 1], x, y, z,
                                                                                      hkl[i]):
                        owned += data[j - 1]
            slot = slots[i] + frame
            total[slot], moment[slot], own[slot] = counts, squares, owned


@kernel
def _foot(d):
    """Components of a panel's origin along its fast and slow axes, and its distance, mm."""
    nx, ny, nz = d[3] * d[7] - d[6] * d[4], d[6] * d[1] - d[0] * d[7], d[0] * d[4] - d[3] * d[1]
    return (d[0] * d[2] + d[3] * d[5] + d[6] * d[8], d[1] * d[2] + d[4] * d[5] + d[7] * d[8],
            abs(nx * d[2] + ny * d[5] + nz * d[8]))


@kernel
def pixel_ray(d, foot, fast, slow):
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
def _is_nearest(to_index, x, y, z, hkl):
    """Whether a point of the reciprocal lattice's frame is nearest to an index."""
    a = to_index[0, 0] * x + to_index[0, 1] * y + to_index[0, 2] * z - hkl[0]
    b = to_index[1, 0] * x + to_index[1, 1] * y + to_index[1, 2] * z - hkl[1]
    c = to_index[2, 0] * x + to_index[2, 1] * y + to_index[2, 2] * z - hkl[2]
    return min(a, b, c) >= -0.5 and max(a, b, c) < 0.5


@kernel
def mosaicity_likelihood(early, late, counts, offsets, every, sigma):
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
    every : int
        1, or how many spots to go on from one that is used to the next.
    sigma : float
        Radians.
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
            share = max(0.5 * abs(above - below), 1e-10)
            total += share
            if n_frames > 1:  # else counts tell nothing of how they are shared: their terms cancel
                seen += counts[j] * log(share)
                total_counts += counts[j]
        if total > 0.0:
            result += seen + (1.0 - total_counts) * log(total)
    return result
