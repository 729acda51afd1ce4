"""Profile fitting on the detector's pixels of reflections that overlap: each is fitted together with its neighbours.

Where predictions lie so close that their profiles share pixels, the counts there are the sum of both. Fitting all of
them at once takes each apart, and needs no pixel to be given to one of them alone.

References
----------
M. G. Rossmann, J. Appl. Cryst. 12, 225 (1979), doi:10.1107/S0021889879012273, on profile fitting and overlaps;
D. Bourgeois, D. Nurizzo, R. Kahn & C. Cambillau, J. Appl. Cryst. 31, 22 (1998), doi:10.1107/S0021889897006730, on
deconvolution of overlapping spots by profiles.
"""

from __future__ import annotations

import numpy as np

from xdp.integration.profiles._kernels_overlaps import Neighbours, fit_neighbours
from xdp.integration.profiles.arguments import Fits, Rays, ReferenceShapes, ReflectionData
from xdp.integration.profiles.reference import ReferenceProfiles
from xdp.reflections.table import ReflectionTable

CELL = 32
"""Pixels along the sides of the squares in which neighbours are looked for: somewhat more than a box, so that few
squares are looked through, and few predictions in vain. It is a matter of speed."""


def fit_overlaps(rows: np.ndarray, n_used: np.ndarray, given: ReflectionData, shapes: ReferenceShapes,
                 profiles: ReferenceProfiles, predictions: ReflectionTable, fits: Fits) -> None:
    """Fit reflections together with their neighbours.

    Parameters
    ----------
    rows : (m,) int64
        Which of the n reflections to fit.
    n_used : (n,) int64
        Pixels that made the background of each.
    given : ReflectionData
        Geometry, predictions and pixels of the n reflections.
    shapes : ReferenceShapes
        Their profiles.
    profiles : ReferenceProfiles
        Of their experiment.
    predictions : ReflectionTable
        All predictions of the experiment, those n among them, with ``s1``, ``xyzcal.px``, ``panel``, ``bbox``.
    fits : Fits
        Gets intensities, variances and correlations where there is a fit.
    """
    grid, panel = profiles.grid, np.asarray(predictions["panel"], np.int64)
    nearest = grid.sampler.find_nearest(panel, np.asarray(predictions["xyzcal.px"], np.float64))
    steps = grid.compute_fit_steps(predictions, panel, profiles.areas[nearest])
    rays = Rays.from_table(predictions, grid.steps[[0, 0, 1]] if steps is None else steps)
    sizes = np.array([p.image_size for p in grid.experiment.known.detector])
    # neighbours are looked for among all predictions, also those that are not fitted: they too add counts
    across, down, start, index = sort_into_cells(panel, rays.centre, sizes)
    neighbours = Neighbours(rays, np.ascontiguousarray(predictions["bbox"][:, 4:]),
                            nearest, CELL, across, down, start, index)
    fit_neighbours(rows, n_used, given, shapes, neighbours, fits)


def sort_into_cells(panel: np.ndarray, centre: np.ndarray, sizes: np.ndarray
                    ) -> tuple[int, int, np.ndarray, np.ndarray]:
    """Sort points into square cells of `CELL` pixels.

    Parameters
    ----------
    panel, centre : (n,), (n, 3)
        Panel, and fast, slow (px) and frame.
    sizes : (n_panels, 2)
        Fast and slow size of the panels, px.

    Returns
    -------
    across, down : int
        Cells of a panel; points beyond its edges are in the cells at the edge.
    start, index : (n_cells + 1,), (n,) int64
        Points of cell c are ``index[start[c]:start[c + 1]]``; cells go along fast, then slow, then by panel.

    Examples
    --------
    Two of three points lie in the first of the 2 x 2 cells of a panel of 40 x 50 pixels:

    >>> import numpy as np
    >>> centre = np.array([[3.0, 5.0, 0.5], [39.0, 45.0, 0.5], [30.0, 1.0, 0.5]])
    >>> across, down, start, index = sort_into_cells(np.zeros(3, int), centre, np.array([[40, 50]]))
    >>> across, down, index[start[0]:start[1]].tolist(), index[start[3]:start[4]].tolist()
    (2, 2, [0, 2], [1])
    """
    # all panels have as many cells as the largest needs
    across, down = (np.max(sizes, axis=0) // CELL + 1).tolist()
    x, y = (np.clip(centre[:, k] // CELL, 0, n - 1).astype(np.int64) for k, n in ((0, across), (1, down)))
    cell = (panel * down + y) * across + x
    start = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=len(sizes) * across * down))])
    return across, down, start, np.argsort(cell, kind="stable")
