"""Numba kernels that draw spots."""

from __future__ import annotations

import math

import numpy as np

from xdp.kernels import kernel


@kernel
def draw_spots(centres, jacobians, sigma, shifts, layer_weights, bbox, offsets, n_sub, out):
    """Integrate two-dimensional Gaussians over pixels, by the mean of `n_sub` x `n_sub` points in each.

    Spot i has its centre at ``centres[i]`` (fast, slow; px), and ``jacobians[i]`` (2, 2) takes a distance in px to
    angles (rad) in which the Gaussian is round with standard deviation `sigma`. It is the sum over layers of the
    Gaussian displaced by ``shifts[i, layer]`` px with weight ``layer_weights[i, layer]``. The (slow, fast) pixels of
    ``bbox[i]`` = (x0, x1, y0, y1) go to ``out[offsets[i]:offsets[i + 1]]``; their sum is 1 for a whole spot.
    """
    for i in range(centres.shape[0]):
        j00, j01 = jacobians[i, 0, 0], jacobians[i, 0, 1]
        j10, j11 = jacobians[i, 1, 0], jacobians[i, 1, 1]
        # of the density in angles, times the determinant: the angle of a pixel; less the number of sample points
        norm = abs(j00 * j11 - j01 * j10) / (2.0 * math.pi * sigma * sigma) / (n_sub * n_sub)
        at = offsets[i]
        for y in range(bbox[i, 2], bbox[i, 3]):
            for x in range(bbox[i, 0], bbox[i, 1]):
                total = 0.0
                for layer in range(layer_weights.shape[1]):
                    cx = centres[i, 0] + shifts[i, layer, 0]
                    cy = centres[i, 1] + shifts[i, layer, 1]
                    part = 0.0
                    for sy in range(n_sub):
                        dy = y + (sy + 0.5) / n_sub - cy
                        for sx in range(n_sub):
                            dx = x + (sx + 0.5) / n_sub - cx
                            u = (j00 * dx + j01 * dy) / sigma
                            v = (j10 * dx + j11 * dy) / sigma
                            part += math.exp(-0.5 * (u * u + v * v))
                    total += layer_weights[i, layer] * part
                out[at] = np.float32(norm * total)
                at += 1


@kernel
def add_spots(image, rows, weights, bbox, offsets, spots):
    """Add spots `rows`, each times its weight, to an image (slow, fast) of expected counts."""
    # spots may overlap, so that they are added one after the other
    for k in range(rows.shape[0]):
        i = rows[k]
        at = offsets[i]
        for y in range(bbox[i, 2], bbox[i, 3]):
            for x in range(bbox[i, 0], bbox[i, 1]):
                image[y, x] += weights[k] * spots[at]
                at += 1
