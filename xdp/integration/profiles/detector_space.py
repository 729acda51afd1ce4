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

from xdp.integration.profiles._kernels_deconvolve import fit_neighbours
from xdp.integration.profiles.reference import ReferenceProfiles
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

CELL = 32
"""Pixels along the sides of the squares in which neighbours are looked for."""


def fit_overlapping(profiles: ReferenceProfiles, table: ReflectionTable, boxes: Shoeboxes, use: np.ndarray,
                    n_used: np.ndarray, neighbours: ReflectionTable, value: np.ndarray, variance: np.ndarray,
                    cc: np.ndarray) -> None:
    """Fit reflections together with their neighbours.

    Parameters
    ----------
    profiles, table, boxes
        As for :func:`xdp.integration.profiles.fit.fit_profiles`.
    use : (n,) bool
        Which reflections to fit.
    n_used : (n,) int64
        Pixels that made the background of each.
    neighbours : ReflectionTable
        All predictions of the experiment, those of `table` among them, with ``s1``, ``xyzcal.px``, ``panel``,
        ``bbox``.
    value, variance, cc : (n,) float64
        Get intensities, their variances (-1 without a fit) and correlations.
    """
    grid = profiles.grid
    given = grid.reflections(table, boxes)
    centre = np.ascontiguousarray(neighbours["xyzcal.px"], np.float64)
    panel = np.asarray(neighbours["panel"], np.int64)
    across, down, start, index = cells_of(panel, centre, np.array([p.image_size for p in grid.experiment.detector]))
    s0 = np.broadcast_to(np.asarray(grid.experiment.beam.s0, np.float64), (len(neighbours), 3))
    fit_neighbours(
        **given, **grid.geometry(), use=use, scan=np.asarray(grid.experiment.scan.array_range, np.int64),
        nearest=grid.sampler.nearest(given["panel"], given["centre"]), sharp=profiles.sharp, n_used=n_used,
        value=value, variance=variance, cc=cc, other_s1=np.ascontiguousarray(neighbours["s1"], np.float64),
        other_s0=np.ascontiguousarray(s0), other_centre=centre,
        other_z=np.ascontiguousarray(neighbours["bbox"][:, 4:]), other_nearest=grid.sampler.nearest(panel, centre),
        cell=CELL, across=across, down=down, start=start, index=index)


def cells_of(panel: np.ndarray, centre: np.ndarray, sizes: np.ndarray) -> tuple[int, int, np.ndarray, np.ndarray]:
    """Sort points into square cells.

    Parameters
    ----------
    panel, centre : (n,), (n, 3)
    sizes : (n_panels, 2)
        Fast and slow size of the panels.

    Returns
    -------
    across, down : int
        Cells of a panel; points beyond its edges are in the cells at the edge.
    start, index : (n_cells + 1,), (n,) int64
        Points of cell c are ``index[start[c]:start[c + 1]]``; cells go along fast, then slow, then by panel.
    """
    across, down = (np.max(sizes, axis=0) // CELL + 1).tolist()
    x, y = (np.clip(centre[:, k] // CELL, 0, n - 1).astype(np.int64) for k, n in ((0, across), (1, down)))
    cell = (panel * down + y) * across + x
    start = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=len(sizes) * across * down))])
    return across, down, start, np.argsort(cell, kind="stable")
