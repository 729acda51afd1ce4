"""The shapes of simulated spots: on the detector, over the rotation, and their strengths.

A plain reflection is a Gaussian in Kabsch's frame: round with sigma_b in the angles e1, e2 on the detector, sigma_m in
the rotation angle times zeta. What mosaic crystals and real beams add is in :mod:`xdp.simulation.spread`.

References
----------
Kabsch, Acta Cryst. D66, 133 (2010), doi:10.1107/S0907444909047374; Kahn et al., J. Appl. Cryst. 15, 330 (1982),
doi:10.1107/S0021889882012060 (polarisation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.detector import Detector, Panel
from xdp.experiment.pixels import mm_to_px
from xdp.simulation._kernels import add_spots, draw_spots

N_LAYERS = 4
"""Depths of the sensor at which photons are absorbed. A choice."""
_REACH = 4.0
"""Standard deviations to which spots are drawn: exp(-8), 3e-4, of a spot lies beyond."""
_LARGEST = 60
"""Pixels to either side, at most: spots of rays almost along a panel would cover it. A choice."""
_SUBPIXELS = (3, 8)
"""Fewest and most points along a pixel's edge at which a spot is sampled. A choice."""


@dataclass(frozen=True)
class Spots:
    """Normalised two-dimensional spots of one panel: pixels of spot i are ``pixels[offsets[i]:offsets[i + 1]]``."""

    rows: np.ndarray
    bbox: np.ndarray
    offsets: np.ndarray
    pixels: np.ndarray

    def draw_on(self, image: np.ndarray, weights: np.ndarray) -> None:
        """Draw the spots on an image of expected counts.

        Parameters
        ----------
        image : (slow, fast) float64
            Changed in place.
        weights : (n,) float64
            Photons of each spot; those of weight 0 cost nothing.
        """
        rows = np.flatnonzero(weights > 0.0)
        add_spots(image, rows, weights[rows], self.bbox, self.offsets, self.pixels)

    def compute_recorded_part(self) -> np.ndarray:
        """Compute the part of each spot that lies on the panel.

        Returns
        -------
        (n,) float64
            0 for a spot without pixels.
        """
        # reduceat wants an element for each start, also where the last box is empty
        return np.add.reduceat(np.append(self.pixels, np.float32(0)), self.offsets[:-1]) * (np.diff(self.offsets) > 0)


def draw_panel_spots(detector: Detector, beam: Beam, index: int, rows: np.ndarray, xy_mm: np.ndarray, *, sigma_b: float,
                     parallax: bool) -> Spots:
    """Draw the spots of one panel.

    Parameters
    ----------
    index
        The panel.
    rows
        Which reflections these are, (n,), kept for the caller.
    xy_mm
        Where the rays meet the panel's front face, mm (n, 2).
    sigma_b
        Radians.
    parallax
        Whether the sensor's depth spreads the spots (where the panel corrects for it).

    Returns
    -------
    Spots
    """
    jacobians = _compute_angles_per_pixel(detector[index], beam, xy_mm)
    return _draw(detector[index], rows, xy_mm, mm_to_px(detector[index], xy_mm), jacobians, sigma_b, parallax)


def draw_panel_slices(detector: Detector, beam: Beam, index: int, rows: np.ndarray, xy_mm: np.ndarray, *,
                      shifts: np.ndarray, covariances: np.ndarray, parallax: bool) -> Spots:
    """Draw spots of one panel, each a Gaussian of its own shape about its own place.

    Parameters
    ----------
    index
        The panel.
    rows
        Which reflections these are, (n,), kept for the caller.
    xy_mm
        Where the predicted rays meet the panel's front face, mm (n, 2).
    shifts
        Angles (e1, e2) from the predicted ray to the spot's middle, rad (n, 2).
    covariances
        Of the angles (e1, e2), rad² (n, 2, 2).
    parallax
        Whether the sensor's depth spreads the spots (where the panel corrects for it).

    Returns
    -------
    Spots
    """
    panel = detector[index]
    jacobians = _compute_angles_per_pixel(panel, beam, xy_mm)
    centres = mm_to_px(panel, xy_mm) + np.linalg.solve(jacobians, shifts[:, :, None])[:, :, 0]
    # in units of its own standard deviations each spot is round, with the width 1
    round_ = np.linalg.solve(np.linalg.cholesky(covariances), jacobians)
    return _draw(panel, rows, xy_mm, centres, round_, 1.0, parallax)


def _draw(panel: Panel, rows: np.ndarray, xy_mm: np.ndarray, centres: np.ndarray, jacobians: np.ndarray, sigma: float,
          parallax: bool) -> Spots:
    """Draw spots about `centres` (px) that are round with `sigma` in the coordinates that `jacobians` lead to."""
    has_depth = parallax and panel.corrects_parallax
    shifts, weights = _make_depth_layers(panel, xy_mm) if has_depth else _make_single_layer(len(rows))
    bbox = _make_boxes(panel, centres, jacobians, shifts, sigma)
    offsets = np.concatenate([[0], np.cumsum((bbox[:, 1] - bbox[:, 0]) * (bbox[:, 3] - bbox[:, 2]))]).astype(np.int64)
    pixels = np.zeros(offsets[-1], np.float32)
    draw_spots(centres, jacobians, sigma, shifts, weights, bbox, offsets, _count_subpixels(jacobians, sigma), pixels)
    return Spots(rows, bbox, offsets, pixels)


def compute_axis_component(s1: np.ndarray, beam: Beam, axis: np.ndarray) -> np.ndarray:
    """Compute the component of the rotation axis along unit s1 x s0: zeta, without the code of prediction.

    Parameters
    ----------
    s1 : (n, 3) float64
    beam : Beam
    axis : (3,) float64
        Unit rotation axis in the lab.

    Returns
    -------
    (n,) float64
        From -1 to 1.
    """
    e1 = np.cross(s1, beam.s0)
    return e1 @ axis / np.linalg.norm(e1, axis=1)


def compute_lorentz(s1: np.ndarray, beam: Beam, axis: np.ndarray) -> np.ndarray:
    r"""Compute the Lorentz factor of rotation, :math:`1 / |\mathbf m \cdot (\mathbf u_1 \times \mathbf u_0)|`.

    It is the time that a point spends on the Ewald sphere.

    Parameters
    ----------
    s1 : (n, 3) float64
        Diffracted rays, of any length.
    beam : Beam
    axis : (3,) float64
        Unit rotation axis in the lab.

    Returns
    -------
    (n,) float64
        At most 1e6.
    """
    u1 = s1 / np.linalg.norm(s1, axis=1, keepdims=True)
    return 1.0 / np.maximum(np.abs(np.cross(u1, beam.unit_s0) @ axis), 1e-6)


def compute_polarisation(directions: np.ndarray, beam: Beam) -> np.ndarray:
    r"""Compute the polarisation factor :math:`1 - (\mathbf E \cdot \mathbf u)^2`, averaged over the beam's field E.

    Parameters
    ----------
    directions : (..., 3) float64
        Of scattering, of any length.
    beam : Beam
        Its polarisation fraction has E across the polarisation normal, the rest along it.

    Returns
    -------
    (...) float64
        From 0 to 1.
    """
    u = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    normal = np.asarray(beam.polarization_normal) / np.linalg.norm(beam.polarization_normal)
    in_plane = np.cross(normal, beam.unit_s0)
    fraction = beam.polarization_fraction
    return 1.0 - fraction * (u @ in_plane) ** 2 - (1.0 - fraction) * (u @ normal) ** 2


def _compute_angles_per_pixel(panel: Panel, beam: Beam, xy_mm: np.ndarray) -> np.ndarray:
    """Compute the Jacobians (n, 2, 2) of the angles (e1, e2), rad, by the pixel coordinates (fast, slow)."""
    d = panel.d_matrix
    lab = xy_mm @ d[:, :2].T + d[:, 2]
    length = np.linalg.norm(lab, axis=1, keepdims=True)
    u = lab / length
    e1 = np.cross(u, beam.unit_s0)
    e1 /= np.linalg.norm(e1, axis=1, keepdims=True)
    frame = np.stack([e1, np.cross(u, e1)], axis=1)
    # A step along the panel turns the ray by its part across the ray; e1 and e2 are both across it.
    return frame @ (d[:, :2] * np.asarray(panel.pixel_size)) / length[:, :, None]


def _make_depth_layers(panel: Panel, xy_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make shifts (n, layers, 2), px, about the mean, and weights (n, layers) of photons absorbed at several depths.

    The mean is left to the panel's parallax correction, so that spots lie where the models say.
    """
    d = panel.d_matrix
    lab = xy_mm @ d[:, :2].T + d[:, 2]
    u = lab / np.linalg.norm(lab, axis=1, keepdims=True)
    path = panel.thickness / np.abs(u @ panel.normal)
    edges = np.linspace(0.0, 1.0, N_LAYERS + 1)
    # what is left of the beam at the borders of the layers; the weights are of the photons that are absorbed at all
    left = np.exp(-panel.mu * path[:, None] * edges)
    weights = (left[:, :-1] - left[:, 1:]) / (1.0 - left[:, -1:])
    depths = path[:, None] * (edges[:-1] + edges[1:]) / 2.0
    depths -= (weights * depths).sum(axis=1, keepdims=True)
    return depths[:, :, None] * ((u @ d[:, :2]) / np.asarray(panel.pixel_size))[:, None, :], weights


def _make_single_layer(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Make one layer without shift."""
    return np.zeros((n, 1, 2)), np.ones((n, 1))


def _count_subpixels(jacobians: np.ndarray, sigma: float) -> int:
    """Count the points along a pixel's edge that sample the narrowest spot at 1.5 points per sigma, within limits."""
    narrowest = sigma / max(float(np.abs(np.linalg.norm(jacobians, axis=1)).max(initial=0.0)), 1e-12)
    return int(np.clip(np.ceil(1.5 / narrowest), *_SUBPIXELS))


def _make_boxes(panel: Panel, centres: np.ndarray, jacobians: np.ndarray, shifts: np.ndarray,
                sigma: float) -> np.ndarray:
    """Make the limits (n, 4) fast, fast, slow, slow of the pixels of each spot, cut at the panel's edges."""
    # a circle in angles is an ellipse in pixels: its reach along each axis
    inverse = np.linalg.inv(jacobians)
    spread = _REACH * sigma * np.sqrt(np.square(inverse).sum(axis=2)) + np.abs(shifts).max(axis=1)
    spread = np.minimum(spread, _LARGEST)
    low, high = np.floor(centres - spread).astype(np.int64), np.ceil(centres + spread).astype(np.int64)
    size = np.asarray(panel.image_size)
    low, high = np.clip(low, 0, size), np.clip(high, 0, size)
    return np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1)
