"""Predicted centroids of indexed reflections, and their derivatives with respect to every parameter.

A reflection h of a crystal with setting A = U B on a goniometer with fixed rotation F and setting rotation S diffracts
at the angle phi where r = S R(phi) F U B h lies on the Ewald sphere, |s0 + r| = |s0|. Its ray s1 = s0 + r meets a panel
with frame d at (x, y) with (x, y, 1) ~ d^-1 s1. Differentiating |s0 + r|^2 = |s0|^2 gives

    dphi = -(s1 . dr + r . ds0) / ((e x r) . s0),      ds1 = ds0 + dr + (e x r) dphi

with e the rotation axis in the laboratory and dr at constant phi (Waterman et al. 2016, Acta Cryst. D72, 558).
For a still the third coordinate is delta psi, the rotation about the axis perpendicular to s0 and r that would bring r
onto the sphere (Hattne et al. 2014, Nat. Methods 11, 545).

All arrays have one row a reflection; angles are radians, positions mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class State:
    """The models at each reflection (n, ...), or once for all (1, ...)."""

    s0: np.ndarray        # (n|1, 3)
    setting: np.ndarray   # S (n|1, 3, 3)
    fixed: np.ndarray     # F (3, 3)
    axis: np.ndarray      # rotation axis in the frame between S and F (3,)
    u: np.ndarray         # (n|1, 3, 3)
    b: np.ndarray         # (n|1, 3, 3)
    d: np.ndarray         # panel frame of each reflection (n, 3, 3)


@dataclass(frozen=True)
class Prediction:
    """Where reflections are predicted, and what the derivatives need."""

    x: np.ndarray
    y: np.ndarray
    third: np.ndarray     # phi (scan) or delta psi (still)
    s1: np.ndarray
    r: np.ndarray
    turn: np.ndarray      # S R(phi), (n, 3, 3)
    d_inverse: np.ndarray
    ray: np.ndarray       # d^-1 s1 (n, 3)
    ok: np.ndarray        # False where the reflection never meets the sphere or its ray misses the panel's plane


def _rotate(axis: np.ndarray, angle: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Rotate `vectors` (n, 3) about one unit axis by `angle` (n,)."""
    along = (vectors @ axis)[:, None] * axis
    across = vectors - along
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return along + c * across + s * np.cross(axis, across)


def _turns(setting: np.ndarray, axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """S R(axis, angle), (n, 3, 3)."""
    columns = [_rotate(axis, angle, np.broadcast_to(e, (len(angle), 3))) for e in np.eye(3)]
    return setting @ np.stack(columns, axis=2)


def _project(d: np.ndarray, s1: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """d^-1, the ray in panel coordinates, x, y, and whether the ray goes towards the panel's plane."""
    inverse = np.linalg.inv(d)
    ray = np.einsum("nij,nj->ni", inverse, s1)
    ok = ray[:, 2] > 1e-12
    w = np.where(ok, ray[:, 2], 1.0)
    return inverse, ray, ray[:, 0] / w, ray[:, 1] / w, ok


def predict_scan(state: State, hkl: np.ndarray, phi: np.ndarray, entering: np.ndarray) -> Prediction:
    """Predict the crossing of the sphere nearest to the observed angle on the same side (entering or leaving).

    Parameters
    ----------
    state : State
    hkl : (n, 3)
        Miller indices.
    phi : (n,)
        Observed angles, radians.
    entering : (n,) of bool
        Whether the reflection enters the Ewald sphere.
    """
    q = np.einsum("ij,njk,nkl,nl->ni", state.fixed, state.u, state.b, hkl.astype(np.float64))
    s0 = np.einsum("nji,nj->ni", state.setting, state.s0)  # the beam seen from within the setting rotation
    along = (q @ state.axis)[:, None] * state.axis
    across = q - along
    # s0 . R(phi) q = a cos(phi) + b sin(phi) + s0 . along, which must be -|q|^2 / 2
    a = np.sum(s0 * across, axis=1)
    b = np.sum(s0 * np.cross(state.axis, across), axis=1)
    c = -0.5 * np.sum(q * q, axis=1) - np.sum(s0 * along, axis=1)
    size = np.hypot(a, b)
    ok = size > np.abs(c)
    half = np.arccos(np.clip(c / np.where(ok, size, 1.0), -1.0, 1.0))
    # d/dphi of s0 . r is negative at middle + half: there |s1| falls with phi, the point enters the sphere
    angle = np.arctan2(b, a) + np.where(entering, half, -half)
    angle = phi + np.mod(angle - phi + np.pi, 2.0 * np.pi) - np.pi
    turn = _turns(state.setting, state.axis, angle)
    r = np.einsum("nij,nj->ni", turn, q)
    s1 = state.s0 + r
    inverse, ray, x, y, hits = _project(state.d, s1)
    return Prediction(x, y, angle, s1, r, turn, inverse, ray, ok & hits)


def is_entering(s0: np.ndarray, s1: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Whether reflections with rays `s1` (n, 3) enter the Ewald sphere as the crystal turns about the lab `axis`.

    |s0 + r|^2 changes with phi as 2 s0 . (axis x r); entering means that it falls.
    """
    return np.sum(s0 * np.cross(axis, s1 - s0), axis=-1) < 0.0


def predict_still(state: State, hkl: np.ndarray) -> Prediction:
    """Predict positions and delta psi of a still's reflections, turned onto the sphere the shortest way."""
    r0 = np.einsum("nij,jk,nkl,nlm,nm->ni", state.setting, state.fixed, state.u, state.b, hkl.astype(np.float64))
    s0 = np.broadcast_to(state.s0, r0.shape)
    length = np.linalg.norm(s0, axis=1)
    unit = s0 / length[:, None]
    axis = np.cross(r0, unit)
    size = np.linalg.norm(axis, axis=1)
    r_norm2 = np.sum(r0 * r0, axis=1)
    ok = (size > 1e-12) & (r_norm2 < 4.0 * length**2)
    # in the plane of s0 and r0: component along -s0 on the sphere is |r|^2 / 2|s0|
    towards = -r_norm2 / (2.0 * length)
    perpendicular = np.cross(unit, axis / np.where(ok, size, 1.0)[:, None])
    r = towards[:, None] * unit + np.sqrt(np.maximum(r_norm2 - towards**2, 0.0))[:, None] * perpendicular
    third = np.arctan2(np.sum(np.cross(r0, r) * axis, axis=1) / np.where(ok, size, 1.0), np.sum(r0 * r, axis=1))
    s1 = s0 + r
    inverse, ray, x, y, hits = _project(state.d, s1)
    turn = np.broadcast_to(state.setting @ state.fixed, (len(r0), 3, 3))
    return Prediction(x, y, third, s1, r, turn, inverse, ray, ok & hits)


@dataclass(frozen=True)
class Change:
    """How the models change with one parameter, at each reflection or once for all; None where they do not."""

    s0: np.ndarray | None = None       # (n|1, 3)
    setting: np.ndarray | None = None  # (n|1, 3, 3)
    u: np.ndarray | None = None
    b: np.ndarray | None = None
    d: np.ndarray | None = None        # (n, 3, 3)


def scan_gradient(state: State, hkl: np.ndarray, at: Prediction, change: Change) -> np.ndarray:
    """d(x, y, phi)/dp (n, 3) of a prediction by :func:`predict_scan`, for one parameter."""
    axis = np.einsum("nij,j->ni", state.setting, state.axis)
    speed = np.cross(axis, at.r)  # dr/dphi
    dr = _d_relp(state, hkl, at, change)
    along = np.zeros(len(hkl))
    ds1 = np.zeros_like(at.s1)
    if dr is not None:
        along += np.sum(at.s1 * dr, axis=1)
        ds1 += dr
    if change.s0 is not None:
        along += np.sum(at.r * change.s0, axis=1)
        ds1 += change.s0
    dphi = -along / np.sum(speed * state.s0, axis=1)
    ds1 += speed * dphi[:, None]
    return np.column_stack([*_d_position(at, ds1, change), dphi])


def _d_relp(state: State, hkl: np.ndarray, at: Prediction, change: Change) -> np.ndarray | None:
    """dr at constant phi, None where the parameter does not move the crystal."""
    h = hkl.astype(np.float64)
    if change.u is not None:
        q = np.einsum("nij,njk,nk->ni", np.broadcast_to(change.u, (len(h), 3, 3)), state.b, h)
    elif change.b is not None:
        q = np.einsum("nij,njk,nk->ni", state.u, np.broadcast_to(change.b, (len(h), 3, 3)), h)
    elif change.setting is not None:
        inner = np.einsum("nji,nj->ni", state.setting, at.r)
        return np.einsum("nij,nj->ni", np.broadcast_to(change.setting, (len(h), 3, 3)), inner)
    else:
        return None
    return np.einsum("nij,nj->ni", at.turn, q @ state.fixed.T)


def _d_position(at: Prediction, ds1: np.ndarray, change: Change) -> tuple[np.ndarray, np.ndarray]:
    """dx and dy in mm for a change of the ray and, if any, of the panel's frame."""
    move = ds1
    if change.d is not None:
        move = move - np.einsum("nij,nj->ni", change.d, at.ray)
    dv = np.einsum("nij,nj->ni", at.d_inverse, move)
    w = at.ray[:, 2]
    return (dv[:, 0] - at.x * dv[:, 2]) / w, (dv[:, 1] - at.y * dv[:, 2]) / w


def still_gradient(state: State, hkl: np.ndarray, at: Prediction, change: Change) -> np.ndarray:
    """d(x, y, delta psi)/dp (n, 3) of a prediction by :func:`predict_still`, for one parameter.

    In the plane of s0 and r0 the point on the sphere has the components t = -|r|^2 / 2|s0| along s0 and
    g = (|r|^2 - t^2)^(1/2) across it; both, and the two directions, are differentiated.
    """
    h = hkl.astype(np.float64)
    r0 = np.einsum("nij,jk,nkl,nlm,nm->ni", state.setting, state.fixed, state.u, state.b, h)
    zero = np.zeros_like(r0)
    dr0 = _d_still_relp(state, h, change)
    dr0 = zero if dr0 is None else dr0
    ds0 = zero if change.s0 is None else np.broadcast_to(change.s0, r0.shape)
    length = np.linalg.norm(np.broadcast_to(state.s0, r0.shape), axis=1)
    unit = state.s0 / length[:, None]
    d_length = np.sum(unit * ds0, axis=1)
    d_unit = (ds0 - unit * d_length[:, None]) / length[:, None]
    m, dm = np.sum(r0 * r0, axis=1), 2.0 * np.sum(r0 * dr0, axis=1)
    t, alpha = -m / (2.0 * length), np.sum(r0 * unit, axis=1)
    g = np.sqrt(np.maximum(m - t * t, 1e-24))
    dt = -dm / (2.0 * length) + m * d_length / (2.0 * length**2)
    dg = (dm - 2.0 * t * dt) / (2.0 * g)
    d_alpha = np.sum(dr0 * unit, axis=1) + np.sum(r0 * d_unit, axis=1)
    w = r0 - alpha[:, None] * unit
    rho = np.maximum(np.linalg.norm(w, axis=1), 1e-12)
    p = w / rho[:, None]
    dw = dr0 - d_alpha[:, None] * unit - alpha[:, None] * d_unit
    d_rho = np.sum(p * dw, axis=1)
    dp = (dw - p * d_rho[:, None]) / rho[:, None]
    ds1 = ds0 + dt[:, None] * unit + t[:, None] * d_unit + dg[:, None] * p + g[:, None] * dp
    d_psi = (alpha * d_rho - rho * d_alpha - t * dg + g * dt) / m
    return np.column_stack([*_d_position(at, ds1, change), d_psi])


def _d_still_relp(state: State, h: np.ndarray, change: Change) -> np.ndarray | None:
    """dr0 of a still for one parameter of the crystal or of the setting rotation."""
    setting, u, b = state.setting, state.u, state.b
    if change.u is not None:
        u = change.u
    elif change.b is not None:
        b = change.b
    elif change.setting is not None:
        setting = change.setting
    else:
        return None
    return np.einsum("nij,jk,nkl,nlm,nm->ni", *(
        np.broadcast_to(a, (len(h), 3, 3)) if a.ndim == 3 else a for a in (setting, state.fixed, u, b)), h)
