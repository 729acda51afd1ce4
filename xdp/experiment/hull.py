"""The convex hull of points in a plane."""

from __future__ import annotations

import numpy as np


def convex_hull(points: np.ndarray) -> np.ndarray:
    """Corners of the convex hull of points, counter-clockwise, shape (m, 2); points on its sides are left out.

    Andrew's monotone chain.

    Parameters
    ----------
    points
        Shape (n, 2).

    References
    ----------
    Andrew, Inf. Process. Lett. 9, 216 (1979), doi:10.1016/0020-0190(79)90072-3.
    """
    # `unique` also sorts by x, then y, which the chains need
    ordered = [(float(x), float(y)) for x, y in np.unique(np.asarray(points, dtype=np.float64).reshape(-1, 2), axis=0)]
    if len(ordered) < 3:
        return np.array(ordered).reshape(-1, 2)
    # each chain ends where the other begins
    return np.array(_chain(ordered)[:-1] + _chain(ordered[::-1])[:-1])


def _chain(ordered: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The lower half of the hull of points sorted along x: only left turns."""
    chain: list[tuple[float, float]] = []
    for point in ordered:
        while len(chain) >= 2 and _turn(chain[-2], chain[-1], point) <= 0.0:
            chain.pop()
        chain.append(point)
    return chain


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    """Above zero where a, b, c turn left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
