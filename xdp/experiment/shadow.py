"""Which pixels the goniometer hides, at each angle of the scan.

A goniometer head is a cloud of points in mm, at the datum of all its motors, each mounted on one of the axes. To find
its shadow: turn each point by the axis that carries it and all axes outside that one; project it from the sample onto
the plane of a panel; take the convex hull; the pixels whose centres lie in it are hidden.

The points of Diamond's goniometers are measurements of theirs, published with dxtbx (masking module).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xdp.experiment.detector import Detector, Panel
from xdp.experiment.experiment import Experiment
from xdp.experiment.extent import convex_hull
from xdp.experiment.goniometer import Goniometer, axis_angle_matrix

#: A point nearer to the sample's plane parallel to the panel (in units of the distance) is projected to nowhere.
_NEAR_PLANE = 1e-5


@dataclass(frozen=True)
class GoniometerShape:
    """What of a goniometer can cast a shadow.

    Parameters
    ----------
    points
        Shape (n, 3), mm from the sample, lab frame with all motors at zero.
    axes
        Shape (n,): the axis (0: innermost) that carries each point.
    arm
        Points, shape (m, 3), in place at given motor angles (degrees), for a shape that is no rigid body; or None.
    is_aperture
        Whether light passes inside the hull and nowhere else (a diamond anvil cell).
    """

    points: np.ndarray
    axes: np.ndarray
    arm: Callable[[Goniometer, np.ndarray], np.ndarray] | None = None
    is_aperture: bool = False

    def points_at(self, goniometer: Goniometer, scan_angle: float) -> np.ndarray:
        """Where the points are when the scanning motor stands at an angle.

        Parameters
        ----------
        goniometer : Goniometer
            Its axes and the angles of the motors that do not scan.
        scan_angle : float
            Degrees.

        Returns
        -------
        array (n, 3)
            In the lab, mm.
        """
        angles = np.array(goniometer.angles, dtype=np.float64)
        angles[goniometer.scan_axis] = scan_angle
        points = np.array(self.points, dtype=np.float64)
        for i, (axis, angle) in enumerate(zip(goniometer.axes, angles, strict=True)):
            carried = self.axes <= i  # an axis turns what the axes inside it carry, too
            points[carried] = points[carried] @ axis_angle_matrix(axis, angle).T
        return points if self.arm is None else np.vstack([points, self.arm(goniometer, angles)])


def shadow_mask(shape: GoniometerShape, goniometer: Goniometer, panel: Panel, scan_angle: float) -> np.ndarray:
    """The pixels of a panel that the goniometer leaves free, shape (slow, fast), bool.

    Parameters
    ----------
    shape
        What casts the shadow.
    goniometer
        Its axes, and the angles (degrees) of the motors that do not scan.
    panel
        A panel of a detector.
    scan_angle
        Of the scanning motor, degrees: DIALS takes the angle at which an image starts.
    """
    return _mask_of_points(shape.points_at(goniometer, scan_angle), panel, shape.is_aperture)


def shadow_masks(shape: GoniometerShape, goniometer: Goniometer, detector: Detector, scan_angle: float
                 ) -> list[np.ndarray]:
    """:func:`shadow_mask` of each panel of a detector.

    Parameters
    ----------
    shape, goniometer, scan_angle
        As for :func:`shadow_mask`.
    detector : Detector

    Returns
    -------
    list of array (slow, fast), bool
        True where the goniometer hides nothing.
    """
    points = shape.points_at(goniometer, scan_angle)
    return [_mask_of_points(points, panel, shape.is_aperture) for panel in detector]


def known_shape(experiment: Experiment) -> GoniometerShape | None:
    """The goniometer of an experiment where its shadow is known, as DIALS tells it from the detector's serial number.

    None where it is not, where there is no multi-axis goniometer, or where the image set's ``dynamic_shadowing`` says
    no. A diamond anvil cell is never guessed.
    """
    goniometer, detector = experiment.goniometer, experiment.detector
    wanted = "Auto" if experiment.imageset is None else experiment.imageset.params.get("dynamic_shadowing", "Auto")
    if goniometer is None or detector is None or len(goniometer.axes) != 3 or wanted in (False, "False", "false"):
        return None
    second = goniometer.names[1].upper().removeprefix("GON_")
    serial = detector[0].identifier
    # The serial numbers of detectors at Diamond; what the second axis is called tells which head is mounted.
    if "160-0001" in serial or "60-0126" in serial:
        return smargon() if second == "CHI" else None
    if "60-0100" in serial:
        return {"CHI": smargon, "KAPPA": mini_kappa}.get(second, lambda: None)()
    if len(detector) in (24, 120) and second == "KAPPA" and _is_i23(goniometer):
        return i23_kappa()
    return None


def mini_kappa(opening: float = 43.60281897270362) -> GoniometerShape:
    """A mini-kappa head: a cone about the phi axis.

    Parameters
    ----------
    opening : float
        The cone's full angle, degrees.
    """
    height = 50.0  # mm; a choice: only the angle matters for a cone whose tip is the sample
    radius = height * np.tan(np.deg2rad(opening) / 2)
    theta = np.deg2rad(np.arange(360))
    rim = np.column_stack([np.full(360, height), radius * np.cos(theta), -radius * np.sin(theta)])
    return _rigid(np.vstack([[[0.0, 0.0, 0.0]], rim]), axis=0)


def diamond_anvil_cell(opening: float) -> GoniometerShape:
    """A diamond anvil cell: light passes two cones along y at the datum, and nothing else.

    Parameters
    ----------
    opening : float
        The cones' full angle, degrees.
    """
    height = 10.0  # mm; a choice: only the angle matters for cones whose tips are the sample
    radius = height * np.tan(np.deg2rad(opening) / 2)
    theta = np.deg2rad(np.arange(360))
    rim = np.column_stack([radius * np.cos(theta), np.full(360, height), radius * np.sin(theta)])
    points = np.vstack([[[0.0, 0.0, 0.0]], rim, rim * (1.0, -1.0, 1.0)])
    return GoniometerShape(points, np.zeros(len(points), dtype=np.int64), is_aperture=True)


def i23_kappa() -> GoniometerShape:
    """The kappa goniometer of Diamond I23: two rounded ends and the arm between them.

    Returns
    -------
    GoniometerShape
        All of it is carried by the kappa axis (the second one).
    """
    lower, upper = np.deg2rad(np.arange(0, 190, 10)), np.deg2rad(np.arange(180, 370, 10))
    end = np.column_stack([np.full(19, 107.61), -40.0 * np.sin(lower), -40.0 * np.cos(lower)])
    depth = 33.0 * np.sin(upper)
    reach = np.hypot(depth, 89.02)
    direction = np.deg2rad(50.0) - np.arctan(depth / 89.02)
    tip = np.column_stack([reach * np.cos(direction), reach * np.sin(direction), -33.0 * np.cos(upper)])
    edge = np.array(_I23_EDGE)
    other = edge[::-1] * (1.0, 1.0, -1.0)
    points = np.vstack([[[0.0, 0.0, 0.0]], end, edge, tip, other, [[107.61, 0.0, -40.0]]])
    # the drawing's y and z axes point against the lab's
    return _rigid(points * (1.0, -1.0, -1.0), axis=1)


#: The arm's edge between the ends, mm, as Diamond measured it.
_I23_EDGE = (
    (107.49, 7.84, 39.49), (107.39, 15.69, 38.97), (107.27, 23.53, 38.46), (107.16, 31.37, 37.94),
    (101.76, 33.99, 36.25), (96.37, 36.63, 34.56), (90.98, 39.25, 33.00), (85.58, 41.88, 31.18),
    (80.89, 47.06, 31.00), (76.55, 51.51, 31.03), (72.90, 55.04, 31.18), (66.86, 60.46, 31.67),
    (62.10, 64.41, 32.25),
)


def smargon() -> GoniometerShape:
    """The SmarGon head.

    Returns
    -------
    GoniometerShape
        The upper face and the rim of the sample holder are carried by chi (the second axis). The lower arm is no rigid
        body: chi moves its hinge.
    """
    phi = np.deg2rad(np.arange(-90, 91, 10))
    depth = np.linspace(0.0, 12.8, 11)
    face = [np.column_stack([np.full(19, 33.0), -10.0 * np.cos(phi), 10.0 * np.sin(phi)])]
    face += [np.column_stack([np.full(11, 33.0), depth, np.full(11, side)]) for side in (10.0, -10.0)]
    turn = np.deg2rad(np.arange(0, 360, 15))
    rim = np.column_stack([np.full(24, 19.0), -6.0 * np.cos(turn), 6.0 * np.sin(turn)])
    points = np.vstack([*face, [[33.0, 12.8, 0.0]], rim])
    return GoniometerShape(points, np.ones(len(points), dtype=np.int64), arm=_smargon_arm)


def _smargon_arm(goniometer: Goniometer, angles: np.ndarray) -> np.ndarray:
    """The lower arm: it hangs on a point that chi turns, keeps its direction, and turns with omega."""
    hinge = axis_angle_matrix(goniometer.axes[1], angles[1]) @ np.array([28.5, 4.9, 8.5])
    corners = np.array([[0.0, 0.0], [13.8, 26.0], [27.5, 29.5], [65.5, 29.5]])
    outline = hinge[:2] + np.vstack([corners, (corners[:-1] + corners[1:]) / 2])
    sides = [np.column_stack([outline, np.full(len(outline), z)]) for z in (hinge[2], -hinge[2])]
    ends = np.column_stack([hinge[:2] + corners[[0, 3]], [0.0, 0.0]])
    return np.vstack([*sides, ends]) @ axis_angle_matrix(goniometer.axes[2], angles[2]).T


def _is_i23(goniometer: Goniometer) -> bool:
    """Whether the kappa axis stands at 50 degrees to omega, as at I23."""
    kappa, omega = (np.asarray(goniometer.axes[i]) for i in (1, 2))
    return bool(abs(kappa @ omega / np.linalg.norm(kappa) / np.linalg.norm(omega) - np.cos(np.deg2rad(50))) < 1e-3)


def _rigid(points: np.ndarray, axis: int) -> GoniometerShape:
    return GoniometerShape(points, np.full(len(points), axis, dtype=np.int64))


def hides_pixels(shape: GoniometerShape, goniometer: Goniometer, detector: Detector, scan_angle: float) -> bool:
    """Whether the shadow can fall on any panel; where it does not, no mask of the size of a frame need be made.

    Parameters
    ----------
    shape, goniometer, scan_angle
        As for :func:`shadow_mask`.
    detector : Detector

    Returns
    -------
    bool
        True also for an aperture, outside of which all is dark.
    """
    if shape.is_aperture:
        return True
    points = shape.points_at(goniometer, scan_angle)
    return any(_find_hull(points, panel) is not None for panel in detector)


def _mask_of_points(points: np.ndarray, panel: Panel, is_aperture: bool) -> np.ndarray:
    """The pixels outside the convex hull of the points' projection, or those inside it."""
    free = np.ones(panel.shape, dtype=bool)
    hull = _find_hull(points, panel)
    if hull is not None:
        _clear_convex(free, hull)
    return ~free if is_aperture else free


def _find_hull(points: np.ndarray, panel: Panel) -> np.ndarray | None:
    """The convex hull of the points' projection, in pixels; None where it does not reach the panel."""
    # d⁻¹ p = (x, y, 1) times a factor, which is below zero behind the sample
    projected = points @ np.linalg.inv(panel.d_matrix).T
    projected = projected[projected[:, 2] > _NEAR_PLANE]
    hull = convex_hull(projected[:, :2] / projected[:, 2:] / np.asarray(panel.pixel_size))
    # fewer than three corners enclose no pixel
    overlaps = len(hull) >= 3 and np.all(hull.max(axis=0) > 0.0) and np.all(hull.min(axis=0) < panel.image_size)
    return hull if overlaps else None


def _clear_convex(free: np.ndarray, hull: np.ndarray) -> None:
    """Set False where a pixel's centre lies in a convex polygon, row by row between its two sides."""
    low, high = np.clip((hull[:, 1].min() - 0.5, hull[:, 1].max() + 0.5), 0, free.shape[0])
    rows = np.arange(int(low), int(np.ceil(high))) + 0.5
    (x0, y0), (x1, y1) = hull.T[:, :, None], np.roll(hull, 1, axis=0).T[:, :, None]
    crossed = (y0 > rows) != (y1 > rows)  # which sides of the polygon cross the middle of which row
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (x1 - x0) * (rows - y0) / (y1 - y0) + x0
    first = np.where(crossed, x, np.inf).min(axis=0)
    last = np.where(crossed, x, -np.inf).max(axis=0)
    inside = first < last
    bounds = np.clip(np.ceil(np.column_stack([first, last])[inside] - 0.5), 0, free.shape[1]).astype(np.int64)
    for row, (start, stop) in zip((rows[inside] - 0.5).astype(np.int64).tolist(), bounds.tolist(), strict=True):
        free[row, start:stop] = False
