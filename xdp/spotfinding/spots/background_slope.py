"""Slope of the background around spots, for the filter that drops spots on steep background.

Around each spot's bounding box, enlarged in fast and slow by ``background_size + 1`` pixels (as far as the panel
reaches) and summed over its frames, the outermost ring of pixels is fitted with a plane. A spot is dropped where the
plane's slope along fast or slow exceeds a limit, in counts a pixel. Same numbers as DIALS' ``BackgroundGradientFilter``
(whose own command never reaches it in 3.12: the filter is called without its images).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

BUFFER = 1
"""Width in pixels of the ring that is fitted: that of DIALS' filter, which has no parameter for it."""


def enlarge_boxes(bbox: np.ndarray, shape: tuple[int, int], by: int) -> np.ndarray:
    """Enlarge bounding boxes along fast and slow, as far as the panel reaches.

    Parameters
    ----------
    bbox : (n, 6) int
        x0 x1 y0 y1 z0 z1, ends excluded.
    shape : (int, int)
        Pixels of the panel along slow and fast.
    by : int
        Pixels.

    Returns
    -------
    (n, 6) int

    Examples
    --------
    >>> enlarge_boxes(np.array([[1, 3, 5, 7, 0, 2]]), (8, 8), 2).tolist()
    [[0, 5, 3, 8, 0, 2]]
    """
    box = bbox.copy()
    box[:, 0] = np.maximum(bbox[:, 0] - by, 0)
    box[:, 1] = np.minimum(bbox[:, 1] + by, shape[1])
    box[:, 2] = np.maximum(bbox[:, 2] - by, 0)
    box[:, 3] = np.minimum(bbox[:, 3] + by, shape[0])
    return box


def sum_boxes(read: Callable[[int], Sequence[np.ndarray]], panel: np.ndarray, bbox: np.ndarray) -> list:
    """Counts in boxes, summed over their frames.

    Parameters
    ----------
    read : callable
        Gives the panels' images (slow, fast) of a frame; called once a frame, in ascending order.
    panel : (n,) int
        Which panel each box lies on.
    bbox : (n, 6) int
        x0 x1 y0 y1 z0 z1 in pixels and frames, ends excluded.

    Returns
    -------
    list of (y1 - y0, x1 - x0) float64 arrays
    """
    sums = [np.zeros((y1 - y0, x1 - x0)) for x0, x1, y0, y1, _, _ in bbox.tolist()]
    # frames in order, each read once, with only the boxes open that reach it
    first_of = np.argsort(bbox[:, 4], kind="stable").tolist()
    boxes, panels = bbox.tolist(), panel.tolist()
    active: list[int] = []
    frame = 0
    while first_of or active:
        frame = boxes[first_of[0]][4] if not active else frame + 1
        while first_of and boxes[first_of[0]][4] == frame:
            active.append(first_of.pop(0))
        images = read(frame)
        for i in active:
            x0, x1, y0, y1, _, _ = boxes[i]
            sums[i] += images[panels[i]][y0:y1, x0:x1]
        active = [i for i in active if boxes[i][5] > frame + 1]
    return sums


def fit_ring_slopes(box: np.ndarray, limits: tuple[float, ...]) -> tuple[float, float]:
    """Slopes along fast and slow of the plane through a box's outermost ring, by least squares.

    Parameters
    ----------
    box : (slow, fast) float64
        Counts.
    limits : (float, float)
        Counts outside of these, ends included, are left out.

    Returns
    -------
    (float, float)
        Counts a pixel; (0, 0) where fewer than four pixels are left, or all in one line.
    """
    ring = np.ones(box.shape, bool)
    ring[BUFFER:-BUFFER, BUFFER:-BUFFER] = False
    ring &= (box >= limits[0]) & (box <= limits[1])
    y, x = np.nonzero(ring)
    if len(x) < 4:
        return 0.0, 0.0
    # the plane c + a x + b y; pixel centres are at +0.5
    design = np.column_stack([np.ones(len(x)), x + 0.5, y + 0.5])
    solution, _, rank, _ = np.linalg.lstsq(design, box[ring], rcond=None)
    return (float(solution[1]), float(solution[2])) if rank == 3 else (0.0, 0.0)


def has_flat_background(read: Callable[[int], Sequence[np.ndarray]], panel: np.ndarray, bbox: np.ndarray, *,
                        shapes: Sequence[tuple[int, int]], limits: Sequence[tuple[float, ...]],
                        background_size: int = 2, gradient_cutoff: float = 4.0) -> np.ndarray:
    """Which spots lie on background whose slope is at most `gradient_cutoff` counts a pixel.

    Parameters
    ----------
    read, panel, bbox
        As for :func:`sum_boxes`; `bbox` are the spots' own.
    shapes, limits
        (slow, fast) and trusted counts of each panel.

    Returns
    -------
    (n,) bool
    """
    boxes = np.empty_like(bbox)
    for p in np.unique(panel).tolist():
        boxes[panel == p] = enlarge_boxes(bbox[panel == p], shapes[p], background_size + BUFFER)
    slopes = [fit_ring_slopes(box, limits[p])
              for box, p in zip(sum_boxes(read, panel, boxes), panel.tolist(), strict=True)]
    return np.abs(np.array(slopes).reshape(-1, 2)).max(axis=1, initial=0.0) <= gradient_cutoff
