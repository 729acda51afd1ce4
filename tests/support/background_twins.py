"""Slow NumPy and SciPy twins of the background kernels, one shoebox at a time, written from the definitions."""

from __future__ import annotations

import numpy as np
from scipy import stats

from xdp.reflections.flags import MaskCode


def usable(mask: np.ndarray) -> np.ndarray:
    """Valid background that no neighbour covers."""
    wanted = MaskCode.VALID | MaskCode.BACKGROUND
    return ((mask & wanted) == wanted) & ((mask & MaskCode.OVERLAPPED) == 0)


def expectations(mean: float, tuning: float) -> tuple[float, float]:
    """E psi and E psi (Y - mean) / mean by summing over the whole distribution."""
    y = np.arange(0, int(mean + 40 * np.sqrt(mean) + 60))
    p = stats.poisson.pmf(y, mean)
    psi = np.clip((y - mean) / np.sqrt(mean), -tuning, tuning)
    return float(np.sum(p * psi)), float(np.sum(p * psi * (y - mean) / mean))


def robust_mean(counts: np.ndarray, tuning: float) -> float:
    """Root of sum psi(r) = n E psi, by bisection in the logarithm: what the scoring steps lead to."""
    def excess(log_mean: float) -> float:
        mean = np.exp(log_mean)
        psi = np.clip((counts - mean) / np.sqrt(mean), -tuning, tuning)
        return float(psi.sum() - len(counts) * expectations(mean, tuning)[0])

    low, high = np.log(1e-4), np.log(counts.max() + 10.0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if excess(middle) > 0.0 else (low, middle)
    return float(np.exp(low))


def rejected(counts: np.ndarray, algorithm: str) -> np.ndarray:
    """Which of the usable counts of a box are kept, with the default numbers."""
    n = len(counts)
    order = np.argsort(counts, kind="stable")
    keep = np.ones(n, bool)
    if algorithm == "nsigma":
        keep = np.abs(counts - counts.mean()) <= 3.0 * counts.std(ddof=1)
    elif algorithm == "truncated":
        keep[order[:int(0.005 * n)]] = False
        keep[order[n - int(0.005 * n):]] = False
    elif algorithm == "normal":
        while n > 10:
            rest = counts[order[:n]]
            if rest.std(ddof=1) == 0 or (rest.max() - rest.mean()) / rest.std(ddof=1) < stats.norm.isf(0.5 / n):
                break
            n -= 1
        keep[order[n:]] = False
    elif algorithm == "tukey":
        ordered = np.sort(counts)
        q1, q3 = ordered[n // 2 // 2], ordered[n // 2 + (n - n // 2) // 2]
        keep = (counts >= q1 - 1.5 * (q3 - q1)) & (counts <= q3 + 1.5 * (q3 - q1))
    return keep


def rejected_from_plane(data: np.ndarray, mask: np.ndarray, n_sigma: float = 4.0) -> np.ndarray:
    """Which pixels of a box are kept by their distance from a plane, frame by frame."""
    keep = np.zeros(data.shape, bool)
    for frame, good, out in zip(data, usable(mask), keep, strict=True):
        y, x = np.nonzero(good)
        x0, y0 = x - frame.shape[1] // 2, y - frame.shape[0] // 2
        design = np.column_stack([np.ones(len(x)), x0, y0])
        plane = np.linalg.lstsq(design, frame[good], rcond=None)[0]
        out[good] = np.abs(frame[good] - design @ plane) <= n_sigma * np.sqrt(abs(plane[0]))
    return keep


def least_squares(data: np.ndarray, used: np.ndarray, model: str) -> np.ndarray:
    """The background of a box through its used pixels."""
    if model.endswith("2d") and len(data) > 1:
        return np.concatenate([least_squares(data[k:k + 1], used[k:k + 1], model) for k in range(len(data))])
    z, y, x = np.indices(data.shape) + 0.5
    terms = {"constant2d": (), "constant3d": (), "linear2d": (x, y), "linear3d": (x, y, z)}[model]
    design = np.stack([np.ones(data.shape), *terms], axis=-1)
    return design @ np.linalg.lstsq(design[used], data[used], rcond=None)[0]


def weighted_scale(model: np.ndarray, counts: np.ndarray, cut: float) -> float:
    """Scale of a model by least squares with Huber weights, taken after Anscombe's transform."""
    x, y = 2.0 * np.sqrt(model + 0.375), 2.0 * np.sqrt(counts + 0.375)
    ratio = 1.0
    for _ in range(10):
        residual = np.abs(y - ratio * x)
        weight = np.where(residual > cut, cut / np.maximum(residual, 1e-30), 1.0)
        ratio = np.sum(weight * x * y) / np.sum(weight * x * x)
    return float(np.sum(weight * model * counts) / np.sum(weight * model * model))
