"""The parts of which a scale is made, as derivatives of its logarithm by parameters.

``log g = C(phi) + B(phi) / (2 d^2) + S(incident ray, diffracted ray) + e(frame)``: a smooth scale and a smooth B over
the scan, a surface of real spherical harmonics for absorption, and an effect of each frame. What the parameters of a
part have in common (a spline's second differences, the coefficients of one degree, the effects of frames) is taken as
drawn from a normal distribution about 0, whose variance is estimated from the data: a part that the data do not ask for
has a variance near 0, and costs nothing.

References
----------
Evans & Murshudov (2013). Acta Cryst. D69, 1204-1214, doi:10.1107/S0907444913000061 (scales, B factors, absorption);
Blessing (1995). Acta Cryst. A51, 33-38, doi:10.1107/S0108767394005726 (harmonics of both rays); Eilers & Marx (1996).
Statist. Sci. 11, 89-121, doi:10.1214/ss/1038425655 (splines held by their differences).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline

from xdp.scaling._kernels_harmonics import add_harmonics

_DEGREE = 3  # cubic splines: smooth to the second derivative, four of them are not 0 at a place


@dataclass(frozen=True)
class Restraint:
    """Combinations of parameters that have one variance about 0.

    Attributes
    ----------
    name : str
        What they are, for the log.
    matrix : (r, n_parameters) float64
        A combination each row.
    start : float
        The variance to begin with.
    smallest : float
        The variance does not fall below: with 0 the equations would be singular.
    """

    name: str
    matrix: np.ndarray
    start: float
    smallest: float = 1e-8


def spline_values(x: np.ndarray, first: float, last: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of cubic B-splines on evenly spaced knots.

    Parameters
    ----------
    x : (m,) float64
        Places; beyond the range the values are those at its end.
    first, last : float
        The range.
    n : int
        How many splines, 4 or more.

    Returns
    -------
    place : (m, 4) int32
        Numbers of the splines that are not 0.
    value : (m, 4) float64
        Their values, which add up to 1.

    Examples
    --------
    >>> import numpy as np
    >>> place, value = spline_values(np.array([0.0, 10.0]), 0.0, 10.0, 5)
    >>> place.tolist(), value.round(3).tolist()
    ([[0, 1, 2, 3], [1, 2, 3, 4]], [[0.167, 0.667, 0.167, 0.0], [0.0, 0.167, 0.667, 0.167]])
    """
    if not len(x):  # a sweep of which nothing can be scaled
        return np.zeros((0, _DEGREE + 1), np.int32), np.zeros((0, _DEGREE + 1))
    step = (last - first) / (n - _DEGREE)
    t = np.clip((np.asarray(x, np.float64) - first) / step, 0.0, n - _DEGREE)
    interval = np.minimum(t.astype(np.int64), n - _DEGREE - 1)
    knots = np.arange(-_DEGREE, n + 1, dtype=np.float64)
    basis = BSpline.design_matrix(np.minimum(t, n - _DEGREE - 1e-12), knots, _DEGREE)
    value = np.asarray(basis.data).reshape(len(t), _DEGREE + 1)
    place = interval[:, None] + np.arange(_DEGREE + 1)
    return place.astype(np.int32), value


def average_harmonics(directions: Sequence[np.ndarray], lmax: int) -> np.ndarray:
    """Real spherical harmonics, averaged over several lists of directions.

    Parameters
    ----------
    directions : sequence of (n, 3) float64
        Unit vectors: of the incident and of the diffracted rays, say.
    lmax : int
        The highest degree; that of degree 0 is left out, since a scale has it already.

    Returns
    -------
    (n, lmax (lmax + 2)) float32
        By degree l, in each from order -l to l; the mean square of a harmonic over the sphere is 1.

    Examples
    --------
    >>> import numpy as np
    >>> average_harmonics([np.array([[0.0, 0.0, 1.0]])], 1).astype(int).tolist()
    [[0, 1, 0]]
    """
    out = np.zeros((len(directions[0]), lmax * (lmax + 2)))
    for vectors in directions:
        add_harmonics(np.ascontiguousarray(vectors), lmax, 1.0 / len(directions), out)
    return out.astype(np.float32)
