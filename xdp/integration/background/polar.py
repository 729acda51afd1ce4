"""A smooth background from a noisy image: filtered along the azimuth, on a grid of scattering angle and azimuth.

References
----------
J. M. Parkhurst et al., IUCrJ 4, 626 (2017), section 2, doi:10.1107/S2052252517010259.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xdp.integration.background.model_options import ModellerOptions

if TYPE_CHECKING:
    from xdp.experiment import Beam, Detector


@dataclass(frozen=True, eq=False)
class PolarGrid:
    """A grid about the beam of one panel, of about as many points as the panel has pixels.

    Attributes
    ----------
    radius, azimuth : (slow, fast) float64
        Where each pixel's centre lies on the grid, in grid points.
    column, row : (n_azimuth, n_radius) int64
        The pixel (fast, slow) at each grid point; -1 off the panel.
    """

    radius: np.ndarray
    azimuth: np.ndarray
    column: np.ndarray
    row: np.ndarray

    @classmethod
    def of(cls, detector: Detector, beam: Beam, panel: int) -> PolarGrid:
        """Make the grid: equal steps of the scattering angle over the panel, and of the azimuth over the circle.

        Parameters
        ----------
        detector : Detector
        beam : Beam
        panel : int
        """
        from xdp.experiment.pixels import mm_to_px, px_to_s1, ray_intersection

        height, width = detector.panel_shapes[panel]
        y, x = np.mgrid[0:height, 0:width]
        s1 = px_to_s1(detector, beam, panel, np.column_stack([x.ravel(), y.ravel()]) + 0.5)
        frame = _make_beam_frame(np.asarray(beam.unit_s0))
        u, v, w = frame @ (s1 / np.linalg.norm(s1, axis=1, keepdims=True)).T
        theta, phi = np.arctan2(np.hypot(u, v), w), np.arctan2(v, u)
        # As many steps of the angle as pixels lie between the beam, or the pixel nearest to it, and the farthest
        # corner.
        nearest = int(np.argmin(theta))
        far = max(np.hypot(nearest % width - cx, nearest // width - cy) for cx in (0, width) for cy in (0, height))
        n_radius = max(int(np.ceil(far)), 2)
        n_azimuth = max(int(np.ceil(height * width / n_radius)), 4)
        # A panel of one pixel has no range of angles.
        step = max((theta.max() - theta.min()) / (n_radius - 1), 1e-12)
        grid_theta = theta.min() + step * np.arange(n_radius)
        grid_phi = 2.0 * np.pi * np.arange(n_azimuth)[:, None] / n_azimuth
        across = np.sin(grid_theta)
        rays = np.stack([across * np.cos(grid_phi), across * np.sin(grid_phi),
                         np.broadcast_to(np.cos(grid_theta), (n_azimuth, n_radius))], axis=-1).reshape(-1, 3) @ frame
        mm, hits = ray_intersection(detector, panel, rays / beam.wavelength)
        px = np.full((len(rays), 2), -1.0)
        px[hits] = mm_to_px(detector[panel], mm[hits])
        column, row = np.floor(px).astype(np.int64).T
        is_off = ~hits | (column < 0) | (row < 0) | (column >= width) | (row >= height)
        column[is_off], row[is_off] = -1, -1
        shape = (n_azimuth, n_radius)
        return cls(((theta - theta.min()) / step).reshape(height, width),
                   (phi % (2.0 * np.pi) * n_azimuth / (2.0 * np.pi)).reshape(height, width),
                   column.reshape(shape), row.reshape(shape))

    def to_polar(self, image: np.ndarray, good: np.ndarray) -> np.ndarray:
        """The image on the grid, each point the pixel in which it lies.

        Parameters
        ----------
        image, good : (slow, fast) float, bool

        Returns
        -------
        (n_azimuth, n_radius) float64
            NaN off the panel and where the image is not good.
        """
        values = np.where(good, image, np.nan)[self.row, self.column]
        return np.where(self.column >= 0, values, np.nan)

    def from_polar(self, values: np.ndarray) -> np.ndarray:
        """The grid's values (n_azimuth, n_radius) at the pixels' centres, linear in between: float64 (slow, fast)."""
        low, first = np.floor(self.radius).astype(int), np.floor(self.azimuth).astype(int)
        # The angle ends at the panel's edges; the azimuth goes round, and its last point neighbours the first.
        low = np.clip(low, 0, values.shape[1] - 2)
        part, turn = np.clip(self.radius - low, 0.0, 1.0), self.azimuth - first
        first, second = first % values.shape[0], (first + 1) % values.shape[0]
        near, far = (values[k, low] * (1.0 - part) + values[k, low + 1] * part for k in (first, second))
        return near * (1.0 - turn) + far * turn


def _make_beam_frame(beam: np.ndarray) -> np.ndarray:
    """Unit vectors: two across the beam, and the beam."""
    # Across the axis that is farthest from the beam, so that the product is never near 0.
    across = np.cross(beam, np.eye(3)[np.argmin(np.abs(beam))])
    across /= np.linalg.norm(across)
    return np.array([across, np.cross(beam, across), beam])


def smooth_background(image: np.ndarray, good: np.ndarray, grid: PolarGrid, options: ModellerOptions | None = None,
                      number: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A smooth background from an image with holes, and the same on the polar grid.

    Steps: to the grid; median or mean along the azimuth over ``2 kernel_size + 1`` points; holes take the nearest
    value and are evened out ``niter`` times; back to the pixels. Where pixels have few counts, the median gives way to
    the mean of the counts that are likely (:mod:`xdp.integration.background._kernels_sparse`).

    Parameters
    ----------
    image : (slow, fast) float
        Mean counts of each pixel.
    good : (slow, fast) bool
        False for holes.
    grid : PolarGrid
    options : ModellerOptions, optional
    number : (slow, fast) float, optional
        Images that each mean is taken of. Without it counts are taken for many, and the median is used everywhere.

    Returns
    -------
    background : (slow, fast) float64
    on_grid : (n_azimuth, n_radius) float64
    """
    from scipy.ndimage import distance_transform_edt

    from xdp.integration.background._kernels_series import diffuse, filter_azimuth

    options = options or ModellerOptions()
    values = grid.to_polar(image, good)
    if options.kernel_size:
        filtered = np.empty_like(values)
        filter_azimuth(values, options.kernel_size, options.filter_type == "median", filtered)
        if options.filter_type == "median" and number is not None:
            from xdp.integration.background._kernels_sparse import mix_sparse

            # Whole numbers again, where the mean was taken of such.
            totals = grid.to_polar(np.round(image * number, 6), good)
            mix_sparse(totals, grid.to_polar(number, good), options.kernel_size, filtered)
        # Off the panel the filter knows nothing of its own: what lies there is filled in from the nearest points.
        values = np.where(np.isnan(values) & (grid.column < 0), np.nan, filtered)
    holes = np.isnan(values)
    if holes.all():
        return np.zeros(image.shape), np.zeros(values.shape)
    if holes.any():
        nearest = distance_transform_edt(holes, return_distances=False, return_indices=True)
        values = values[tuple(nearest)]
        diffuse(values, holes, options.niter or 1)
    return np.maximum(grid.from_polar(values), 0.0), values
