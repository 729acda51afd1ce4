"""The background of each pixel, from its values over all frames of a scan.

`compute_trimmed_background` drops the largest values (the method ``n_removed`` of LaueUtil).
`compute_grouped_background` drops whole groups of frames taken at one angle that carry a spot there (``kruskal`` and
``maxgroup``). Both work on a tile of pixels at a time; no pixel depends on another.

References
----------
J. A. Kalinowski, B. Fournier, A. Makal & P. Coppens, J. Synchrotron Rad. 19 (2012) 637.
W. H. Kruskal & W. A. Wallis, J. Am. Stat. Assoc. 47 (1952) 583.
B. Rosner, Technometrics 25 (1983) 165.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from xdp.errors import XdpError
from xdp.laue._kernels_background import GroupedMaps, Groups, compute_grouped_statistics
from xdp.laue._kernels_trimmed import TrimmedMaps, Truncation, compute_trimmed_statistics
from xdp.laue.truncation import make_truncation_tables

_PIXELS_AT_A_TIME = 32
"""Pixels whose values are copied together for the grouped background: a choice; a cache line holds 16 or 32 counts."""


@dataclass(frozen=True)
class Trimming:
    """How `compute_trimmed_background` works: how many values go, and the detector's reading without light (counts)."""

    n_removed: int
    pedestal: float = 0.0


@dataclass(frozen=True)
class Grouping:
    """How `compute_grouped_background` works.

    Attributes
    ----------
    group_of_frame : tuple of int
        Number of each frame's group, 0 ... n_groups - 1.
    alpha : float
        Level of the test.
    test : str
        ``kruskal`` or ``maxgroup``.
    """

    group_of_frame: tuple[int, ...]
    alpha: float = 0.05
    test: str = "kruskal"


def count_removed(n_frames: int, percent: float) -> int:
    """How many of `n_frames` values `percent` per cent are, rounded down; at least one value must stay.

    Raises
    ------
    XdpError
        If no value would be left.
    """
    # a product such as 40 x 22.5 / 100 may come out a last bit below the whole number
    removed = int(np.floor(n_frames * percent / 100 + 1e-9))
    if n_frames - removed < 1:
        raise XdpError(f"n={percent:g} % of {n_frames} frames leaves no value for the background: choose a smaller n")
    return removed


def compute_trimmed_background(values: np.ndarray, how: Trimming) -> dict[str, np.ndarray]:
    """Statistics of each pixel without its largest values.

    Parameters
    ----------
    values : ndarray, shape (n_frames, ...)
        Counts.
    how : Trimming
        The number of values to drop.

    Returns
    -------
    dict of ndarray, each of shape values.shape[1:]
        ``avg``, ``std`` (ddof 0), ``iqr`` (Q75 - Q25, linear) of the values left; ``max`` and ``arg`` (the first
        frame of the maximum) of all; ``avg_corrected`` and ``std_corrected``, the background's mean and spread before
        the cut (see :mod:`xdp.laue.truncation`).
    """
    flat, work, integer = _prepare_values(values)
    names = ("avg", "std", "iqr", "max", "arg", "avg_corrected", "std_corrected")
    out = _make_outputs(flat, names)
    truncation = Truncation(how.n_removed, _make_tables(len(flat), how.n_removed), float(how.pedestal))
    compute_trimmed_statistics(flat, work[0], integer, truncation, TrimmedMaps(*(out[name] for name in names)))
    return {name: array.reshape(values.shape[1:]) for name, array in out.items()}


def compute_grouped_background(values: np.ndarray, how: Grouping) -> dict[str, np.ndarray]:
    """Statistics of each pixel over the groups of frames that do not stand out.

    Groups are dropped one at a time, the highest first: with ``kruskal`` that of the highest mean rank, while the
    Kruskal-Wallis test (ties corrected, chi-square limit) over the groups left gives p < alpha and more than one group
    is left; with ``maxgroup`` that of the highest mean, by a one-sided t test of its mean against all values of the
    other groups left at alpha / (groups left), in Rosner's sequence over up to half of the groups.

    Returns
    -------
    dict of ndarray, each of shape values.shape[1:]
        As `compute_trimmed_background`, without anything to correct (``avg_corrected`` is ``avg``,
        ``std_corrected`` has ddof 1); and ``n_used`` (values left), ``n_rejected`` (groups dropped), ``p_value`` of the
        test with all groups and ``p_value_left`` with those left. These are 1 where all values are equal or one group
        is left; of ``maxgroup``, the p-value times the number of groups, at most 1.
    """
    flat, work, integer = _prepare_values(values)
    group_of_frame = np.asarray(how.group_of_frame)
    # stable: equal scans give equal results to the last bit
    order = np.argsort(group_of_frame, kind="stable")
    n_groups = int(group_of_frame.max()) + 1
    starts = np.searchsorted(group_of_frame[order], np.arange(n_groups + 1))
    critical = _compute_critical_t(n_groups, len(flat), how.alpha) if how.test == "maxgroup" else np.empty((0, 0))
    names = ("avg", "std", "iqr", "max", "arg", "n_used", "n_rejected", "p_value", "p_value_left", "df", "df_left")
    out = _make_outputs(flat, names)
    groups = Groups(order, starts, float(how.alpha), critical)
    compute_grouped_statistics(flat, work, integer, groups, GroupedMaps(*(out[name] for name in names)))
    if how.test == "maxgroup":
        out["p_value"] = _compute_p_of_t(out["p_value"], out["df"], n_groups)
        out["p_value_left"] = _compute_p_of_t(out["p_value_left"], out["df_left"], n_groups - out["n_rejected"])
    del out["df"], out["df_left"]
    # whole groups went: what is left is not truncated
    out["avg_corrected"] = out["avg"]
    used = out["n_used"].astype(np.float64)
    out["std_corrected"] = out["std"] * np.sqrt(used / np.maximum(used - 1, 1))
    return {name: array.reshape(values.shape[1:]) for name, array in out.items()}


def compute_background(values: np.ndarray, how: Trimming | Grouping) -> dict[str, np.ndarray]:
    """Compute the background by whichever method `how` describes.

    Parameters
    ----------
    values : ndarray, shape (n_frames, ...)
        Counts.
    how : Trimming or Grouping

    Returns
    -------
    dict of ndarray, each of shape values.shape[1:]
        See `compute_trimmed_background` and `compute_grouped_background`; ``n_used`` is always among them.
    """
    if isinstance(how, Grouping):
        return compute_grouped_background(values, how)
    out = compute_trimmed_background(values, how)
    out["n_used"] = np.full(values.shape[1:], len(values) - how.n_removed, np.int32)
    return out


# types of the maps that are not float64; None: that of the counts
_TYPES = {"max": None, "arg": np.int32, "n_used": np.int32, "n_rejected": np.int32, "df": np.int32, "df_left": np.int32}


def _make_outputs(flat: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Empty outputs, one value a pixel; the maximum keeps the detector's type."""
    return {name: np.empty(flat.shape[1], _TYPES.get(name, np.float64) or flat.dtype) for name in names}


def _prepare_values(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """The values as (frame, pixel), scratch for a few pixels, and whether they are whole numbers."""
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    integer = flat.dtype.kind in "iu"
    # sums and differences of unsigned or short counts would overflow in their own type
    kind: type = np.float64
    if integer:
        kind = np.int32 if np.can_cast(flat.dtype, np.int32) else np.int64
    return flat, np.empty((_PIXELS_AT_A_TIME, len(flat)), kind), integer


@functools.lru_cache(maxsize=4)
def _make_tables(n_frames: int, n_removed: int) -> np.ndarray:
    return make_truncation_tables(n_frames, n_removed)


@functools.lru_cache(maxsize=4)
def _compute_critical_t(n_groups: int, n_frames: int, alpha: float) -> np.ndarray:
    """Limits of t for each number of groups left and of degrees of freedom; the first rows and columns are infinite."""
    from scipy import special

    left, df = np.meshgrid(np.arange(n_groups + 1), np.arange(n_frames + 1), indexing="ij")
    # Bonferroni: the highest of k groups is tested at alpha / k
    with np.errstate(divide="ignore", invalid="ignore"):
        limits = special.stdtrit(np.maximum(df, 1), 1 - alpha / np.maximum(left, 1))
    return np.where((left < 2) | (df < 1), np.inf, limits)


def _compute_p_of_t(t: np.ndarray, df: np.ndarray, n_groups: np.ndarray | int) -> np.ndarray:
    """One-sided p-value of the highest of several groups, by Bonferroni's inequality."""
    from scipy import special

    tail = special.stdtr(df.astype(np.float64), -t)
    return np.minimum(1.0, n_groups * np.where(np.isinf(t), 0.0, tail))
