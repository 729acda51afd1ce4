"""The common mode: an offset that all pixels of a section have in one shot.

References
----------
N. K. Sauter et al. (2013), Acta Cryst. D69, 1274, doi 10.1107/S0907444913000863, has the corrections of a CSPAD.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xdp.errors import OptionError

# Bins, range and limits are those of cctbx.xfel.
_BINS, _RANGE = 100, (-40.0, 40.0)
_FAR = 1000.0
_ROW_TERMS, _COLUMN_TERMS = 5, 10
# Steps of the fit of a Gaussian: it settles in 5 to 10.
_STEPS = 50


def find_common_mode(pixels: Sequence[np.ndarray], stddev: Sequence[np.ndarray], algorithm: str,
                     roi: tuple[slice, slice] | None = None) -> list[np.ndarray]:
    """Find the common mode of a section.

    Parameters
    ----------
    pixels : sequence of (slow, fast) array
        Counts of the section's panels, the dark subtracted.
    stddev : sequence of (slow, fast) array
        Deviations of the dark; pixels where it is not above 0 do not count.
    algorithm : str
        ``none``, ``mean``, ``median``, ``mode``, ``gaussian`` or ``chebyshev``.
    roi : (slow, fast) slices, optional
        Pixels that the fit of ``chebyshev`` leaves out, such as those of the strongest scattering.

    Returns
    -------
    list of array
        To be subtracted from each panel: of no dimension, or of the panel's for ``chebyshev``. Zeros where no pixel
        counts.

    Raises
    ------
    OptionError
        If there is no such algorithm.
    """
    if algorithm == "none":
        return [np.zeros(())] * len(pixels)
    if algorithm == "chebyshev":
        return [fit_chebyshev(panel, sigma > 0.0, roi) for panel, sigma in zip(pixels, stddev, strict=True)]
    active = [sigma > 0.0 for sigma in stddev]
    values = np.concatenate([panel[a] for panel, a in zip(pixels, active, strict=True)]).astype(np.float64)
    if not values.size:
        return [np.zeros(())] * len(pixels)
    if algorithm == "mean":
        sigmas = np.concatenate([sigma[a] for sigma, a in zip(stddev, active, strict=True)])
        # Pixels with light would pull the mean up.
        dark = values[values / sigmas < 2.0]
        offset = float(dark.mean()) if dark.size else 0.0
    elif algorithm == "median":
        offset = float(np.median(values))
    elif algorithm == "mode":
        offset = find_mode(values)
    elif algorithm == "gaussian":
        offset = find_gaussian_centre(values)
    else:
        raise OptionError("common_mode_correction must be none, mean, median, mode, gaussian or chebyshev, got "
                          f"{algorithm!r}")
    return [np.full((), offset)] * len(pixels)


def find_mode(values: np.ndarray) -> float:
    """Find the centre of the fullest of 100 bins from -40 to 40.

    Parameters
    ----------
    values : (n,) array
        Counts.

    Returns
    -------
    float
        0 where no value is in that range; of equally full bins the first.
    """
    counts, edges = np.histogram(values, _BINS, _RANGE)
    if not counts.any():
        return 0.0
    place = int(np.argmax(counts))
    return float(0.5 * (edges[place] + edges[place + 1]))


def find_gaussian_centre(values: np.ndarray) -> float:
    """Fit a Gaussian to the histogram of :func:`find_mode`, and find its centre.

    Parameters
    ----------
    values : (n,) array
        Counts.

    Returns
    -------
    float
        The mode where the fit ends more than 1000 counts away, or does not end.
    """
    mode = find_mode(values)
    counts, edges = np.histogram(values, _BINS, _RANGE)
    centres = 0.5 * (edges[:-1] + edges[1:])
    if np.count_nonzero(counts) < 3:
        return mode
    fitted = _fit_gaussian(centres, counts.astype(np.float64), mode)
    return fitted if np.isfinite(fitted) and abs(fitted - mode) <= _FAR else mode


def _fit_gaussian(x: np.ndarray, y: np.ndarray, centre: float) -> float:
    """Centre of a Gaussian by damped least squares (Levenberg and Marquardt)."""
    near = y > 0.5 * y.max()
    width = max(float(x[near].max() - x[near].min()) / 2.355, 0.8)
    parameters = np.array([y.max(), centre, width])
    damping = 1e-3
    residual = y - _gaussian(x, parameters)
    cost = float(residual @ residual)
    for _ in range(_STEPS):
        shape = _gaussian(x, parameters)
        t = (x - parameters[1]) / parameters[2]
        jacobian = np.column_stack([shape / parameters[0], shape * t / parameters[2], shape * t * t / parameters[2]])
        normal = jacobian.T @ jacobian
        step = np.linalg.lstsq(normal + damping * np.diag(np.diag(normal)), jacobian.T @ residual, rcond=None)[0]
        trial = parameters + step
        new = y - _gaussian(x, trial) if trial[2] > 0.0 and trial[0] > 0.0 else np.full_like(y, np.inf)
        new_cost = float(new @ new) if np.isfinite(new).all() else np.inf
        if new_cost < cost:
            gain = cost - new_cost
            parameters, residual, cost, damping = trial, new, new_cost, max(damping / 10.0, 1e-12)
            # 1e-12 of the squares moves the centre by less than 1e-6 of the width.
            if gain <= 1e-12 * cost:
                break
        else:
            damping *= 10.0
    return float(parameters[1])


def _gaussian(x: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """A Gaussian of a height, a centre and a width."""
    height, centre, width = parameters
    return height * np.exp(-0.5 * ((x - centre) / width) ** 2)


def fit_chebyshev(pixels: np.ndarray, active: np.ndarray, roi: tuple[slice, slice] | None = None) -> np.ndarray:
    """Fit a sum of a polynomial along rows (5 terms) and one along columns (10 terms).

    Parameters
    ----------
    pixels : (slow, fast) array
        Counts.
    active : (slow, fast) bool
        Pixels that count.
    roi : (slow, fast) slices, optional
        Pixels that do not.

    Returns
    -------
    (slow, fast) float64
        The fitted surface; zeros where there are too few pixels.
    """
    n_slow, n_fast = pixels.shape
    used = active & np.isfinite(pixels)
    if roi is not None:
        used = used.copy()
        used[roi] = False
    along_fast = np.polynomial.chebyshev.chebvander(_scale(n_fast), min(_ROW_TERMS, n_fast) - 1)
    along_slow = np.polynomial.chebyshev.chebvander(_scale(n_slow), min(_COLUMN_TERMS, n_slow) - 1)[:, 1:]
    n_terms = along_fast.shape[1] + along_slow.shape[1]
    if np.count_nonzero(used) < n_terms:
        return np.zeros(pixels.shape)
    # The normal matrix from sums over rows and columns: a design matrix of all pixels would not fit in the cache.
    weights = used.astype(np.float64)
    values = np.where(used, pixels, 0.0).astype(np.float64)
    per_fast, per_slow = weights.sum(axis=0), weights.sum(axis=1)
    corner = along_fast.T @ weights.T @ along_slow
    normal = np.block([[along_fast.T @ (per_fast[:, None] * along_fast), corner],
                       [corner.T, along_slow.T @ (per_slow[:, None] * along_slow)]])
    right = np.concatenate([along_fast.T @ values.sum(axis=0), along_slow.T @ values.sum(axis=1)])
    solution = np.linalg.lstsq(normal, right, rcond=None)[0]
    n_first = along_fast.shape[1]
    return (along_fast @ solution[:n_first])[None, :] + (along_slow @ solution[n_first:])[:, None]


def _scale(n: int) -> np.ndarray:
    """Positions from -1 to 1."""
    return np.linspace(-1.0, 1.0, n) if n > 1 else np.zeros(n)
