r"""Taking off a profile the blur of the pixels in which it was measured.

A profile s falls into pixels and is shared among the cells of the grid: what is learned is ``p = B s``, B being the
blur, known but for the positions of the pixels, over which it is averaged. Taken back to pixels, p would be blurred
again. Hence s is sought, by the rounds of Richardson and Lucy,

.. math::

    s \leftarrow s \cdot B^T \frac{p}{B s},

which keep it positive and, nearly, its sum.

References
----------
W. H. Richardson, J. Opt. Soc. Am. 62, 55 (1972), doi:10.1364/JOSA.62.000055;
L. B. Lucy, Astron. J. 79, 745 (1974), doi:10.1086/111605.
"""

from __future__ import annotations

import math

import numpy as np

SHARPENING = 12
"""Rounds of deconvolution. After 5 profiles in pixels are too wide, and weak intensities 1 % above those by summation;
after 20 they are 0.4 % below (docs/profile_fitting.md)."""

erf = np.vectorize(math.erf, otypes=[np.float64])
"""The error function of each value. Importing ``scipy.special`` takes 0.17 s of CPU, which no other part of integration
needs; the few hundred values that are asked for take 0.1 ms."""


def make_blur(n_side: int, area: np.ndarray) -> np.ndarray:
    """How counts in a cell of a profile come back to cells when they are measured in pixels, along one axis.

    Along e1 as along e2: the profile is linear between grid points, falls into pixels, and a pixel's counts are shared
    among cells. Over all positions of the pixels that is three times the box of a cell and twice the box of a pixel,
    the latter near to a Gaussian of variance area/6.

    Parameters
    ----------
    n_side : int
        Cells along the axis.
    area : (n,) float64
        Area of a pixel in cells, for each of n profiles.

    Returns
    -------
    (n, n_side, n_side) float64
        Symmetric; a row sums to 1 but for what falls beyond the ends.

    Examples
    --------
    >>> import numpy as np
    >>> make_blur(9, np.array([1.0]))[0, 4].round(3).tolist()
    [0.0, 0.0, 0.004, 0.193, 0.606, 0.193, 0.004, 0.0, 0.0]
    """
    distance = np.arange(n_side, dtype=np.float64)
    sigma = np.sqrt(np.maximum(area, 1e-6) / 6.0)[:, None]
    line = (_integrate_thrice(distance + 1.5, sigma) - 3.0 * _integrate_thrice(distance + 0.5, sigma)
            + 3.0 * _integrate_thrice(distance - 0.5, sigma) - _integrate_thrice(distance - 1.5, sigma))
    return line[:, np.abs(np.arange(n_side)[:, None] - np.arange(n_side))]


def _integrate_thrice(x: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """A normal density integrated three times: its third difference is the blur by three boxes."""
    t = x / sigma
    density = np.exp(-0.5 * t * t) / (np.sqrt(2.0 * np.pi) * sigma)
    return 0.5 * ((x * x + sigma * sigma) * 0.5 * (1.0 + erf(t / np.sqrt(2.0))) + x * sigma * sigma * density)


def sharpen(profiles: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Take the blur of pixels and cells off profiles.

    Parameters
    ----------
    profiles : (n, n_side, n_side^2) float64
        Along e3 and (e2, e1); each sums to 1.
    area : (n,) or (n, 2) float64
        Area of a pixel in cells, for each; two numbers are the squares of its length along e1 and e2.

    Returns
    -------
    (n, n_side, (n_side + 2)^2) float64
        Positive, each with sum 1, with a border of zeros along e2 and e1: so that interpolation needs no special case.
    """
    n_side = profiles.shape[1]
    target = profiles.reshape(len(profiles), n_side, n_side, n_side)
    # symmetric, so that their transposes are themselves
    b1, b2 = (make_blur(n_side, a)[:, None] for a in (area.T if area.ndim == 2 else (area, area)))
    out = target.copy()
    for _ in range(SHARPENING):
        seen = b2 @ out @ b1
        out = out * (b2 @ np.divide(target, seen, out=np.zeros_like(seen), where=seen > 1e-12) @ b1)
    out /= out.sum(axis=(1, 2, 3), keepdims=True)
    return np.pad(out, ((0, 0), (0, 0), (1, 1), (1, 1))).reshape(*profiles.shape[:2], -1)
