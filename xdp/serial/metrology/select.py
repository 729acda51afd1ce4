"""Which shots and which reflections a level is refined with."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.detector import Detector
from xdp.refinement.options import Outlier
from xdp.refinement.outliers import Sample, find_outliers
from xdp.reflections.table import ReflectionTable
from xdp.serial.metrology.options import RefineMetrologyOptions, RmsdFilter
from xdp.serial.metrology.shots import ShotPack

logger = logging.getLogger(__name__)


# Quartiles of very few shots are chance; with fewer than this none is left out. A choice.
_LEAST_SHOTS = 10


def choose_subset(table: ReflectionTable, n_shots: int, options: RefineMetrologyOptions) -> np.ndarray:
    """Choose the shots that are used.

    Parameters
    ----------
    table : ReflectionTable
        All reflections.
    n_shots : int
        Number of shots.
    options : RefineMetrologyOptions
        `n_subset` and what goes with it.

    Returns
    -------
    (n_shots,) of bool

    Raises
    ------
    XdpError
        If significance_filter is asked for and there are no intensities.
    """
    chosen = np.ones(n_shots, dtype=bool)
    wanted = options.n_subset
    if wanted is None or wanted >= n_shots:
        return chosen
    ids = table["id"].astype(np.int64)
    if options.n_subset_method == "random":
        order = np.random.default_rng(options.refinement.reflections.random_seed).permutation(n_shots)
    else:
        counts = np.ones(len(ids), dtype=bool) if options.n_subset_method == "n_refl" else _find_significant(
            table, options.isigi_cutoff)
        if options.n_subset_method == "n_refl" and options.n_refl_panel_list is not None:
            counts = np.isin(table["panel"].astype(np.int64), options.n_refl_panel_list)
        # a stable sort: of equal shots the first ones
        numbers = np.bincount(ids[counts & (ids >= 0)], minlength=n_shots)[:n_shots]
        order = np.argsort(-numbers, kind="stable")
    chosen[:] = False
    chosen[order[:wanted]] = True
    return chosen


def _find_significant(table: ReflectionTable, cutoff: float) -> np.ndarray:
    """The reflections whose I / sigma is high enough."""
    for name in ("intensity.sum", "intensity.prf"):
        if f"{name}.value" in table and f"{name}.variance" in table:
            sigma = np.sqrt(np.maximum(table[f"{name}.variance"], 0.0))
            return (sigma > 0.0) & (table[f"{name}.value"] > cutoff * sigma)
    raise XdpError("refine_metrology: n_subset_method=significance_filter needs intensities, and the reflections have "
                   "none; take n_refl")


def compute_shot_rmsds(pack: ShotPack, predicted: np.ndarray, use: np.ndarray) -> np.ndarray:
    """Compute the RMSD of positions of each shot, mm; NaN without reflections.

    Parameters
    ----------
    pack : ShotPack
        The shots.
    predicted : (n, 3)
        Predictions.
    use : (n,) of bool
        The reflections that count.
    """
    square = np.sum((predicted[:, :2] - pack.spots.xy) ** 2, axis=1)
    good = use & np.isfinite(square)
    shot = np.repeat(np.arange(len(pack.shots)), np.diff(pack.spots.start))
    n = np.bincount(shot[good], minlength=len(pack.shots))
    total = np.bincount(shot[good], square[good], minlength=len(pack.shots))
    with np.errstate(invalid="ignore"):
        return np.sqrt(total / n)


def filter_shots(rmsds: np.ndarray, options: RmsdFilter) -> np.ndarray:
    """Find shots whose RMSD is not too large.

    Parameters
    ----------
    rmsds : (n,)
        NaN for shots that are out already.
    options : RmsdFilter
        The rule.

    Returns
    -------
    (n,) of bool

    Examples
    --------
    >>> filter_shots(np.array([1.0, 1.1, 0.9, 1.0, 1.2, 0.8, 1.0, 1.1, 0.9, 9.0]), RmsdFilter()).tolist()[-2:]
    [True, False]
    """
    known = np.isfinite(rmsds)
    if not options.enable or np.count_nonzero(known) < _LEAST_SHOTS:
        return known
    # Tukey's fence, upwards only: small residuals are no fault
    low, high = np.percentile(rmsds[known], [25.0, 75.0])
    return known & (rmsds <= high + options.iqr_multiplier * (high - low))


def choose_reflections(packs: Sequence[ShotPack], predicted: Sequence[np.ndarray], allowed: Sequence[np.ndarray],
                       detector: Detector, outlier: Outlier, seed: int = 42) -> list[np.ndarray]:
    """Find the reflections that are no outliers.

    Parameters
    ----------
    packs : sequence of ShotPack
        All shots.
    predicted : sequence of (n, 3) arrays
        Predictions, pack by pack.
    allowed : sequence of (n,) arrays of bool
        The reflections that are looked at.
    detector : Detector
        For the size of its pixels.
    outlier : Outlier
        The rule.
    seed : int
        Of its random starts.

    Returns
    -------
    list of (n,) arrays of bool
    """
    use = [a & np.isfinite(p).all(axis=1) for a, p in zip(allowed, predicted, strict=True)]
    samples = []
    for pack, at, good in zip(packs, predicted, use, strict=True):
        residuals = at[good].copy()
        residuals[:, :2] -= pack.spots.xy[good]
        panel = pack.spots.panel[good]
        size = tuple(detector[0].pixel_size)
        if not outlier.separate_experiments:
            samples.append(Sample(residuals, np.zeros(len(panel)), panel, True, size))
            continue
        shot = np.repeat(np.arange(len(pack.shots)), np.diff(pack.spots.start))[good]
        samples += [Sample(residuals[shot == i], np.zeros(np.count_nonzero(shot == i)), panel[shot == i], True, size)
                    for i in range(len(pack.shots))]
    bad = np.concatenate(find_outliers(samples, outlier, seed) or [np.zeros(0, dtype=bool)])
    ends = np.cumsum([np.count_nonzero(good) for good in use])[:-1]
    for good, found in zip(use, np.split(bad, ends), strict=True):
        good[np.flatnonzero(good)[found]] = False
    return use


def drop_poor_shots(packs: Sequence[ShotPack], use: list[np.ndarray], n_own: Sequence[int], least: int) -> int:
    """Leave out the reflections of shots that have too few.

    Parameters
    ----------
    packs : sequence of ShotPack
        All shots.
    use : list of (n,) arrays of bool
        The reflections that count; changed.
    n_own : sequence of int
        Own parameters of each kind of shot.
    least : int
        A shot needs so many reflections, and as many coordinates (x, y, delta psi) for each of its parameters.

    Returns
    -------
    int
        Shots that had some reflections and are left out.
    """
    n_dropped = 0
    for pack, good in zip(packs, use, strict=True):
        shot = np.repeat(np.arange(len(pack.shots)), np.diff(pack.spots.start))
        n = np.bincount(shot[good], minlength=len(pack.shots))
        own = np.asarray(n_own)[pack.spots.kind]
        poor = (n < least) | (3 * n < least * own)
        n_dropped += int(np.count_nonzero(poor & (n > 0)))
        good &= ~poor[shot]
    return n_dropped
