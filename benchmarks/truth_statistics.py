"""How integrated intensities compare with the photons that a simulation drew: ratios, pulls and errors by shell."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from xdp.reflections.table import ReflectionTable

N_SHELLS = 6
BINS = (-9.0, 1.0, 3.0, 6.0, 12.0, 25.0)
"""Limits of true I/sigma, of which the pulls are shown; above the last the excess b is."""
LEAST_ROWS = 200
"""Bins of fewer reflections show nothing: the width of 200 pulls has an error of 0.06."""
_FRAMES = 0.5
"""px that a frame counts for where reflections are matched with the truth."""
_FARTHEST = 1.0


def match_rows(table: ReflectionTable, truth: dict[str, np.ndarray]) -> np.ndarray:
    """The nearest true reflection of each row by its predicted place, -1 where none is within a pixel or two frames."""
    def place(xyz: np.ndarray, panel: np.ndarray) -> np.ndarray:
        # panels lie so far apart that none is near a neighbour's
        return np.column_stack([xyz[:, 0] + 1e5 * panel, xyz[:, 1], xyz[:, 2] * _FRAMES])

    far, near = cKDTree(place(truth["xyz"], truth["panel"].astype(float))).query(
        place(table["xyzcal.px"], table["panel"].astype(float)))
    return np.where(far < _FARTHEST, near, -1)


def collect_rows(table: ReflectionTable, kind: str, truth: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Intensity, sigma, true photons, structure and d of whole reflections with an intensity of `kind`."""
    near, variance = match_rows(table, truth), table[f"intensity.{kind}.variance"]
    good = (near >= 0) & (variance > 0) & (table["partiality"] > 0.99) & (truth["partiality"][near] > 0.99)
    rows = np.flatnonzero(good)
    match = near[rows]
    return {"row": rows, "match": match, "i": table[f"intensity.{kind}.value"][rows], "sigma": np.sqrt(variance[rows]),
            "true": truth["photons"][match], "structure": truth["structure"][match], "d": truth["d"][match]}


def find_scale(rows: dict[str, np.ndarray]) -> float:
    """The common scale: what the coarsest two fifths hold of their photons. All lose tails beyond the foreground."""
    low = rows["d"] >= np.quantile(rows["d"], 0.6)
    return float(rows["i"][low].sum() / rows["true"][low].sum())


def compare_rows(rows: dict[str, np.ndarray]) -> dict[str, Any]:
    """All figures of one kind of intensity: scale, CC, weak third, shells, pulls and b."""
    if len(rows["i"]) < LEAST_ROWS:
        return {"n": len(rows["i"])}
    k = find_scale(rows)
    true, i, sigma = rows["true"] * k, rows["i"], rows["sigma"]
    weak = true < np.quantile(true, 1 / 3)
    return {"n": len(i), "scale": k, "cc": correlate(i, true), "weak": correlate(i[weak], true[weak]),
            "shells": shells_of(rows["d"], i, true), "pulls": pulls_of(i, true, sigma), "b": excess_of(i, true, sigma)}


def correlate(one: np.ndarray, two: np.ndarray) -> float:
    """The correlation coefficient."""
    return float(np.corrcoef(one, two)[0, 1])


def shell_limits(d: np.ndarray) -> np.ndarray:
    """Limits of shells of equally many reflections, from fine to coarse."""
    return np.quantile(d, np.linspace(0, 1, N_SHELLS + 1))


def shells_of(d: np.ndarray, i: np.ndarray, true: np.ndarray) -> list[dict[str, float]]:
    """Summed intensity over summed truth of each shell, with its standard error from the residuals."""
    limits, found = shell_limits(d), []
    for low, high in itertools.pairwise(limits):
        inside = (d >= low) & (d <= high)
        total = true[inside].sum()
        ratio = i[inside].sum() / total
        error = np.sqrt(np.square(i[inside] - ratio * true[inside]).sum()) / total
        found.append({"low": low, "high": high, "ratio": ratio, "error": error})
    return found


def width_of(values: np.ndarray) -> float:
    """The standard deviation of a normal distribution with these quartiles."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float((high - low) / 1.349)


def pulls_of(i: np.ndarray, true: np.ndarray, sigma: np.ndarray) -> list[dict[str, float] | None]:
    """Width and median of (I - true) / sigma by true I/sigma; None for bins of too few."""
    pull, snr, found = (i - true) / sigma, true / sigma, []
    for low, high in itertools.pairwise(BINS):
        inside = (snr >= low) & (snr < high)
        n = int(inside.sum())
        # the width from the quartiles of n normal variates has the standard error 1.17 / sqrt(n)
        found.append(None if n < LEAST_ROWS else {"n": n, "width": width_of(pull[inside]), "error": 1.17 / np.sqrt(n),
                                                  "median": float(np.median(pull[inside]))})
    return found


def excess_of(i: np.ndarray, true: np.ndarray, sigma: np.ndarray) -> float | None:
    """The part b of strong reflections' relative residual that sigma does not tell: residual^2 = sigma^2 + (b I)^2."""
    strong = true > BINS[-1] * sigma
    if strong.sum() < LEAST_ROWS:
        return None
    residual = width_of((i[strong] - true[strong]) / true[strong])
    return float(np.sqrt(max(residual**2 - np.median(sigma[strong] / true[strong]) ** 2, 0.0)))


def load_truth(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of ``truth.npz``."""
    with np.load(folder / "truth.npz") as arrays:
        return dict(arrays)


def list_failures(figures: dict[str, Any]) -> list[str]:
    """What is off by the issue's measure: ratios beyond 0.02 and two errors, pull widths and medians."""
    found = []
    for shell in figures.get("shells", []):
        if abs(shell["ratio"] - 1.0) > max(0.02, 2.0 * shell["error"]):
            found.append(f"I/true {shell['ratio']:.3f} at {shell['low']:.2f}-{shell['high']:.2f} Å")
    for pull, low, high in zip(figures.get("pulls", []), BINS[:-1], BINS[1:], strict=False):
        name = f"{max(low, 0):g} to {high:g}"
        if pull and abs(pull["width"] - 1.0) > max(0.05, 3.0 * pull["error"]):
            found.append(f"width {pull['width']:.2f} at {name}")
        if pull and abs(pull["median"]) > 0.1:
            found.append(f"median {pull['median']:+.2f} at {name}")
    return found
