"""Statistics of an integration: per image, per shell of resolution, and over all reflections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

#: A reflection of at least this partiality counts as fully recorded. A choice, below the 0.9973 of a reflection
#: that lies whole in the scan: predictions end at three sigma.
FULL_PARTIALITY = 0.99

#: Counts: reflections with a flag.
_COUNTS = {
    "n_overload": Flag.OVERLOADED,
    "n_ice": Flag.IN_POWDER_RING,
    "n_summed": Flag.INTEGRATED_SUM,
    "n_fitted": Flag.INTEGRATED_PRF,
    "n_integrated": Flag.INTEGRATED,
    "n_invalid_bg": Flag.BACKGROUND_INCLUDES_BAD_PIXELS,
    "n_invalid_fg": Flag.FOREGROUND_INCLUDES_BAD_PIXELS,
    "n_failed_background": Flag.FAILED_DURING_BACKGROUND_MODELLING,
    "n_failed_summation": Flag.FAILED_DURING_SUMMATION,
    "n_failed_fitting": Flag.FAILED_DURING_PROFILE_FITTING,
}

#: Averages: the column or ratio, and what a reflection must be to count.
_MEANS = {
    "mean_background": ("background.mean", Flag.INTEGRATED),
    "ios_sum": ("intensity.sum", Flag.INTEGRATED_SUM),
    "ios_prf": ("intensity.prf", Flag.INTEGRATED_PRF),
    "cc_prf": ("profile.correlation", Flag.INTEGRATED_PRF),
    "rmsd_xy": ("rmsd", Flag.INTEGRATED_SUM),
}
STATISTICS_COLUMNS = ("d", "flags", "xyzcal.px", "xyzobs.px.value", "partiality", "background.mean",
                      "profile.correlation",
                      *(f"intensity.{kind}.{name}" for kind in ("sum", "prf") for name in ("value", "variance")))
"""The columns that :func:`compute_statistics` reads, as far as they are there."""


@dataclass(frozen=True)
class Statistics:
    """What an integration gave for one experiment.

    Attributes
    ----------
    resolution, image : dict of str to array
        Numbers for each bin; ``bins`` are the bins' edges (Å, rising; frames, counted from 0).
    overall, low, high : dict of str to number
        The same over all reflections, and in the shells of lowest and highest resolution, with ``dmin`` and ``dmax``
        in Å and the correlations of summed with fitted intensities.
    """

    resolution: dict[str, np.ndarray]
    image: dict[str, np.ndarray]
    overall: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]


def compute_statistics(experiment: Experiment, table: ReflectionTable, n_bins: int = 20) -> Statistics:
    """Compute the statistics of the reflections of one experiment.

    Parameters
    ----------
    experiment : Experiment
        For the range of images.
    table : ReflectionTable
        Its reflections with columns ``d``, ``flags``, ``xyzcal.px`` and what integration added; a column that is not
        there gives zeros.
    n_bins : int
        Number of shells of equal volume in reciprocal space.

    Returns
    -------
    Statistics

    Notes
    -----
    Counts are over all reflections of a bin, averages over those integrated in the way that is averaged. A reflection
    belongs to the image on which it is predicted.
    """
    values = _compute_values(table)
    edges = compute_shell_edges(table["d"], n_bins)
    shell = np.clip(np.searchsorted(edges, table["d"], "right") - 1, 0, n_bins - 1)
    first, last = _get_frames(experiment)
    frame = np.clip(np.floor(table["xyzcal.px"][:, 2]).astype(np.int64) - first, 0, last - first - 1)
    # shell 0 has the smallest d: "low" resolution is the last one
    resolution = _average_bins(table, values, shell, n_bins)
    image = _average_bins(table, values, frame, last - first)
    one = {key: column[0] for key, column in _average_bins(table, values, np.zeros(len(table), np.int64), 1).items()}
    ends = [{key: column[i] for key, column in resolution.items()} for i in (n_bins - 1, 0)]
    selections = [np.ones(len(table), bool), shell == n_bins - 1, shell == 0]
    limits = [(edges[0], edges[-1]), (edges[-2], edges[-1]), (edges[0], edges[1])]
    overall, low, high = (
        {**{key: value.item() for key, value in numbers.items()}, "dmin": float(pair[0]), "dmax": float(pair[1]),
         **_correlate_intensities(table, chosen)}
        for numbers, chosen, pair in zip([one, *ends], selections, limits, strict=True))
    return Statistics({"bins": edges, **resolution}, {"bins": np.arange(first, last + 1), **image}, overall, low, high)


def compute_shell_edges(d: np.ndarray, n_bins: int) -> np.ndarray:
    """Compute the edges of shells of equal volume in reciprocal space.

    Parameters
    ----------
    d : (n,) float64
        Resolutions, Å; values that are not finite or not above 0 are left out.
    n_bins : int

    Returns
    -------
    (n_bins + 1,) float64
        Å, rising; zeros where no resolution is good.

    Examples
    --------
    >>> compute_shell_edges(np.array([1.0, 2.0]), 2).round(3).tolist()
    [1.0, 1.211, 2.0]
    """
    good = d[np.isfinite(d) & (d > 0)]
    if not len(good):
        return np.zeros(n_bins + 1)
    # a millionth wider at both ends, so that rounding leaves no reflection outside
    volume = np.linspace(float(good.min()) ** -3 * (1 + 1e-6), float(good.max()) ** -3 * (1 - 1e-6), n_bins + 1)
    return volume ** (-1.0 / 3.0)


def compute_i_over_sigma(table: ReflectionTable, kind: str) -> np.ndarray:
    """Compute I/sigma.

    Parameters
    ----------
    table : ReflectionTable
    kind : str
        "sum" or "prf".

    Returns
    -------
    (n,) float64
        0 where there is no positive variance or no such intensity.
    """
    value = table.get(f"intensity.{kind}.value")
    if value is None:
        return np.zeros(len(table))
    variance = table[f"intensity.{kind}.variance"]
    return np.divide(value, np.sqrt(np.maximum(variance, 0.0)), out=np.zeros(len(table)), where=variance > 0)


def _get_frames(experiment: Experiment) -> tuple[int, int]:
    """Get the first frame and the one after the last, as the predicted z counts them."""
    return (0, 1) if experiment.scan is None else experiment.scan.array_range


def _compute_values(table: ReflectionTable) -> dict[str, np.ndarray]:
    """Compute the quantities that are averaged, (n,) each."""
    zero = np.zeros(len(table))
    rmsd = zero
    if "xyzobs.px.value" in table:
        rmsd = np.hypot(*(table["xyzcal.px"] - table["xyzobs.px.value"])[:, :2].T)
    return {"background.mean": table.get("background.mean", zero), "rmsd": rmsd,
            "profile.correlation": table.get("profile.correlation", zero),
            "intensity.sum": compute_i_over_sigma(table, "sum"), "intensity.prf": compute_i_over_sigma(table, "prf")}


def _average_bins(table: ReflectionTable, values: dict[str, np.ndarray], index: np.ndarray, n: int) -> dict[str,
                                                                                                            np.ndarray]:
    """Count and average the reflections of `n` bins."""
    partiality = table.get("partiality")
    full = np.ones(len(table), bool) if partiality is None else partiality >= FULL_PARTIALITY
    chosen = {name: table.any_flags(flag) for name, flag in _COUNTS.items()}
    counts = {"n_full": full, "n_partial": ~full, **chosen}
    result: dict[str, np.ndarray] = {name: np.bincount(index[which], minlength=n) for name, which in counts.items()}
    # averages run over the same reflections as some counts: their masks are made once
    by_flag = {_COUNTS[name]: which for name, which in chosen.items()}
    for name, (column, flag) in _MEANS.items():
        which = by_flag[flag]
        total = np.bincount(index[which], values[column][which], minlength=n)
        result[name] = total / np.maximum(np.bincount(index[which], minlength=n), 1)
    return result


def _correlate_intensities(table: ReflectionTable, chosen: np.ndarray) -> dict[str, float]:
    """Correlate summed with fitted intensities where both exist: their values, and their ranks."""
    both = chosen & table.flags(Flag.INTEGRATED)
    names = "cc_pearson_sum_prf", "cc_spearman_sum_prf"
    if both.sum() < 2 or "intensity.prf.value" not in table:
        return dict.fromkeys(names, 0.0)
    summed, fitted = table["intensity.sum.value"][both], table["intensity.prf.value"][both]
    return dict(zip(names, (_correlate(summed, fitted), _correlate(_rank(summed), _rank(fitted))), strict=True))


def _correlate(a: np.ndarray, b: np.ndarray) -> float:
    """Compute Pearson's correlation; 0 where one of the two does not vary."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def _rank(values: np.ndarray) -> np.ndarray:
    """Rank values from 0; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - 0.5 * (counts + 1))[inverse]
