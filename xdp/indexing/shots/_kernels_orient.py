"""Kernel: orientations of a known cell turned until they explain the spots best.

The spots are a mixture: a share f belongs to nothing, the rest is normally distributed about the points of the lattice.
With the residual r of a spot at q, and the lattice's reciprocal volume 1 / V, its likelihood against chance is

    (1 - f) V^-1 (2 pi)^-3/2 s^-3 exp(-r^2 / 2 s^2) + f,    s^2 = s_0^2 + (t q)^2

where t is what the orientation may still be wrong by. It shrinks from cycle to cycle. The cell may grow or shrink a
little: a wrong distance or wavelength makes it seem so.
"""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel

_SPURIOUS = 0.5  # share of spots that belong to nothing: one for all, so that scores of orientations can be compared
_LOG_SPURIOUS = np.log(_SPURIOUS)
_FAR = 30.0       # squared distance in widths from which a spot belongs to nothing: its density is exp(-15) of the peak
_GROWTH = 0.007   # standard deviation of the cell's common factor: distances are known to about a percent
_FREEDOM = 1e4    # 1 / radians^2: what no spot tells of the turn is held within a hundredth of a radian


@kernel
def turn_onto_spots(bases, points, sigma, angles, score):
    """Refine orientations by expectation maximisation; `bases` and `score` are overwritten.

    Parameters
    ----------
    bases : (t, 3, 3)
        Rows a, b, c of the known cell in Å, in each orientation. They may be given a common factor near 1.
    points : (n, 3)
        Reciprocal lattice points, 1/Å.
    sigma : (n,)
        s_0 of each spot, 1/Å.
    angles : (k,)
        t of each cycle, radians. The score is that of the last one.
    score : (t,)
        Log likelihood ratio against chance.
    """
    for t in range(bases.shape[0]):
        basis, size = bases[t].copy(), 1.0
        for angle in angles:
            turn, growth, _ = _find_turn(basis, points, sigma, angle, size - 1.0)
            size *= 1.0 + growth
            basis = (1.0 + growth) * _rotate_rows(basis, turn)
        bases[t] = basis
        score[t] = _find_turn(basis, points, sigma, angles[-1], size - 1.0)[2]


@kernel
def _find_turn(basis, points, sigma, angle, growth):
    """The turn (a vector, radians) that brings the lattice closest to its spots, and the growth; the score before them.

    The cell has grown by the part `growth` already. A growth moves a point along itself and a turn across, so that the
    two do not depend on each other.
    """
    inverse, volume = invert_matrix(basis)
    normal, right = np.zeros((3, 3)), np.zeros(3)
    p, r = np.empty(3), np.empty(3)
    norm = (1.0 - _SPURIOUS) / (abs(volume) * (2.0 * np.pi) ** 1.5)
    total, along, lever = 0.0, -growth / _GROWTH**2, 1.0 / _GROWTH**2
    for i in range(points.shape[0]):
        x, y, z = points[i]
        h = np.floor(basis[0, 0] * x + basis[0, 1] * y + basis[0, 2] * z + 0.5)
        k = np.floor(basis[1, 0] * x + basis[1, 1] * y + basis[1, 2] * z + 0.5)
        m = np.floor(basis[2, 0] * x + basis[2, 1] * y + basis[2, 2] * z + 0.5)
        if h == 0.0 and k == 0.0 and m == 0.0:
            continue  # the direct beam is no reflection
        for j in range(3):
            p[j] = inverse[j, 0] * h + inverse[j, 1] * k + inverse[j, 2] * m
            r[j] = points[i, j] - p[j]
        width2 = sigma[i] ** 2 + angle**2 * (x * x + y * y + z * z)
        square = (r[0] ** 2 + r[1] ** 2 + r[2] ** 2) / width2
        if square > _FAR:
            total += _LOG_SPURIOUS
            continue
        density = norm * np.exp(-0.5 * square) / (width2 * np.sqrt(width2))
        total += np.log(density + _SPURIOUS)
        weight = density / ((density + _SPURIOUS) * width2)
        _add_lever(normal, right, weight, p, r)
        # a cell that grows draws its reciprocal points in
        along -= weight * (p[0] * r[0] + p[1] * r[1] + p[2] * r[2])
        lever += weight * (p[0] ** 2 + p[1] ** 2 + p[2] ** 2)
    for j in range(3):
        normal[j, j] += _FREEDOM
    solved, _ = invert_matrix(normal)
    return solved @ right, along / lever, total


@kernel
def invert_matrix(m):
    """The inverse of a 3 x 3 matrix by its cofactors, and its determinant; ten times as quick as the general method."""
    inverse = np.empty((3, 3))
    for i in range(3):
        a, b = (i + 1) % 3, (i + 2) % 3
        for j in range(3):
            c, d = (j + 1) % 3, (j + 2) % 3
            inverse[j, i] = m[a, c] * m[b, d] - m[a, d] * m[b, c]
    determinant = m[0, 0] * inverse[0, 0] + m[0, 1] * inverse[1, 0] + m[0, 2] * inverse[2, 0]
    return inverse / determinant, determinant


@kernel
def _add_lever(normal, right, weight, p, r):
    """Add a point p with the residual r to the normal equations of a turn w: r = w x p."""
    square = p[0] ** 2 + p[1] ** 2 + p[2] ** 2
    for j in range(3):
        normal[j, j] += weight * square
        for k in range(3):
            normal[j, k] -= weight * p[j] * p[k]
    right[0] += weight * (p[1] * r[2] - p[2] * r[1])
    right[1] += weight * (p[2] * r[0] - p[0] * r[2])
    right[2] += weight * (p[0] * r[1] - p[1] * r[0])


@kernel
def _rotate_rows(basis, turn):
    """Rows rotated by `turn`, whose length is the angle (Rodrigues)."""
    angle = np.sqrt(turn[0] ** 2 + turn[1] ** 2 + turn[2] ** 2)
    if angle < 1e-12:
        return basis
    c, s = np.cos(angle), np.sin(angle)
    x, y, z = turn[0] / angle, turn[1] / angle, turn[2] / angle
    rotated = np.empty_like(basis)
    for row in range(3):
        a, b, d = basis[row, 0], basis[row, 1], basis[row, 2]
        along = (x * a + y * b + z * d) * (1.0 - c)
        rotated[row, 0] = a * c + (y * d - z * b) * s + x * along
        rotated[row, 1] = b * c + (z * a - x * d) * s + y * along
        rotated[row, 2] = d * c + (x * b - y * a) * s + z * along
    return rotated


@kernel
def score_spreads(basis, points, sigmas, angles, spurious):
    """Score an orientation with each of some spreads, and give the best score and the numbers of its spread.

    Parameters
    ----------
    basis : (3, 3)
        Rows a, b, c, Å.
    points : (n, 3)
        Reciprocal lattice points, 1/Å.
    sigmas, angles, spurious : (i,), (j,), (k,)
        Trial values of s_0 (1/Å), t (radians) and f.

    Returns
    -------
    score : float
    i, j, k : int
    """
    inverse, volume = invert_matrix(basis)
    volume = abs(volume)
    total = np.zeros((sigmas.size, angles.size, spurious.size))
    for i in range(points.shape[0]):
        q = points[i]
        index = np.floor(basis @ q + 0.5)
        r = q - inverse @ index
        r2, q2 = r @ r, q @ q
        is_beam = index[0] == 0.0 and index[1] == 0.0 and index[2] == 0.0
        for a in range(sigmas.size):
            for b in range(angles.size):
                width2 = sigmas[a] ** 2 + angles[b] ** 2 * q2
                density = 0.0 if is_beam else np.exp(-0.5 * r2 / width2) / (volume * (2.0 * np.pi * width2) ** 1.5)
                for c in range(spurious.size):
                    total[a, b, c] += np.log((1.0 - spurious[c]) * density + spurious[c])
    best = 0
    flat = total.ravel()
    for k in range(flat.size):
        if flat[k] > flat[best]:
            best = k
    n = angles.size * spurious.size
    return flat[best], best // n, (best // spurious.size) % angles.size, best % spurious.size
