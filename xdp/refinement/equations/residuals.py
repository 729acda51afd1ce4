"""Predicted centroids of indexed reflections, and their derivatives with respect to the models.

A reflection h of a crystal with setting A = U B sits on a goniometer with fixed rotation F and setting rotation S. It
diffracts at the angle phi where r = S R(phi) F A h lies on the Ewald sphere, |s0 + r| = |s0|. Its ray s1 = s0 + r
meets a panel with frame d at (x, y), where (x, y, 1) is proportional to d^-1 s1. Differentiating |s0 + r|^2 = |s0|^2
gives

    dphi = -(s1 . dr + r . ds0) / ((e x r) . s0),      ds1 = ds0 + dr + (e x r) dphi

with e the rotation axis in the laboratory and dr taken at constant phi (Waterman et al. 2016, Acta Cryst. D72, 558).
For a still the third coordinate is delta psi. It is the rotation about the axis perpendicular to s0 and r that would
bring r onto the sphere (Hattne et al. 2014, Nat. Methods 11, 545).

The derivatives are kept as vectors: what one unit of dr, of ds0 and of the panel's motion does to each coordinate. The
gradient of a parameter is then one dot product, however many parameters there are. Vectors are stored component first,
(3, n), which keeps NumPy's inner loops long. Angles are in radians, positions in mm, s0, s1 and r in 1/Å.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# d^-1 s1 has the third component 1/(distance in mm) times a length of order 1/Å; rays below this run along the panel
_MIN_W = 1e-12
# 1/Å: a still's reflection nearer than this to the direct beam has no direction in which to turn it onto the sphere
_MIN_RHO = 1e-12


@dataclass(frozen=True)
class State:
    """The models at n reflections: vectors (3, 1 or n), matrices (3, 3), the crystal's (3, 3) or (n, 3, 3)."""

    s0: np.ndarray        # (3, 1|n) incident beam, 1/Å
    setting: np.ndarray   # S (3, 3)
    fixed: np.ndarray     # F (3, 3)
    axis: np.ndarray      # rotation axis in the frame between S and F (3,)
    a: np.ndarray         # A (3, 3) or (n, 3, 3), 1/Å
    inverse_d: np.ndarray  # inverse panel frame of each reflection (n|1, 3, 3)


@dataclass(frozen=True)
class Prediction:
    """Where reflections are predicted, and what the derivatives need; vectors (3, n)."""

    x: np.ndarray         # mm along the panel's fast axis
    y: np.ndarray         # mm along the panel's slow axis
    third: np.ndarray     # phi (scan) or delta psi (still), radians
    s1: np.ndarray
    r: np.ndarray
    q: np.ndarray         # A h
    w: np.ndarray         # third component of d^-1 s1
    ok: np.ndarray        # False where the reflection never meets the sphere or its ray misses the panel's plane


@dataclass(frozen=True)
class Sensitivity:
    """Gradients of (x, y, third) with respect to vectors, (3 coordinates, 3 components, n).

    Attributes
    ----------
    crystal : (3, 3, n)
        To a shift of q = A h in the crystal's frame.
    r : (3, 3, n)
        To a shift of r in the laboratory at constant angle.
    s0 : (3, 3, n)
        To a change of the beam.
    panel : (2, 3, n)
        Of (x, y) to a shift of the point where the ray meets the panel, times the ray's `w`.
    """

    crystal: np.ndarray
    r: np.ndarray
    s0: np.ndarray
    panel: np.ndarray


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Dot products of vectors (3, ...).

    Examples
    --------
    >>> import numpy as np
    >>> dot(np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]]), np.array([[1.0], [1.0], [1.0]])).tolist()
    [3.0, 4.0]
    """
    # written out: np.einsum and np.sum over the short first axis are slower
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross products a x b of vectors (3, ...).

    Examples
    --------
    >>> import numpy as np
    >>> cross(np.eye(3)[0], np.eye(3)[1]).tolist()
    [0.0, 0.0, 1.0]
    """
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def apply_matrices(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Multiply vectors (3, n) with one matrix (3, 3) or (1, 3, 3), or each with its own (n, 3, 3).

    Examples
    --------
    >>> import numpy as np
    >>> apply_matrices(np.stack([np.eye(3), 2.0 * np.eye(3)]), np.ones((3, 2))).tolist()
    [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]
    """
    if matrices.ndim == 2:
        return matrices @ vectors
    if len(matrices) == 1:
        return matrices[0] @ vectors
    m = matrices.transpose(1, 2, 0)
    return m[:, 0] * vectors[0] + m[:, 1] * vectors[1] + m[:, 2] * vectors[2]


def _rotate(axis: np.ndarray, cosine: np.ndarray, sine: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Turn vectors (3, n) about one unit axis (3,) by angles (n,): Rodrigues' formula."""
    e = axis[:, None]
    return cosine * v + sine * cross(e, v) + e * ((1.0 - cosine) * dot(e, v))


def _project(inverse_d: np.ndarray, s1: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where rays meet their panels (x, y in mm), their w, and whether they go towards the panel's plane."""
    ray = apply_matrices(inverse_d, s1)
    ok = ray[2] > _MIN_W
    w = np.where(ok, ray[2], 1.0)
    return ray[0] / w, ray[1] / w, w, ok


def predict_scan(state: State, h: np.ndarray, phi: np.ndarray, entering: np.ndarray) -> Prediction:
    """Predict the crossing of the sphere nearest to the observed angle on the same side (entering or leaving).

    Parameters
    ----------
    state : State
        The models at the reflections.
    h : (3, n)
        Miller indices.
    phi : (n,)
        Observed angles, radians.
    entering : (n,) of bool
        Whether the reflection enters the Ewald sphere.

    Returns
    -------
    Prediction
        Its `third` is phi, within half a turn of the observed one.
    """
    q = apply_matrices(state.a, h)
    inner, e = state.fixed @ q, state.axis[:, None]
    s0 = state.setting.T @ state.s0  # the beam seen from within the setting rotation
    along = dot(e, inner) * dot(e, s0)
    # s0 . R(phi) q = a cos(phi) + b sin(phi) + along, which must be -|q|^2 / 2
    a, b = dot(s0, inner) - along, dot(s0, cross(e, inner))
    c = -0.5 * dot(inner, inner) - along
    size = np.hypot(a, b)
    ok = size > np.abs(c)
    half = np.arccos(np.clip(c / np.where(ok, size, 1.0), -1.0, 1.0))
    # d/dphi of s0 . r is negative at middle + half: there |s1| falls with phi, the point enters the sphere
    angle = np.arctan2(b, a) + np.where(entering, half, -half)
    angle = phi + np.mod(angle - phi + np.pi, 2.0 * np.pi) - np.pi
    r = state.setting @ _rotate(state.axis, np.cos(angle), np.sin(angle), inner)
    s1 = state.s0 + r
    x, y, w, hits = _project(state.inverse_d, s1)
    return Prediction(x, y, angle, s1, r, q, w, ok & hits)


def is_entering(s0: np.ndarray, s1: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Whether reflections enter the Ewald sphere as the crystal turns, bool (n,).

    |s0 + r|^2 changes with phi as 2 s0 . (axis x r). A reflection enters where this is negative.

    Parameters
    ----------
    s0 : (3,)
        The incident beam, 1/Å.
    s1 : (n, 3)
        The diffracted rays, 1/Å.
    axis : (3,)
        The rotation axis in the laboratory.

    Examples
    --------
    >>> import numpy as np
    >>> s0 = np.array([0.0, 0.0, -1.0])
    >>> is_entering(s0, s0 + np.array([[0.0, 0.5, 0.1], [0.0, -0.5, 0.1]]), np.array([1.0, 0.0, 0.0])).tolist()
    [True, False]
    """
    return (s1 - s0) @ np.cross(s0, axis) < 0.0


def predict_still(state: State, h: np.ndarray) -> Prediction:
    """Predict positions and delta psi of a still's reflections, turned onto the sphere the shortest way.

    Parameters
    ----------
    state : State
        The models at the reflections.
    h : (3, n)
        Miller indices.

    Returns
    -------
    Prediction
        Its `third` is delta psi, positive about r x s0; its `r` lies on the sphere.
    """
    q = apply_matrices(state.a, h)
    r0 = state.setting @ (state.fixed @ q)
    length = np.sqrt(dot(state.s0, state.s0))
    unit = state.s0 / length
    alpha, squared = dot(r0, unit), dot(r0, r0)
    across = r0 - alpha * unit
    rho = np.sqrt(dot(across, across))
    ok = (rho > _MIN_RHO) & (squared < 4.0 * length**2)
    # in the plane of s0 and r0 the point on the sphere has the component t along the beam, g across it
    t = -squared / (2.0 * length)
    g = np.sqrt(np.maximum(squared - t * t, 0.0))
    r = t * unit + g * across / np.where(ok, rho, 1.0)
    # the angle from r0 to r, positive about r0 x s0
    third = np.arctan2(rho * t - alpha * g, alpha * t + rho * g)
    s1 = state.s0 + r
    x, y, w, hits = _project(state.inverse_d, s1)
    return Prediction(x, y, third, s1, r, q, w, ok & hits)


def _differentiate_panel(state: State, at: Prediction) -> np.ndarray:
    """d(x, y)/d s1 at a fixed panel, (2, 3, n): rows of d^-1 less x or y times its third row, over w."""
    rows = state.inverse_d.transpose(1, 2, 0)  # (3, 3, n|1)
    return np.stack([(rows[0] - at.x * rows[2]) / at.w, (rows[1] - at.y * rows[2]) / at.w])


def differentiate_scan(state: State, at: Prediction) -> Sensitivity:
    """Differentiate a prediction by :func:`predict_scan`, with the formulas of the module's docstring.

    Parameters
    ----------
    state : State
        The models at the reflections.
    at : Prediction
        What :func:`predict_scan` gave for them.
    """
    speed = cross((state.setting @ state.axis)[:, None], at.r)  # e x r = dr/dphi
    panel = _differentiate_panel(state, at)
    rate = 1.0 / dot(speed, state.s0)
    by_r, by_s0 = np.empty((3, 3, len(at.x))), np.empty((3, 3, len(at.x)))
    for k in range(2):
        # a change of phi slides the ray along e x r: ds1 = ds0 + dr + (e x r) dphi
        slide = dot(panel[k], speed) * rate
        by_r[k], by_s0[k] = panel[k] - slide * at.s1, panel[k] - slide * at.r
    by_r[2], by_s0[2] = -rate * at.s1, -rate * at.r
    cosine, sine = np.cos(at.third), np.sin(at.third)
    # r = S R F q: a gradient goes back to q by the transposes, the rotation by -phi
    crystal = np.stack([state.fixed.T @ _rotate(state.axis, cosine, -sine, state.setting.T @ g) for g in by_r])
    return Sensitivity(crystal, by_r, by_s0, panel)


def differentiate_still(state: State, at: Prediction) -> Sensitivity:
    """Differentiate a prediction by :func:`predict_still`, from unit changes of r0 and of s0.

    In the plane of s0 and r0 the point on the sphere has the components t = -|r|^2 / 2|s0| along s0 and
    g = (|r|^2 - t^2)^(1/2) across it. Both, and the two directions, are differentiated.

    Parameters
    ----------
    state : State
        The models at the reflections.
    at : Prediction
        What :func:`predict_still` gave for them.
    """
    n = len(at.x)
    panel = _differentiate_panel(state, at)
    r0 = state.setting @ (state.fixed @ at.q)
    by_r, by_s0 = np.empty((3, 3, n)), np.empty((3, 3, n))
    nothing = np.zeros((3, 1))
    for k in range(3):
        change = np.eye(3)[:, k : k + 1]
        for target, dr0, ds0 in ((by_r, change, nothing), (by_s0, nothing, change)):
            ds1, d_psi = _differentiate_still_ray(state.s0, r0, dr0, ds0)
            target[0, k], target[1, k], target[2, k] = dot(panel[0], ds1), dot(panel[1], ds1), d_psi
    back = (state.setting @ state.fixed).T
    return Sensitivity(np.stack([back @ g for g in by_r]), by_r, by_s0, panel)


def _differentiate_still_ray(s0: np.ndarray, r0: np.ndarray, dr0: np.ndarray, ds0: np.ndarray
                             ) -> tuple[np.ndarray, np.ndarray]:
    """ds1 (3, n) and d(delta psi) (n,) of stills for changes dr0 and ds0."""
    length = np.sqrt(dot(s0, s0))
    unit = s0 / length
    d_length = dot(unit, ds0)
    d_unit = (ds0 - unit * d_length) / length
    m, dm = dot(r0, r0), 2.0 * dot(r0, dr0)
    t, alpha = -m / (2.0 * length), dot(r0, unit)
    # the floor keeps dg finite where r0 lies along the beam; such reflections are not ok
    g = np.sqrt(np.maximum(m - t * t, _MIN_RHO**2))
    dt = -dm / (2.0 * length) + m * d_length / (2.0 * length**2)
    dg = (dm - 2.0 * t * dt) / (2.0 * g)
    d_alpha = dot(dr0, unit) + dot(r0, d_unit)
    across = r0 - alpha * unit
    rho = np.maximum(np.sqrt(dot(across, across)), _MIN_RHO)
    p = across / rho  # unit vector across the beam, in the plane of s0 and r0
    d_across = dr0 - d_alpha * unit - alpha * d_unit
    d_rho = dot(p, d_across)
    dp = (d_across - p * d_rho) / rho
    ds1 = ds0 + dt * unit + t * d_unit + dg * p + g * dp
    return ds1, (alpha * d_rho - rho * d_alpha - t * dg + g * dt) / m
