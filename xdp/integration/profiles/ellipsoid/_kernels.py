"""Numba kernels of the ellipsoid model: spots measured, the likelihood of their shapes, foreground."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel

VALID = np.uint8(1)
FOREGROUND = np.uint8(4)
STRONG = np.uint8(8)


class PanelArrays(NamedTuple):
    """The panels of a detector, one row each.

    Attributes
    ----------
    d_matrix : (n_panels, 3, 3) float64
        A point (x mm, y mm) of a panel lies at ``d (x, y, 1)`` in the lab, mm.
    pixel_size : (n_panels, 2) float64
        Fast and slow, mm.
    mu : (n_panels,) float64
        Attenuation in the sensor, 1/mm; 0 where no parallax is corrected.
    thickness : (n_panels,) float64
        Of the sensor, mm.
    """

    d_matrix: np.ndarray
    pixel_size: np.ndarray
    mu: np.ndarray
    thickness: np.ndarray


class Ellipses(NamedTuple):
    """Ellipses of n reflections, on the Ewald sphere.

    Attributes
    ----------
    frames : (n, 3, 3) float64
        Rows are the unit vectors e1, e2, e3; the ellipse lies along the first two.
    mean : (n, 2) float64
        Its middle, Å⁻¹.
    inverse : (n, 3) float64
        Elements 11, 12, 22 of the inverse covariance, Å².
    limit : float
        Of the squared distance from the middle, in standard deviations.
    radius : float
        Of the sphere, Å⁻¹.
    """

    frames: np.ndarray
    mean: np.ndarray
    inverse: np.ndarray
    limit: float
    radius: float


class SpotShapes(NamedTuple):
    """Observed spots, along the first two axes of each ray's frame.

    Attributes
    ----------
    weight : (n,) float64
        Counts, extreme ones damped.
    mean : (n, 2) float64
        Centroid, Å⁻¹.
    covariance : (n, 3) float64
        Elements 11, 12, 22, Å⁻².
    radius : float
        Of the Ewald sphere, Å⁻¹.
    """

    weight: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    radius: float


class ModelSlopes(NamedTuple):
    """A model at the parameters p of which the likelihood is asked, and its derivatives by them.

    Attributes
    ----------
    turns : (n, 3, 3) float64
        T: rotations from the axes of the model's covariance to each ray's frame.
    sigma, d_sigma : (3, 3), (k, 3, 3) float64
        Covariance of the points, Å⁻², and its derivatives.
    mu, d_mu : (n, 3), (n, k, 3) float64
        Each point's mean in its ray's frame, Å⁻¹, and its derivatives.
    """

    turns: np.ndarray
    sigma: np.ndarray
    d_sigma: np.ndarray
    mu: np.ndarray
    d_mu: np.ndarray


@kernel
def compute_ray(x, y, panels, p):
    """Unit vector towards the point (x, y), px, of panel p; where mu > 0 the parallax is taken off at that point."""
    d, mu = panels.d_matrix[p], panels.mu[p]
    mx, my = x * panels.pixel_size[p, 0], y * panels.pixel_size[p, 1]
    lx = d[0, 0] * mx + d[0, 1] * my + d[0, 2]
    ly = d[1, 0] * mx + d[1, 1] * my + d[1, 2]
    lz = d[2, 0] * mx + d[2, 1] * my + d[2, 2]
    inverse = 1.0 / np.sqrt(lx * lx + ly * ly + lz * lz)
    ux, uy, uz = lx * inverse, ly * inverse, lz * inverse
    if mu > 0.0:
        nx = d[1, 0] * d[2, 1] - d[2, 0] * d[1, 1]
        ny = d[2, 0] * d[0, 1] - d[0, 0] * d[2, 1]
        nz = d[0, 0] * d[1, 1] - d[1, 0] * d[0, 1]
        path = panels.thickness[p] / abs(ux * nx + uy * ny + uz * nz)
        # mean depth of absorption along the ray, as in xdp.experiment.pixels: the point is seen that far beyond
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
def measure_shapes(frames, radius, boxes, panels, out):
    """Counts above background, their mean and covariance, of the valid foreground of boxes of one frame's depth.

    Parameters
    ----------
    frames : (n, 3, 3) float64
        Rows are the unit vectors of each spot's frame; positions are those along the first two.
    radius : float
        Length of the rays to pixels, Å⁻¹.
    boxes : BoxPixels
        Pixels not above the background are left out.
    panels : PanelArrays
    out : (n, 6) float64
        Gets the sum, the mean along e1 and e2, the covariance 11, 12, 22.
    """
    bbox, offsets, data, background, mask = boxes.bbox, boxes.offsets, boxes.data, boxes.background, boxes.mask
    for i in range(bbox.shape[0]):
        p = boxes.panel[i]
        x0, x1 = np.int64(bbox[i, 0]), np.int64(bbox[i, 1])
        # k runs through the pixels row by row
        k = offsets[i]
        total, ma, mb, vaa, vab, vbb = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        e = frames[i]
        while k < offsets[i + 1]:
            y = bbox[i, 2] + (k - offsets[i]) // (x1 - x0)
            for x in range(x0, x1):
                c = np.float64(data[k]) - np.float64(background[k])
                if c > 0.0 and (mask[k] & VALID) and (mask[k] & FOREGROUND):
                    ux, uy, uz = compute_ray(x + 0.5, y + 0.5, panels, p)
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
def mark_strong(bbox, offsets, mask, old_bbox, old_offsets, old_mask):
    """Set FOREGROUND and STRONG in `mask` where the spot finder's box of the same spot has a foreground pixel."""
    for i in range(bbox.shape[0]):
        width = np.int64(bbox[i, 1] - bbox[i, 0])
        old_width = np.int64(old_bbox[i, 1] - old_bbox[i, 0])
        for k in range(old_offsets[i], old_offsets[i + 1]):
            # only what the spot finder took for signal
            if not ((old_mask[k] & VALID) and (old_mask[k] & FOREGROUND)):
                continue
            x = old_bbox[i, 0] + (k - old_offsets[i]) % old_width
            y = old_bbox[i, 2] + (k - old_offsets[i]) // old_width
            if bbox[i, 0] <= x < bbox[i, 1] and bbox[i, 2] <= y < bbox[i, 3]:
                mask[offsets[i] + (y - bbox[i, 2]) * width + x - bbox[i, 0]] |= FOREGROUND | STRONG


@kernel
def mark_ellipses(panel, bbox, offsets, ellipses, panels, out):
    """1 in `out` where a corner of a pixel lies within the ellipse ``(x - mean)^T inverse (x - mean) < limit``.

    x are the coordinates of the corner's ray. Pixels (slow, fast) of box i begin at ``offsets[i]``.
    """
    radius, limit, mean, inverse = ellipses.radius, ellipses.limit, ellipses.mean, ellipses.inverse
    for i in range(panel.shape[0]):
        p = panel[i]
        e = ellipses.frames[i]
        x0, x1 = np.int64(bbox[i, 0]), np.int64(bbox[i, 1])
        y0, y1 = np.int64(bbox[i, 2]), np.int64(bbox[i, 3])
        at, width = offsets[i], x1 - x0
        for k in range(at, offsets[i + 1]):
            out[k] = np.uint8(0)
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                ux, uy, uz = compute_ray(np.float64(x), np.float64(y), panels, p)
                a = radius * (e[0, 0] * ux + e[0, 1] * uy + e[0, 2] * uz) - mean[i, 0]
                b = radius * (e[1, 0] * ux + e[1, 1] * uy + e[1, 2] * uz) - mean[i, 1]
                if inverse[i, 0] * a * a + 2.0 * inverse[i, 1] * a * b + inverse[i, 2] * b * b < limit:
                    # the corner belongs to the four pixels around it
                    for yy in range(max(np.int64(y - 1), y0), min(np.int64(y + 1), y1)):
                        for xx in range(max(np.int64(x - 1), x0), min(np.int64(x + 1), x1)):
                            out[at + (yy - y0) * width + xx - x0] = np.uint8(1)


@kernel
def compute_likelihood(model, spots, score, information):
    r"""Logarithm of the likelihood of spots, its gradient and its Fisher information.

    In the frame of its ray a point has the covariance ``S = T sigma T^T`` and the mean mu. Let S_11 be the upper left
    2 x 2 block of S, S_12 the rest of its first two rows, and

    .. math::

        \epsilon = radius - \mu_3, \qquad m = \mu_{12} + S_{12} \epsilon / S_{33}, \qquad
        C = S_{11} - S_{12} S_{21} / S_{33}

    the distance from the Ewald sphere, and mean and covariance of the cut (see
    :mod:`xdp.integration.profiles.ellipsoid.sphere`). A spot of weight w adds

    .. math::

        \ln L = -\tfrac{w}{2} \Big[\ln S_{33} + \frac{\epsilon^2}{S_{33}} + \ln|C|
        + \mathrm{tr}\, C^{-1} \big(C_{obs} + (m_{obs} - m)(m_{obs} - m)^T\big)\Big],

    and to the information, that of normal distributions,

    .. math::

        \tfrac{w}{2} \Big[\frac{dS_{33}\, dS_{33}'}{S_{33}^2} + \frac{2\, d\mu_3\, d\mu_3'}{S_{33}}
        + \mathrm{tr}\, C^{-1} dC\, C^{-1} dC' + 2\, dm^T C^{-1} dm'\Big].

    Parameters
    ----------
    model : ModelSlopes
    spots : SpotShapes
    score, information : (k,), (k, k) float64
        The gradient and the information are added to these.

    Returns
    -------
    float
        -inf where a covariance is not positive.
    """
    turns, sigma, d_sigma, mu, d_mu = model
    weight, mean, covariance, radius = spots
    n_parameters = d_sigma.shape[0]
    s, ds = np.empty((3, 3)), np.empty((3, 3))
    d33, d3 = np.empty(n_parameters), np.empty(n_parameters)
    dm, dc = np.empty((n_parameters, 2)), np.empty((n_parameters, 3))
    log_likelihood = 0.0
    for i in range(turns.shape[0]):
        rotate_matrix(turns[i], sigma, s)
        s33 = s[2, 2]
        # t = S_12 / S_33, c = C, i = C^-1, r = m_obs - m, v = C_obs + r r^T, by elements 0 and 1, or 00, 01, 11
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
        b00, b01, b11 = multiply_twice(i00, i01, i11, v00, v01, v11)
        a00, a01, a11 = i00 - b00, i01 - b01, i11 - b11
        for j in range(n_parameters):
            rotate_matrix(turns[i], d_sigma[j], ds)
            d33[j], d3[j] = ds[2, 2], d_mu[i, j, 2]
            # u = dt, dm and dc: derivatives of m and C by parameter j
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
        # the information needs all dm and dc, so that it has a loop of its own
        for j in range(n_parameters):
            g00, g01, g11 = multiply_twice(i00, i01, i11, dc[j, 0], dc[j, 1], dc[j, 2])
            h0, h1 = i00 * dm[j, 0] + i01 * dm[j, 1], i01 * dm[j, 0] + i11 * dm[j, 1]
            for k in range(n_parameters):
                information[j, k] += 0.5 * w * (
                    d33[j] * d33[k] / (s33 * s33) + 2.0 * d3[j] * d3[k] / s33
                    + g00 * dc[k, 0] + 2.0 * g01 * dc[k, 1] + g11 * dc[k, 2]
                    + 2.0 * (h0 * dm[k, 0] + h1 * dm[k, 1]))
    return log_likelihood


@kernel
def rotate_matrix(t, a, out):
    """T A T^T of 3 x 3 matrices, into `out`."""
    for i in range(3):
        x = t[i, 0] * a[0, 0] + t[i, 1] * a[1, 0] + t[i, 2] * a[2, 0]
        y = t[i, 0] * a[0, 1] + t[i, 1] * a[1, 1] + t[i, 2] * a[2, 1]
        z = t[i, 0] * a[0, 2] + t[i, 1] * a[1, 2] + t[i, 2] * a[2, 2]
        for j in range(3):
            out[i, j] = x * t[j, 0] + y * t[j, 1] + z * t[j, 2]


@kernel
def multiply_twice(i00, i01, i11, v00, v01, v11):
    """Elements 11, 12, 22 of I V I for symmetric 2 x 2 matrices I and V."""
    a00, a01 = i00 * v00 + i01 * v01, i00 * v01 + i01 * v11
    a10, a11 = i01 * v00 + i11 * v01, i01 * v01 + i11 * v11
    return a00 * i00 + a01 * i01, a00 * i01 + a01 * i11, a10 * i01 + a11 * i11


@kernel
def compute_angular_variances(rays, boxes, panels, out):
    """Mean square angle (rad²) between a box's counts and a ray: sum c a² / (sum c - 1) over pixels with any mask bit.

    Into `out` (n,): -1 where there are no more than one count.
    """
    bbox, offsets, data, mask = boxes.bbox, boxes.offsets, boxes.data, boxes.mask
    for i in range(bbox.shape[0]):
        p = boxes.panel[i]
        width = np.int64(bbox[i, 1] - bbox[i, 0])
        r = rays[i]
        length = np.sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2])
        total, square = 0.0, 0.0
        for k in range(offsets[i], offsets[i + 1]):
            if mask[k] == 0:
                continue
            x = bbox[i, 0] + (k - offsets[i]) % width
            y = bbox[i, 2] + (k - offsets[i]) // width
            ux, uy, uz = compute_ray(x + 0.5, y + 0.5, panels, p)
            dx, dy, dz = ux - r[0] / length, uy - r[1] / length, uz - r[2] / length
            # the chord is short, so that its half's arc sine is accurate where an arc cosine is not
            half = 0.5 * np.sqrt(dx * dx + dy * dy + dz * dz)
            angle = 2.0 * np.arcsin(min(half, 1.0))
            total += data[k]
            square += data[k] * angle * angle
        # less 1, as in a variance about an estimated mean
        out[i] = square / (total - 1.0) if total > 1.0 else -1.0
