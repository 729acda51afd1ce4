r"""Whether fitted intensities agree with summed ones: by resolution, intensity, place on the detector, and image.

A sum needs no profile, so that fits and sums differ where profiles are wrong. The ratio r of fits P to sums S of a
group of reflections solves

.. math::

    \sum w\,(P - r S) = 0, \qquad w = h \max(P, 0) / v, \qquad
    \mathrm{var}(r) = \frac{\sum w^2 (P - r S)^2}{(\sum w S)^2},

where v is about the variance of P - S, and h Huber's weight, 1 but for outliers. Fits and sums are of the same counts:
the error is therefore taken from the scatter of P - r S. Groups and weights may depend on P. The fit is the better
estimate, hence its error is independent of that of the difference (Hausman), and choosing by P shifts no ratio.
Choosing by S would.

References
----------
J. A. Hausman, Econometrica 46, 1251 (1978), doi:10.2307/1913827; P. J. Huber, Ann. Math. Statist. 35, 73 (1964),
doi:10.1214/aoms/1177703732.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from xdp.experiment import ExperimentList
from xdp.experiment.experiment import Experiment
from xdp.experiment.image_files import name_sweep
from xdp.integration.results.statistics import FULL_PARTIALITY
from xdp.logs import log_subject
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report, Table

log = logging.getLogger(__name__)

GROUP_SIZE = 100
"""Fewest reflections of a group. A choice: ratios of fewer are known to a few percent at best."""
MOST_GROUPS = 8
"""Groups by resolution, intensity and image, at most. A choice, as the nine places of a panel."""
SURE = 4.0
"""A group is off if its ratio differs by more standard deviations than this. About forty ratios are looked at: by
chance one is that far off in one of 400 data sets."""
RELEVANT = 0.03
"""A group is off if its ratio differs by more than this too. On rot_dev, where intensities agree with the truth, fits
are up to 2 % below sums at the finest resolution; with a mosaic of 0.17 degrees and one width for all 11 %."""
STEEP = 0.05
"""A line through the groups is off if it rises or falls by more than this from the first to the last, and by `SURE`
standard deviations. A choice; on rot_dev it falls by 0.9 % with resolution."""
_ADVICE = ("their shapes differ from the reference profiles, and sums are not concerned (see the table of fitted "
           "beside summed intensities)")
LEAST_SIGNAL = 2.0
"""Groups whose median intensity is less than so many standard deviations of the difference have no ratio. Hausman's
rule holds for linear estimates; in a simulation fits of no signal at all were 0.66 of sums, weighted by themselves."""
ROUNDS = 5
"""Rounds of reweighting. Ratios change by less than a tenth of their error after the third."""
HUBER = 4.0
"""Differences beyond so many standard deviations count less. A choice; neighbours and zingers make larger ones."""


class Intensities(NamedTuple):
    """Fitted and summed intensities of n reflections, and the variance of their difference, about."""

    fitted: np.ndarray
    summed: np.ndarray
    variance: np.ndarray

    def take(self, rows: np.ndarray) -> Intensities:
        """Take some of the reflections."""
        return Intensities(self.fitted[rows], self.summed[rows], self.variance[rows])


@dataclass(frozen=True)
class AgreementGroups:
    """Reflections in groups by one property.

    Attributes
    ----------
    name : str
        What they are grouped by.
    names : tuple of str
        What the log calls each group: ``1.80 to 2.04 Å``.
    label : (n,) int64
        Group of each reflection.
    is_ordered : bool
        Whether groups follow each other, so that neighbours that are off are named together.
    limits : tuple of (str, str)
        The ends of each group, for names of several together.
    """

    name: str
    names: tuple[str, ...]
    label: np.ndarray
    is_ordered: bool = True
    limits: tuple[tuple[str, str], ...] = ()


class Ratios(NamedTuple):
    """Ratio of fits to sums of each group, its standard deviation, and the number of reflections."""

    ratio: np.ndarray
    sigma: np.ndarray
    n: np.ndarray


def compare_intensities(given: Intensities) -> tuple[float, float]:
    """Compute the ratio of fitted to summed intensities, robustly, and its standard deviation.

    Parameters
    ----------
    given : Intensities

    Returns
    -------
    ratio, sigma : float
        1 and infinity where the sums say nothing.

    Examples
    --------
    >>> ratio, _ = compare_intensities(Intensities(np.array([90.0, 181.0]), np.array([100.0, 200.0]), np.ones(2)))
    >>> round(ratio, 2)
    0.9
    """
    fitted, summed, variance = given
    root, plain = np.sqrt(variance), np.maximum(fitted, 0.0) / variance
    ratio, weight, huber = 1.0, plain, np.ones(len(fitted))
    for _ in range(ROUNDS):
        weight = huber * plain
        # sums and no products of vectors, for which a library of linear algebra starts threads
        base = float((weight * summed).sum())
        if not base > 0.0:
            return 1.0, np.inf
        ratio = float((weight * fitted).sum()) / base
        # weights of the next round, by the scatter of this one
        pull = np.abs(fitted - ratio * summed) / root
        scale = 1.4826 * float(np.median(pull))
        huber = np.minimum(HUBER * max(scale, 1e-9) / np.maximum(pull, 1e-9), 1.0)
    miss = weight * (fitted - ratio * summed)
    return ratio, float(np.sqrt(np.square(miss).sum())) / float((weight * summed).sum())


def judge_fits(experiments: ExperimentList, table: ReflectionTable) -> Report:
    """Compare fitted with summed intensities, and warn where they differ.

    Parameters
    ----------
    experiments : ExperimentList
    table : ReflectionTable
        All reflections of an integration.

    Returns
    -------
    Report
        Table ``integration.agreement.summary``; empty where no profiles were fitted.

    Warns
    -----
    In the log, of each property in whose groups fits and sums differ, the most striking first. The others are looked at
    after what it explains is taken off.
    """
    if "intensity.prf.value" not in table or not table.flags(Flag.INTEGRATED_PRF).any():
        return Report()
    rows: list[tuple[str, ...]] = []
    for i, experiment in enumerate(experiments):
        part = table.select(find_comparable(table) & (table["id"] == i))
        with log_subject(name_sweep(experiments, i)):
            # two groups are the fewest that can differ
            if len(part) < 2 * GROUP_SIZE:
                log.info("Fitted and summed intensities are not compared: %d reflections are whole and have both, and "
                         "%d are needed", len(part), 2 * GROUP_SIZE)
                continue
            rows += _judge_experiment(i, experiment, part)
    columns = {"id": "ID", "by": "By", "group": "Group", "n": "#", "ratio": "Fit / sum", "sigma": "+-", "off": "Off"}
    if not rows:
        return Report()
    return Report((Table("integration.agreement.summary", "Fitted beside summed intensities", columns, tuple(rows)),))


def find_comparable(table: ReflectionTable) -> np.ndarray:
    """Find whole reflections with both intensities and a foreground that is theirs alone.

    Returns
    -------
    (n,) bool
    """
    good = table.flags(Flag.INTEGRATED_SUM) & table.flags(Flag.INTEGRATED_PRF) & ~table.any_flags(Flag.OVERLAPPED_FG)
    good &= (table["partiality"] >= FULL_PARTIALITY) & (table["intensity.prf.variance"] > 0.0)
    return good & np.isfinite(table["intensity.prf.value"]) & np.isfinite(table["intensity.sum.value"])


def _judge_experiment(number: int, experiment: Experiment, table: ReflectionTable) -> list[tuple[str, ...]]:
    """Compare the intensities of one experiment: rows of the table, and warnings in the log."""
    given = get_intensities(table)
    overall = compare_intensities(given)
    groupings = [grouping for grouping in _make_groupings(experiment, table) if len(grouping.names) > 1]
    first = {grouping.name: _compute_ratios(given, grouping) for grouping in groupings}
    is_off = _are_all_off(overall, first.values())
    base = overall[0] if is_off else 1.0
    if is_off:
        log.warning("Fitted intensities are %s summed ones, all together: %s", _describe_ratio(*overall), _ADVICE)
    rows: list[tuple[str, ...]] = [
        (str(number), "all", "", str(len(table)), *_write_ratio(*overall), "yes" if is_off else "")]
    for grouping in groupings:
        ratios = first[grouping.name]
        off = _find_off(ratios, base)
        rows += [(str(number), grouping.name, name, str(ratios.n[k]), *_write_ratio(ratios.ratio[k], ratios.sigma[k]),
                  "yes" if off[k] else "") for k, name in enumerate(grouping.names)]
        if grouping.is_ordered:
            change, sigma = _fit_line(ratios)
            rows.append((str(number), grouping.name, "first to last", str(len(table)), f"{change:+.3f}", f"{sigma:.3f}",
                         "yes" if _is_steep(change, sigma) else ""))
    # where all agree, the ratios of the table are those to look at first
    _warn(given._replace(fitted=given.fitted / base), groupings, None if is_off else first)
    return rows


def get_intensities(table: ReflectionTable) -> Intensities:
    """Get both intensities, with about the variance of their difference: most of it is the background's.

    Parameters
    ----------
    table : ReflectionTable
        Of comparable reflections, with ``background.mean`` and numbers of pixels.
    """
    fitted = np.asarray(table["intensity.prf.value"])
    n, n_used = table["num_pixels.foreground"], np.maximum(table["num_pixels.background_used"], 1)
    beneath = np.maximum(table["background.mean"], 0.0) * n * (1.0 + n / n_used)
    signal = np.maximum(fitted, 0.0)
    # from background and fit alone: a variance that knew the sum would give large sums less weight. Fits have about
    # half of the background's variance, and strong shapes scatter by some percent of the intensity
    return Intensities(fitted, np.asarray(table["intensity.sum.value"]),
                       1.0 + 0.5 * beneath + 0.05 * signal + np.square(0.03 * signal))


def _make_groupings(experiment: Experiment, table: ReflectionTable) -> list[AgreementGroups]:
    """Group reflections by resolution, I/sigma, place and image."""
    found = [_group_by("resolution", -table["d"], lambda low, high: (f"{-low:.2f}", f"{-high:.2f}"), " Å"),
             _group_by("I/sigma", table["intensity.prf.value"] / np.sqrt(table["intensity.prf.variance"]),
                       lambda low, high: (f"{low:.1f}", f"{high:.1f}")), _group_by_place(experiment, table)]
    if experiment.scan is not None:
        # whole images, counted from 1 as users count them
        frames = np.floor(table["xyzcal.px"][:, 2]).astype(np.int64) + 1
        found.append(_group_by("image", frames, lambda low, high: (f"{low}", f"{high}")))
    return found


def _group_by(name: str, values: np.ndarray, write: Callable[[float, float], tuple[str, str]],
              unit: str = "") -> AgreementGroups:
    """Make groups of equal size along a property; equal values stay together."""
    n_groups = int(np.clip(len(values) // GROUP_SIZE, 1, MOST_GROUPS))
    inner = np.unique(np.quantile(values, np.linspace(0.0, 1.0, n_groups + 1)[1:-1], method="lower"))
    label = np.searchsorted(inner, values, side="left")
    used, label = np.unique(label, return_inverse=True)
    limits = tuple(write(values[label == k].min(), values[label == k].max()) for k in range(len(used)))
    return AgreementGroups(name, tuple(f"{low} to {high}{unit}" for low, high in limits), label, True, limits)


def _group_by_place(experiment: Experiment, table: ReflectionTable) -> AgreementGroups:
    """Make groups by thirds of a panel along fast and slow, or of panels."""
    detector, xyz = experiment.known.detector, table["xyzcal.px"]
    # panels of a detector are places themselves
    if len(detector) > 1:
        return _group_panels(np.asarray(table["panel"], np.int64), len(detector))
    size = np.asarray(detector[0].image_size, float)
    third = np.clip((3.0 * xyz[:, :2] / size).astype(np.int64), 0, 2)
    label = 3 * third[:, 1] + third[:, 0]
    enough = np.flatnonzero(np.bincount(label, minlength=9) >= GROUP_SIZE)
    edges = np.rint(np.arange(4)[:, None] * size / 3.0).astype(int)
    fast, slow = ([f"{low} to {high}" for low, high in pairwise(edges[:, axis])] for axis in (0, 1))
    names = tuple(f"fast {fast[k % 3]}, slow {slow[k // 3]} px" for k in enough)
    place = np.full(9, -1)
    place[enough] = np.arange(len(enough))
    return AgreementGroups("place", names, place[label], False)


def _group_panels(panel: np.ndarray, n_panels: int) -> AgreementGroups:
    """Make groups of panels that follow each other, none of fewer than `GROUP_SIZE` reflections."""
    counts = np.bincount(panel, minlength=n_panels)
    wanted = max(GROUP_SIZE, len(panel) / 9.0)
    group, total, groups = 0, 0, np.zeros(n_panels, np.int64)
    for i, n in enumerate(counts):
        groups[i], total = group, total + n
        if total >= wanted and len(panel) - counts[:i + 1].sum() >= GROUP_SIZE:
            group, total = group + 1, 0
    members = [np.flatnonzero(groups == k) for k in range(group + 1)]
    names = tuple(f"panels {which[0]} to {which[-1]}" for which in members)
    return AgreementGroups("place", names, groups[panel], False)


def _compute_ratios(given: Intensities, grouping: AgreementGroups) -> Ratios:
    """Compute the ratio of each group."""
    members = [np.flatnonzero(grouping.label == k) for k in range(len(grouping.names))]
    found = np.array([compare_intensities(part) if _has_signal(part) else (1.0, np.inf)
                      for part in (given.take(rows) for rows in members)]).reshape(-1, 2)
    return Ratios(found[:, 0], found[:, 1], np.array([len(rows) for rows in members]))


def _has_signal(given: Intensities) -> bool:
    """Whether the usual reflection stands out of the noise of the difference."""
    return bool(np.median(given.fitted / np.sqrt(given.variance)) > LEAST_SIGNAL)


def _are_all_off(overall: tuple[float, float], found: Iterable[Ratios]) -> bool:
    """Whether all reflections are off, and not only some that outweigh the others: each well-known group is."""
    if not abs(overall[0] - 1.0) > max(RELEVANT, SURE * overall[1]):
        return False
    sign = np.sign(overall[0] - 1.0)
    return all(np.all((_find_off(ratios) & (np.sign(ratios.ratio - 1.0) == sign))[SURE * ratios.sigma < RELEVANT])
               for ratios in found)


def _find_off(ratios: Ratios, base: float = 1.0) -> np.ndarray:
    """Find the groups that differ from `base` by more than their errors and by more than matters."""
    difference = np.abs(ratios.ratio / base - 1.0)
    return (difference > SURE * ratios.sigma) & (difference > RELEVANT)


def _fit_line(ratios: Ratios) -> tuple[float, float]:
    """Fit a line to the ratios of groups in turn: the change from the first group to the last, and its error."""
    x, weight = np.linspace(-0.5, 0.5, len(ratios.ratio)), ratios.sigma ** -2.0
    x = x - weight @ x / max(float(weight.sum()), 1e-30)
    information = float(weight @ np.square(x))
    if not information > 0.0:  # no group says anything
        return 0.0, np.inf
    return float(weight @ (x * ratios.ratio)) / information, information ** -0.5


def _is_steep(change: float, sigma: float) -> bool:
    """Whether a line changes by more than its error and by more than matters."""
    return abs(change) > max(STEEP, SURE * sigma)


def _is_any_off(grouping: AgreementGroups, ratios: Ratios) -> bool:
    """Whether a property is to be named."""
    return bool(_find_off(ratios).any()) or (grouping.is_ordered and _is_steep(*_fit_line(ratios)))


def _warn(given: Intensities, groupings: Sequence[AgreementGroups], known: Mapping[str, Ratios] | None) -> None:
    """Warn of properties whose groups are off, the most striking first, each after those before are taken off.

    The ratios of `given` by name of the property are `known` where they have been computed already.
    """
    left = list(groupings)
    while left:
        ratios = [known[grouping.name] if known else _compute_ratios(given, grouping) for grouping in left]
        # the next round looks at what is left after this one
        known = None
        # what explains most: of a resolution that is off, weak reflections and the detector's edges are off too
        weight = [_sum_deviations(r) * _is_any_off(grouping, r) for grouping, r in zip(left, ratios, strict=True)]
        k = int(np.argmax(weight))
        if not weight[k] > 0.0:
            return
        grouping, found = left.pop(k), ratios[k]
        for text in _describe_groups(grouping, found):
            log.warning("Fitted intensities %s: %s", text, _ADVICE)
        # reflections in no group keep their fits
        factor = np.append(found.ratio, 1.0)[grouping.label]
        given = given._replace(fitted=given.fitted / factor)




def _describe_groups(grouping: AgreementGroups, found: Ratios) -> list[str]:
    """Describe the groups that are off; neighbours that are off in the same direction together."""
    off = np.flatnonzero(_find_off(found))
    runs: list[list[int]] = []
    for k in off:
        is_next = bool(runs) and grouping.is_ordered and k == runs[-1][-1] + 1
        if is_next and (found.ratio[k] > 1.0) == (found.ratio[k - 1] > 1.0):
            runs[-1].append(int(k))
        else:
            runs.append([int(k)])
    if not runs:
        change, sigma = _fit_line(found)
        verb = "fall" if change < 0.0 else "rise"
        return [f"{verb} by {100.0 * abs(change):.1f} +- {100.0 * sigma:.1f} % beside summed ones from "
                f"{grouping.name} {grouping.names[0]} to {grouping.names[-1]}"]
    return [f"are {_describe_ratio(*_average(found, run))} summed ones {_name_run(grouping, run)}"
            for run in runs]


def _average(found: Ratios, run: list[int]) -> tuple[float, float]:
    """Average the ratios of a run of groups by their errors."""
    weight = found.sigma[run] ** -2.0
    total = max(float(weight.sum()), 1e-30)  # groups without counts have an infinite error
    return float(weight @ found.ratio[run]) / total, total ** -0.5


def _sum_deviations(found: Ratios) -> float:
    """Sum the squares of the deviations of groups from their mean, in units of their errors."""
    return float(np.sum(np.square((found.ratio - _average(found, list(range(len(found.n))))[0]) / found.sigma)))


def _name_run(grouping: AgreementGroups, run: list[int]) -> str:
    """Name the groups of a run: ``beyond 2.10 Å``."""
    first, last = run[0], run[-1]
    if grouping.name == "resolution" and last == len(grouping.names) - 1:
        return f"beyond {grouping.limits[first][0]} Å"
    if not grouping.is_ordered:
        return f"at {grouping.names[first]}"
    low, high = grouping.limits[first][0], grouping.limits[last][1]
    return {"resolution": f"from {low} to {high} Å", "I/sigma": f"at I/sigma from {low} to {high}",
            "image": f"on images {low} to {high}"}[grouping.name]


def _describe_ratio(ratio: float, sigma: float) -> str:
    """Describe a ratio: ``12.0 +- 1.0 % below``."""
    return f"{100.0 * abs(ratio - 1.0):.1f} +- {100.0 * sigma:.1f} % {'below' if ratio < 1.0 else 'above'}"


def _write_ratio(ratio: float, sigma: float) -> tuple[str, str]:
    """Write a ratio and its error as cells."""
    return (f"{ratio:.3f}", f"{sigma:.3f}") if np.isfinite(sigma) else ("", "")
