r"""Scatter of shapes: how far spots differ from their profile, estimated from the strong reflections.

The fit weighs pixels by :math:`v = b + (I + k^2 I^2) p` (see :mod:`xdp.integration.profiles.fit`), and needs
:math:`k^2`. Each reference reflection gives a contrast D between its fit and its sum, with the expectation 0 and the
variance :math:`V = V_0 + k^2 X` (see :mod:`xdp.integration.profiles.scatter._kernels_contrast`). The estimate is the
zero of the score

.. math::

    U(k^2) = \frac{1}{2} \sum \frac{X}{V} \Big( \min(D^2 / V, 25) - 1 \Big)
    + \frac{1}{k^2} - \frac{1}{k_0^2},

whose sum is that of the most likely value for normal D, with outliers cut at five standard deviations, and whose other
terms are those of a prior :math:`k^2 \exp(-k^2 / k_0^2)`. D and V are those of
the weights that the fit itself uses with this :math:`k^2`: the scatter counts as far as intensities see it. The part
:math:`\beta I` that the D of many reflections have in common is taken off before: it is no scatter but a wrong profile.

References
----------
P. J. Huber, Ann. Math. Statist. 35, 73 (1964), doi:10.1214/aoms/1177703732, on estimates that bear outliers;
J. E. Mosimann, Biometrika 49, 65 (1962), doi:10.1093/biomet/49.1-2.65, on the covariance of shapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xdp.integration.profiles.scatter._kernels_contrast import Contrasts, measure_contrasts
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report, Table

if TYPE_CHECKING:
    from xdp.integration.profiles.reference import ReferenceProfiles

USUAL = 0.005
"""k^2 that is expected before any reflection is seen, the mode of the prior. The prior is wide (nine tenths lie between
0.002 and 0.024), so that some hundred strong reflections outweigh it. A choice: simulated sets have 0 to 0.004."""
TRIALS = np.geomspace(1e-4, 0.32, 24)
"""Values of k^2 that are tried; between them the score is interpolated. Below the first shapes count as exact: at 10^4
counts, scatter then is as large as counting. Beyond the last the fit is a sum."""
CUT = 25.0
"""Squares of D in units of its variance are cut here, at five standard deviations, so that a spot with a zinger does
not decide. Shapes of Dirichlet's distribution with k^2 = 0.02 have long tails: cut at 3 standard deviations k^2 is
found 28 % too small, at 4 18 %, at 5 13 %, uncut 1 %."""
MOST_REFERENCES = 4000
"""Reflections of an experiment that are looked at: k^2 is then known to 10 % or better. A choice that bounds time."""
SHELL_SIZE = 200
"""Fewest reflections of a shell of resolution, and of a class of intensity. A choice: k^2 of fewer is mostly prior."""
MOST_SHELLS = 6
"""Shells and classes, at most. A choice."""
OFFSET_ROUNDS = 5
"""Rounds of reweighting for the common offset: changes are below a hundredth of its error after three."""
SURE = 4.0
"""Shells have values of their own if they differ by this many standard deviations, all together."""


@dataclass(frozen=True)
class ScatterGroup:
    """What some of the reflections say.

    Attributes
    ----------
    n : int
        Reflections.
    position : float
        Their median: 1/d^2 in Å⁻² of a shell, counts of a class of intensity.
    value, sigma : float
        k^2 and its standard deviation.
    pull : float
        By how many standard deviations the group differs from k^2 of all.
    offset : float
        By what part of the intensity fits exceed sums.
    """

    n: int
    position: float
    value: float
    sigma: float
    pull: float
    offset: float


@dataclass(frozen=True)
class ShapeScatter:
    """k^2 of an experiment's reflections.

    Attributes
    ----------
    value, sigma : float
        Of all, and the standard deviation.
    n : int
        Reflections that it was estimated from; 0: a value that was given or expected.
    shells, classes : tuple of ScatterGroup
        By resolution, rising in 1/d^2, and by intensity, rising.
    by_resolution : bool
        Whether shells differ so much that each has its own value.
    """

    value: float = USUAL
    sigma: float = USUAL
    n: int = 0
    shells: tuple[ScatterGroup, ...] = ()
    classes: tuple[ScatterGroup, ...] = ()
    by_resolution: bool = False

    def compute(self, s1: np.ndarray, s0: np.ndarray) -> np.ndarray:
        """Compute k^2 of reflections.

        Parameters
        ----------
        s1 : (n, 3) float64
            Diffracted wave vectors, Å⁻¹.
        s0 : (3,) float64
            The incident one.

        Returns
        -------
        (n,) float64
            Between the medians of shells interpolated in 1/d^2, beyond them as at the last one.

        Examples
        --------
        >>> ShapeScatter(0.002).compute(np.array([[0.0, 0.0, 1.0]]), np.array([0.0, 0.6, 0.8]))
        array([0.002])
        """
        if not self.by_resolution:
            return np.full(len(s1), self.value)
        x = np.square(s1 - s0).sum(axis=1)
        return np.interp(x, [shell.position for shell in self.shells], [shell.value for shell in self.shells])

    def describe(self) -> str:
        """Describe the estimate in one line for the log.

        Examples
        --------
        >>> ShapeScatter(0.0042, 0.0003, 2800).describe()
        'Shapes scatter with k^2 = 0.0042 +- 0.0003, from 2800 reflections'
        >>> ShapeScatter().describe()
        'Shapes are taken to scatter with k^2 = 0.0050'
        """
        if not self.n:
            return f"Shapes are taken to scatter with k^2 = {self.value:.4f}"
        text = f"Shapes scatter with k^2 = {self.value:.4f} +- {self.sigma:.4f}, from {self.n} reflections"
        if self.n < SHELL_SIZE:
            text += f" and the expectation of {USUAL}"
        if self.by_resolution:
            text += (f"; by resolution {self.shells[0].value:.4f} at {self.shells[0].position ** -0.5:.2f} Å to "
                     f"{self.shells[-1].value:.4f} at {self.shells[-1].position ** -0.5:.2f} Å")
        return text


def choose_scatter_sample(ids: np.ndarray, is_reference: np.ndarray) -> np.ndarray:
    """Choose the reflections that scatter is estimated from: of each experiment up to `MOST_REFERENCES`, evenly.

    Parameters
    ----------
    ids : (n,) int
        Experiment of each reflection.
    is_reference : (n,) bool
        Which may serve.

    Returns
    -------
    (n,) bool

    Examples
    --------
    >>> choose_scatter_sample(np.zeros(3, int), np.array([True, False, True]))
    array([ True, False,  True])
    """
    chosen = np.zeros(len(ids), bool)
    for i in np.unique(ids[is_reference]):
        rows = np.flatnonzero(is_reference & (ids == i))
        # evenly in the table, so that all frames and resolutions take part, whatever the blocks
        n = min(len(rows), MOST_REFERENCES)
        chosen[rows[np.arange(n) * len(rows) // max(n, 1)]] = True
    return chosen


def estimate_scatter(profiles: ReferenceProfiles, table: ReflectionTable, boxes: Shoeboxes,
                     n_used: np.ndarray) -> ShapeScatter:
    """Estimate k^2 from reference reflections.

    Parameters
    ----------
    profiles : ReferenceProfiles
        Of their experiment.
    table : ReflectionTable
        With ``s1`` and ``xyzcal.px``. The order of rows must not depend on blocks: sums are made in it.
    boxes : Shoeboxes
        Of the same reflections, with masks and backgrounds.
    n_used : (n,) int64
        Pixels that each background was made of.

    Returns
    -------
    ShapeScatter
        Without reflections that serve it is that of the expectation.
    """
    n, m = len(table), len(TRIALS)
    out = Contrasts(np.zeros(n), np.zeros((n, m)), np.zeros((n, m)), np.zeros((n, m)))
    if n:
        given = profiles.grid.describe(table, boxes)
        shapes = profiles.choose_shapes(given)
        given = profiles.place_to_fit(given, table, shapes.nearest)
        measure_contrasts(np.arange(n), n_used, given, shapes, TRIALS, out)
    x = np.square(table["s1"] - np.asarray(profiles.grid.experiment.beam.s0)).sum(axis=1) if n else np.zeros(0)
    return estimate_from_contrasts(out, x)


def estimate_from_contrasts(contrasts: Contrasts, x: np.ndarray) -> ShapeScatter:
    """Estimate k^2 of all reflections, of shells of resolution and of classes of intensity.

    Parameters
    ----------
    contrasts : Contrasts
        For the values in `TRIALS`.
    x : (n,) float64
        1/d^2 of each reflection, Å⁻².

    Returns
    -------
    ShapeScatter
    """
    use = np.flatnonzero((contrasts.intensity > 0.0) & np.all(contrasts.counting > 0.0, axis=1)
                         & np.all(np.isfinite(contrasts.difference), axis=1))
    if not len(use):
        return ShapeScatter()
    contrasts, x = Contrasts(*(array[use] for array in contrasts)), x[use]
    value, sigma = _find_zero(_remove_offset(contrasts)[0], USUAL)
    shells = _estimate_groups(contrasts, x, value)
    classes = _estimate_groups(contrasts, contrasts.intensity, value)
    return ShapeScatter(value, sigma, len(use), shells, classes, _differ(shells))


def _estimate_groups(contrasts: Contrasts, position: np.ndarray, value: float) -> tuple[ScatterGroup, ...]:
    """Estimate k^2 of groups of equal size along `position`, with that of all as the expectation."""
    n_groups = min(len(position) // SHELL_SIZE, MOST_SHELLS)
    if n_groups < 2:
        return ()
    # stable: equal positions keep the order of rows
    groups = np.array_split(np.argsort(position, kind="stable"), n_groups)
    nearest = int(np.argmin(np.abs(TRIALS - value)))
    found = []
    for group in groups:
        group = np.sort(group)
        part, offsets = _remove_offset(Contrasts(*(array[group] for array in contrasts)))
        own, sigma = _find_zero(part, value)
        found.append(ScatterGroup(len(group), float(np.median(position[group])), own, sigma, (own - value) / sigma,
                                  float(offsets[nearest])))
    return tuple(found)


def _remove_offset(contrasts: Contrasts) -> tuple[Contrasts, np.ndarray]:
    """Take the common part ``beta I`` off D, for each trial; gives beta (m,) too. That of few reflections is 0."""
    if len(contrasts.intensity) < SHELL_SIZE:
        return contrasts, np.zeros(len(TRIALS))
    signal, beta = contrasts.intensity[:, None], np.zeros(len(TRIALS))
    variance = contrasts.counting + USUAL * contrasts.shape
    for _ in range(OFFSET_ROUNDS):
        squares = np.square(contrasts.difference - beta * signal) / variance
        # the square root of what CUT leaves: Huber's weights
        weight = np.minimum(np.sqrt(CUT / np.maximum(squares, 1e-30)), 1.0) / variance
        beta = (weight * signal * contrasts.difference).sum(axis=0) / (weight * signal * signal).sum(axis=0)
    return contrasts._replace(difference=contrasts.difference - beta * signal), beta


def _differ(groups: tuple[ScatterGroup, ...]) -> bool:
    """Whether groups differ: chi^2 of their pulls is improbable at `SURE` standard deviations."""
    if len(groups) < 2:
        return False
    total = sum(group.pull ** 2 for group in groups)
    return _compute_chi_square_tail(total, len(groups) - 1) < math.erfc(SURE / math.sqrt(2.0))


def _compute_chi_square_tail(value: float, freedom: int) -> float:
    """Probability that chi^2 exceeds `value`, by Q(k + 2) = Q(k) + (x/2)^(k/2) exp(-x/2) / Gamma(k/2 + 1).

    That is 26.4.8 of Abramowitz & Stegun (1964). SciPy has it too, but its import takes a run 0.15 s.
    """
    half, k = 0.5 * value, 2 - freedom % 2
    if half <= 0.0:
        return 1.0
    tail = math.erfc(math.sqrt(half)) if k == 1 else math.exp(-half)
    for n in range(k, freedom, 2):
        tail += math.exp(0.5 * n * math.log(half) - half - math.lgamma(0.5 * n + 1.0))
    return tail


def _find_zero(contrasts: Contrasts, expected: float) -> tuple[float, float]:
    """Find k^2 at which the score with its prior is 0, and the standard deviation; the value lies within `TRIALS`."""
    scores, information = np.zeros(len(TRIALS)), np.zeros(len(TRIALS))
    for j, trial in enumerate(TRIALS):
        score, info = _compute_score(contrasts, j, trial)
        scores[j] = score + 1.0 / trial - 1.0 / expected
        information[j] = info + trial ** -2
    below = np.flatnonzero(scores < 0.0)
    j = int(below[0]) if len(below) else len(TRIALS) - 1
    if j == 0 or not len(below):
        return float(TRIALS[j]), float(information[j] ** -0.5)
    # the score times k^2 is nearly linear in log k^2
    high, low = scores[j] * TRIALS[j], scores[j - 1] * TRIALS[j - 1]
    part = low / (low - high)
    value = TRIALS[j - 1] * (TRIALS[j] / TRIALS[j - 1]) ** part
    return float(value), float((information[j - 1] + part * (information[j] - information[j - 1])) ** -0.5)


def _compute_score(contrasts: Contrasts, j: int, value: float) -> tuple[float, float]:
    """Compute the score of the reflections at k^2 = `value`, with the weights of trial `j`, and its variance."""
    shape = contrasts.shape[:, j]
    variance = contrasts.counting[:, j] + value * shape
    weight = shape / variance
    squares = np.minimum(np.square(contrasts.difference[:, j]) / variance, CUT)
    return 0.5 * float(np.sum(weight * (squares - 1.0))), 0.5 * float(np.sum(np.square(weight)))


def make_scatter_report(found: Mapping[int, ShapeScatter]) -> Report:
    """Make the table of the scatter of shapes.

    Parameters
    ----------
    found : mapping of int to ShapeScatter
        By experiment.

    Returns
    -------
    Report
        Table ``profile.scatter``: a row for all reflections of each experiment, each shell and each class.
    """
    columns = {"id": "ID", "group": "Reflections", "at": "At", "n": "#", "k2": "k^2", "sigma": "+-", "pull": "Pull",
               "offset": "Fit - sum"}
    rows: list[tuple[str, ...]] = []
    for i, scatter in found.items():
        rows.append((str(i), "all", "", str(scatter.n), f"{scatter.value:.4f}", f"{scatter.sigma:.4f}", "", ""))
        rows += [_list_group(i, "resolution", group, lambda x: f"{x ** -0.5:.2f} Å") for group in scatter.shells]
        rows += [_list_group(i, "intensity", group, lambda x: f"{x:.0f}") for group in scatter.classes]
    return Report((Table("profile.scatter", "Scatter of shapes about their profiles", columns, tuple(rows)),))


def _list_group(i: int, kind: str, group: ScatterGroup, write: Callable[[float], str]) -> tuple[str, ...]:
    """List the cells of a group."""
    return (str(i), kind, write(group.position), str(group.n), f"{group.value:.4f}", f"{group.sigma:.4f}",
            f"{group.pull:+.1f}", f"{100.0 * group.offset:+.1f} %")
