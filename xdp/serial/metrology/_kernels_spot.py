"""Where the reflections of a still are predicted, and how that changes with the shot and with the panels.

A reflection h of a shot with setting A has q = A h. It is turned onto the Ewald sphere of radius k the shortest way,
as :func:`xdp.refinement.equations.residuals.predict_still` does: with the beam's direction u and the direction e of q
across it, s1 = (k - q^2 / 2k) u + g e with g^2 = q^2 - (q^2 / 2k)^2. Delta psi is the angle of that turn. s1 meets its
panel at (x, y), where (x, y, 1) is proportional to d^-1 s1.

A shot's own parameters are a turn of A (three, radians) and strains of its metric, dA = A G^-1 E / 2 for a change E of
the metric G = A^T A. Shared ones are six for each group of panels (shifts along its axes, mm, and turns about them,
radians) and one for the wavenumber (relative).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel

N_GROUP = 6
"""Parameters of a group of panels: three shifts and three turns of a rigid body."""

N_OWN = 9
"""Own parameters of a shot at most: three turns and six elements of a triclinic metric."""

N_COLUMNS = N_OWN + N_GROUP + 1
"""Columns of the derivatives of a reflection at most: own ones, its group's, the wavenumber's."""

# As in predict_still: a reflection nearer to the direct beam than this (1/Å) has no direction across it.
_MIN_ACROSS = 1e-12


class ShotSpots(NamedTuple):
    """Shots and their reflections; those of shot i are rows start[i] to start[i + 1].

    Attributes
    ----------
    start : (n_shots + 1,) of int64
        The first row of each shot.
    beam : (n_shots, 4)
        Unit direction of s0, and its length k in 1/Å.
    kind : (n_shots,) of int64
        Which of the bases belongs to the shot's symmetry.
    hkl : (n, 3)
        Miller indices.
    panel : (n,) of int64
        Panels.
    xy : (n, 2)
        Observed positions on the panel, mm.
    weight : (n, 3)
        Weights of x, y (1/mm2) and delta psi (1/rad2).
    """

    start: np.ndarray
    beam: np.ndarray
    kind: np.ndarray
    hkl: np.ndarray
    panel: np.ndarray
    xy: np.ndarray
    weight: np.ndarray


class Shared(NamedTuple):
    """What all shots have in common.

    Attributes
    ----------
    inverse : (n_panels, 3, 3)
        Inverses of the panels' d matrices.
    group : (n_panels,) of int64
        The group that moves each panel; -1: it stays.
    axes : (n_groups, 3, 3)
        Rows: the axes of each group's shifts and turns, in the laboratory.
    pivot : (n_groups, 3)
        The point about which each group turns, mm.
    bases : (n_kinds, 6, 3, 3)
        Changes of the metric, 1/Å2, that each kind's symmetry allows.
    n_strains : (n_kinds,) of int64
        How many of them are free.
    scale : float
        The wavenumber of each shot is multiplied by this.
    cutoff : float
        Residuals of this many standard deviations have half of their weight; 0: all have their full weight.
    """

    inverse: np.ndarray
    group: np.ndarray
    axes: np.ndarray
    pivot: np.ndarray
    bases: np.ndarray
    n_strains: np.ndarray
    scale: float
    cutoff: float


class PanelSums(NamedTuple):
    """Where the sums of shots go.

    Attributes
    ----------
    schur : (m, m)
        Matrix of the shared parameters, less what the shots' own ones take up; m is 6 n_groups + 1.
    vector : (m,)
        Gradient, likewise.
    direct : (n_groups + 1, 6, 6)
        Blocks of the matrix before anything is taken off; the last one holds the wavenumber's, at 0, 0.
    counts : (n_groups + 1,)
        Reflections on each group; on none in the last place.
    loss : (7,)
        Half of chi square; sums of squares of x, y (mm2) and delta psi (rad2); number of reflections; chi square of
        positions alone; and how many own parameters positions determine.
    outer : (m, m)
        Sum of the products g g^T of each shot's gradient g; empty where it is not wanted.
    """

    schur: np.ndarray
    vector: np.ndarray
    direct: np.ndarray
    counts: np.ndarray
    loss: np.ndarray
    outer: np.ndarray


@kernel
def _multiply(matrix, vector, out):
    """out = matrix (3, 3) times vector (3,); BLAS takes longer for so few."""
    for i in range(3):
        out[i] = matrix[i, 0] * vector[0] + matrix[i, 1] * vector[1] + matrix[i, 2] * vector[2]


@kernel
def predict_spot(a, beam, scale, inverse, h, ray):
    """Predict a reflection (x, y, delta psi); `ray` (12,) gets s1, w, the direction e, q along and across the beam,
    g, q squared and k."""
    k = beam[3] * scale
    q0 = a[0, 0] * h[0] + a[0, 1] * h[1] + a[0, 2] * h[2]
    q1 = a[1, 0] * h[0] + a[1, 1] * h[1] + a[1, 2] * h[2]
    q2 = a[2, 0] * h[0] + a[2, 1] * h[1] + a[2, 2] * h[2]
    along = q0 * beam[0] + q1 * beam[1] + q2 * beam[2]
    e0, e1, e2 = q0 - along * beam[0], q1 - along * beam[1], q2 - along * beam[2]
    across = np.sqrt(e0 * e0 + e1 * e1 + e2 * e2)
    squared = q0 * q0 + q1 * q1 + q2 * q2
    t = -squared / (2.0 * k)
    if across < _MIN_ACROSS or squared >= 4.0 * k * k:
        return 0.0, 0.0, 0.0, False
    e0, e1, e2 = e0 / across, e1 / across, e2 / across
    # the point on the sphere: t along the beam, g across it
    g = np.sqrt(squared - t * t)
    s0, s1, s2 = (k + t) * beam[0] + g * e0, (k + t) * beam[1] + g * e1, (k + t) * beam[2] + g * e2
    w = inverse[2, 0] * s0 + inverse[2, 1] * s1 + inverse[2, 2] * s2
    if w < _MIN_ACROSS:
        return 0.0, 0.0, 0.0, False
    x = (inverse[0, 0] * s0 + inverse[0, 1] * s1 + inverse[0, 2] * s2) / w
    y = (inverse[1, 0] * s0 + inverse[1, 1] * s1 + inverse[1, 2] * s2) / w
    ray[0], ray[1], ray[2], ray[3] = s0, s1, s2, w
    ray[4], ray[5], ray[6] = e0, e1, e2
    ray[7], ray[8], ray[9], ray[10], ray[11] = along, across, g, squared, k
    return x, y, np.arctan2(across * t - along * g, along * t + across * g), True


@kernel
def _differentiate_ray(ray, beam, dq, dk, out):
    """Changes of s1 (out[:3]) and of delta psi (out[3]) for a change dq of q and dk of the wavenumber."""
    along, across, g, squared, k = ray[7], ray[8], ray[9], ray[10], ray[11]
    t = -squared / (2.0 * k)
    dalong = dq[0] * beam[0] + dq[1] * beam[1] + dq[2] * beam[2]
    dacross = dq[0] * ray[4] + dq[1] * ray[5] + dq[2] * ray[6]
    dsquared = 2.0 * (along * dalong + across * dacross)
    dt = -dsquared / (2.0 * k) + squared * dk / (2.0 * k * k)
    dg = (dsquared - 2.0 * t * dt) / (2.0 * g)
    for i in range(3):
        # the part of dq that is across both beam and e turns e
        turn = (dq[i] - dalong * beam[i] - dacross * ray[4 + i]) / across
        out[i] = (dk + dt) * beam[i] + dg * ray[4 + i] + g * turn
    out[3] = (along * dacross - across * dalong - t * dg + g * dt) / squared


@kernel
def _fill_row(ray, inverse, x, y, change, row, column):
    """A column of the derivatives (3, m) for a change of s1 and delta psi."""
    w = ray[3]
    for i in range(2):
        at = x if i == 0 else y
        total = 0.0
        for j in range(3):
            total += (inverse[i, j] - at * inverse[2, j]) * change[j]
        row[i, column] = total / w
    row[2, column] = change[3]


@kernel
def _differentiate_group(shared, place, own, ray, xy, row):
    """Fill the six columns of the group that moves the panel `place`."""
    inverse, moved = shared.inverse[place], np.empty(3)
    group = shared.group[place]
    for j in range(N_GROUP):
        row[2, own + j] = 0.0
        if group < 0:
            row[0, own + j] = row[1, own + j] = 0.0
            continue
        axis = shared.axes[group, j % 3]
        if j < 3:
            moved[:] = axis
        else:
            p0 = ray[0] / ray[3] - shared.pivot[group, 0]
            p1 = ray[1] / ray[3] - shared.pivot[group, 1]
            p2 = ray[2] / ray[3] - shared.pivot[group, 2]
            moved[0] = axis[1] * p2 - axis[2] * p1
            moved[1] = axis[2] * p0 - axis[0] * p2
            moved[2] = axis[0] * p1 - axis[1] * p0
        # the panel moves under a ray that stays: (x, y) change against the motion
        for i in range(2):
            total = 0.0
            for n in range(3):
                total += (inverse[i, n] - xy[i] * inverse[2, n]) * moved[n]
            row[i, own + j] = -total


@kernel
def differentiate_spot(a, beam, shared, strains, own, place, h, ray, xy, row):
    """Fill the derivatives (3, m) of a prediction: `own` columns of the shot, six of its group, one of the wavenumber.

    `place` is the reflection's panel, `strains` (n, 3, 3) the matrices G^-1 E / 2 of the shot, `xy` the prediction.
    """
    inverse = shared.inverse[place]
    dq, change, moved = np.empty(3), np.empty(4), np.empty(3)
    q = np.empty(3)
    _multiply(a, h, q)
    for j in range(3):
        dq[j] = 0.0
        dq[(j + 1) % 3] = -q[(j + 2) % 3]  # the unit vector along j, times q
        dq[(j + 2) % 3] = q[(j + 1) % 3]
        _differentiate_ray(ray, beam, dq, 0.0, change)
        _fill_row(ray, inverse, xy[0], xy[1], change, row, j)
    for j in range(own - 3):
        _multiply(strains[j], h, moved)
        _multiply(a, moved, dq)
        _differentiate_ray(ray, beam, dq, 0.0, change)
        _fill_row(ray, inverse, xy[0], xy[1], change, row, 3 + j)
    dq[:] = 0.0
    _differentiate_ray(ray, beam, dq, ray[11], change)
    _fill_row(ray, inverse, xy[0], xy[1], change, row, own + N_GROUP)
    _differentiate_group(shared, place, own, ray, xy, row)
