"""Numba kernels of the ellipsoid model: spots measured, the likelihood of their shapes, foreground."""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel

VALID = np.uint8(1)
FOREGROUND = np.uint8(4)
STRONG = np.uint8(8)


@kernel
def ray_at(x, y, d, pixel_size, mu, thickness):
    """Unit vector towards the point (x, y), px, of a panel; with mu > 0 the parallax is taken off at that point."""
    mx, my = x * pixel_size[0], y * pixel_size[1]
    lx = d[0, 0] * mx + d[0, 1] * my + d[0, 2]
    ly = d[1, 0] * mx + d[1, 1] * my + d[1, 2]
    lz = d[2, 0] * mx + d[2, 1] * my + d[2, 2]
    inverse = 1.0 / np.sqrt(lx * lx + ly * ly + lz * lz)
    ux, uy, uz = lx * inverse, ly * inverse, lz * inverse
    if mu > 0.0:
        nx = d[1, 0] * d[2, 1] - d[2, 0] * d[1, 1]
        ny = d[2, 0] * d[0, 1] - d[0, 0] * d[2, 1]
        nz = d[0, 0] * d[1, 1] - d[1, 0] * d[0, 1]
        path = thickness / abs(ux * nx + uy * ny + uz * nz)
        depth = 1.0 / mu - (path + 1.0 / mu) * np.exp(-mu * path)
        fast = (ux * d[0, 0] + uy * d[1, 0] + uz * d[2, 0]) * depth
        slow = (ux * d[0, 1] + uy * d[1, 1] + uz * d[2, 1]) * depth
        lx -= d[0, 0] * fast + d[0, 1] * slow
        ly -= d[1, 0] * fast + d[1, 1] * slow
        lz -= d[2, 0] * fast + d[2, 1] * slow
        inverse = 1.0 / np.sqrt(lx * lx + ly * ly + lz * lz)
        ux, uy, uz = lx * inverse, ly * inverse, lz * inverse
    return ux, uy, uz


@kernel
def measure_spots(frames, radius, panel, bbox, offsets, data, background, mask, d_matrix, pixel_size, mu, thickness,
                  out):
    """Counts above background, their mean and covariance, of the valid foreground of boxes of one frame's depth.

    Positions are those of pixels' rays of length `radius` along the first two vectors of ``frames[i]`` (3, 3); pixels
    not above the background are left out. `out` (n, 6) gets: sum; mean along e1, e2; covariance 11, 12, 22.
    """
    for i in range(panel.shape[0]):
        p = np.int64(panel[i])
        x0, x1 = np.int64(bbox[i, 0]), np.int64(bbox[i, 1])
        k = offsets[i]
        total, ma, mb, vaa, vab, vbb = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        e = frames[i]
        while k < offsets[i + 1]:
            y = bbox[i, 2] + (k - offsets[i]) // (x1 - x0)
            for x in range(x0, x1):
                c = np.float64(data[k]) - np.float64(background[k])
                if c > 0.0 and (mask[k] & VALID) and (mask[k] & FOREGROUND):
                    ux, uy, uz = ray_at(x + 0.5, y + 0.5, d_matrix[p], pixel_size[p], mu[p], thickness[p])
                    a = radius * (e[0, 0] * ux + e[0, 1] * uy + e[0, 2] * uz)
                    b = radius * (e[1, 0] * ux + e[1, 1] * uy + e[1, 2] * uz)
                    total += c
                    ma += c * a
                    mb += c * b
                    vaa += c * a * a
                    vab += c * a * b
                    vbb += c * b * b
                k += 1
        out[i, 0] = total
        if total > 0.0:
            ma, mb = ma / total, mb / total
            out[i, 1], out[i, 2] = ma, mb
            out[i, 3], out[i, 4], out[i, 5] = vaa / total - ma * ma, vab / total - ma * mb, vbb / total - mb * mb


@kernel
def add_strong(bbox, offsets, mask, old_bbox, old_offsets, old_mask):
    """Set FOREGROUND and STRONG where the same spot's box of the spot finder has a pixel of its foreground."""
    for i in range(bbox.shape[0]):
        width = np.int64(bbox[i, 1] - bbox[i, 0])
        old_width = np.int64(old_bbox[i, 1] - old_bbox[i, 0])
        for k in range(old_offsets[i], old_offsets[i + 1]):
            if not ((old_mask[k] & VALID) and (old_mask[k] & FOREGROUND)):
                continue
            x = old_bbox[i, 0] + (k - old_offsets[i]) % old_width
            y = old_bbox[i, 2] + (k - old_offsets[i]) // old_width
            if bbox[i, 0] <= x < bbox[i, 1] and bbox[i, 2] <= y < bbox[i, 3]:
                mask[offsets[i] + (y - bbox[i, 2]) * width + x - bbox[i, 0]] |= FOREGROUND | STRONG


@kernel
def ellipse_footprints(panel, bbox, frames, mean, inverse, limit, radius, d_matrix, pixel_size, mu, thickness, offsets,
                       out):
    """1 in `out` where a corner of a pixel lies within the ellipse ``(x - mean)^T inverse (x - mean) < limit``.

    x are the coordinates of the corner's ray of length `radius` along the first two vectors of ``frames[i]``;
    `inverse` (n, 3) holds the elements 11, 12, 22. Pixels (slow, fast) of box i begin at ``offsets[i]``.
    """
    for i in range(panel.shape[0]):
        p = np.int64(panel[i])
        e = frames[i]
        x0, x1 = np.int64(bbox[i, 0]), np.int64(bbox[i, 1])
        y0, y1 = np.int64(bbox[i, 2]), np.int64(bbox[i, 3])
        at, width = offsets[i], x1 - x0
        for k in range(at, offsets[i + 1]):
            out[k] = np.uint8(0)
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                ux, uy, uz = ray_at(np.float64(x), np.float64(y), d_matrix[p], pixel_size[p], mu[p], thickness[p])
                a = radius * (e[0, 0] * ux + e[0, 1] * uy + e[0, 2] * uz) - mean[i, 0]
                b = radius * (e[1, 0] * ux + e[1, 1] * uy + e[1, 2] * uz) - mean[i, 1]
                if inverse[i, 0] * a * a + 2.0 * inverse[i, 1] * a * b + inverse[i, 2] * b * b < limit:
                    for yy in range(max(y - 1, y0), min(y + 1, y1)):
                        for xx in range(max(x - 1, x0), min(x + 1, x1)):
                            out[at + (yy - y0) * width + xx - x0] = np.uint8(1)


@kernel
def likelihood(turns, sigma, d_sigma, mu, d_mu, radius, weight, mean, covariance, score, information):
    """Logarithm of the likelihood of spots, its gradient and Fisher information (added to the last two arguments).

    Of spot i the point has covariance ``S = T sigma T^T`` (T = ``turns[i]``) and mean ``mu[i]`` in the frame of its
    ray. With epsilon = radius - mu_3, m = mu_12 + S_12 epsilon / S_33 and C = S_11 - S_12 S_21 / S_33,

        ln L = - w/2 [ln S_33 + epsilon²/S_33 + ln|C| + tr C^-1 (C_obs + (m_obs - m)(m_obs - m)^T)]

    Parameters p enter by `d_sigma` (k, 3, 3) and `d_mu` (n, k, 3). The information is that of normal distributions:
    w/2 [dS_33 dS_33'/S_33² + 2 dmu_3 dmu_3'/S_33 + tr C^-1 dC C^-1 dC' + 2 dm^T C^-1 dm'].
    """
    n_parameters = d_sigma.shape[0]
    s, ds = np.empty((3, 3)), np.empty((3, 3))
    d33, d3 = np.empty(n_parameters), np.empty(n_parameters)
    dm, dc = np.empty((n_parameters, 2)), np.empty((n_parameters, 3))
    log_likelihood = 0.0
    for i in range(turns.shape[0]):
        _turn(turns[i], sigma, s)
        s33 = s[2, 2]
        t0, t1 = s[0, 2] / s33, s[1, 2] / s33
        c00, c01, c11 = s[0, 0] - t0 * s[0, 2], s[0, 1] - t0 * s[1, 2], s[1, 1] - t1 * s[1, 2]
        determinant = c00 * c11 - c01 * c01
        if not (s33 > 0.0 and determinant > 0.0):
            return -np.inf
        i00, i01, i11 = c11 / determinant, -c01 / determinant, c00 / determinant
        epsilon = radius - mu[i, 2]
        r0, r1 = mean[i, 0] - mu[i, 0] - t0 * epsilon, mean[i, 1] - mu[i, 1] - t1 * epsilon
        v00, v01, v11 = covariance[i, 0] + r0 * r0, covariance[i, 1] + r0 * r1, covariance[i, 2] + r1 * r1
        w = weight[i]
        log_likelihood -= 0.5 * w * (np.log(s33) + epsilon * epsilon / s33 + np.log(determinant)
                                     + i00 * v00 + 2.0 * i01 * v01 + i11 * v11)
        # A = C^-1 - C^-1 V C^-1 is the derivative of the conditional part by C
        b00, b01, b11 = _sandwich(i00, i01, i11, v00, v01, v11)
        a00, a01, a11 = i00 - b00, i01 - b01, i11 - b11
        for j in range(n_parameters):
            _turn(turns[i], d_sigma[j], ds)
            d33[j], d3[j] = ds[2, 2], d_mu[i, j, 2]
            u0, u1 = (ds[0, 2] - t0 * ds[2, 2]) / s33, (ds[1, 2] - t1 * ds[2, 2]) / s33
            dm[j, 0] = d_mu[i, j, 0] + u0 * epsilon - t0 * d3[j]
            dm[j, 1] = d_mu[i, j, 1] + u1 * epsilon - t1 * d3[j]
            dc[j, 0] = ds[0, 0] - 2.0 * t0 * ds[0, 2] + t0 * t0 * ds[2, 2]
            dc[j, 1] = ds[0, 1] - t0 * ds[1, 2] - t1 * ds[0, 2] + t0 * t1 * ds[2, 2]
            dc[j, 2] = ds[1, 1] - 2.0 * t1 * ds[1, 2] + t1 * t1 * ds[2, 2]
            marginal = d33[j] / s33 * (1.0 - epsilon * epsilon / s33) - 2.0 * epsilon * d3[j] / s33
            conditional = a00 * dc[j, 0] + 2.0 * a01 * dc[j, 1] + a11 * dc[j, 2]
            shift = (i00 * r0 + i01 * r1) * dm[j, 0] + (i01 * r0 + i11 * r1) * dm[j, 1]
            score[j] -= 0.5 * w * (marginal + conditional - 2.0 * shift)
        for j in range(n_parameters):
            g00, g01, g11 = _sandwich(i00, i01, i11, dc[j, 0], dc[j, 1], dc[j, 2])
            h0, h1 = i00 * dm[j, 0] + i01 * dm[j, 1], i01 * dm[j, 0] + i11 * dm[j, 1]
            for k in range(n_parameters):
                information[j, k] += 0.5 * w * (
                    d33[j] * d33[k] / (s33 * s33) + 2.0 * d3[j] * d3[k] / s33
                    + g00 * dc[k, 0] + 2.0 * g01 * dc[k, 1] + g11 * dc[k, 2]
                    + 2.0 * (h0 * dm[k, 0] + h1 * dm[k, 1]))
    return log_likelihood


@kernel
def _turn(t, a, out):
    """T A T^T of 3 x 3 matrices, into `out`."""
    for i in range(3):
        x = t[i, 0] * a[0, 0] + t[i, 1] * a[1, 0] + t[i, 2] * a[2, 0]
        y = t[i, 0] * a[0, 1] + t[i, 1] * a[1, 1] + t[i, 2] * a[2, 1]
        z = t[i, 0] * a[0, 2] + t[i, 1] * a[1, 2] + t[i, 2] * a[2, 2]
        for j in range(3):
            out[i, j] = x * t[j, 0] + y * t[j, 1] + z * t[j, 2]


@kernel
def _sandwich(i00, i01, i11, v00, v01, v11):
    """Elements 11, 12, 22 of I V I for symmetric 2 x 2 matrices."""
    a00, a01 = i00 * v00 + i01 * v01, i00 * v01 + i01 * v11
    a10, a11 = i01 * v00 + i11 * v01, i01 * v01 + i11 * v11
    return a00 * i00 + a01 * i01, a00 * i01 + a01 * i11, a10 * i01 + a11 * i11


@kernel
def angular_variances(rays, panel, bbox, offsets, data, mask, d_matrix, pixel_size, mu, thickness, out):
    """Mean square angle (rad²) between a box's counts and a ray: sum c a² / (sum c - 1) over pixels with any mask bit.

    -1 where there are no more than one count.
    """
    for i in range(panel.shape[0]):
        p = np.int64(panel[i])
        width = np.int64(bbox[i, 1] - bbox[i, 0])
        r = rays[i]
        length = np.sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2])
        total, square = 0.0, 0.0
        for k in range(offsets[i], offsets[i + 1]):
            if mask[k] == 0:
                continue
            x = bbox[i, 0] + (k - offsets[i]) % width
            y = bbox[i, 2] + (k - offsets[i]) // width
            ux, uy, uz = ray_at(x + 0.5, y + 0.5, d_matrix[p], pixel_size[p], mu[p], thickness[p])
            dx, dy, dz = ux - r[0] / length, uy - r[1] / length, uz - r[2] / length
            half = 0.5 * np.sqrt(dx * dx + dy * dy + dz * dz)
            angle = 2.0 * np.arcsin(min(half, 1.0))
            total += data[k]
            square += data[k] * angle * angle
        out[i] = square / (total - 1.0) if total > 1.0 else -1.0
