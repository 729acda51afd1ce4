"""Integrated intensities relative to their expected means, merged as far as no symmetry is needed for it.

The mean is modelled: it falls off with resolution, differently by direction, and every few degrees of a sweep have a
factor. Data need not be scaled. What is left of an intensity is E^2, with the mean 1.

References
----------
Popov & Bourenkov (2003). Acta Cryst. D59, 1145-1153, doi:10.1107/S0907444903008163, for anisotropic means; McCullagh &
Nelder (1989), Generalized Linear Models, section 2.5, for the fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.exporting.selection import correction_factor
from xdp.intensities.lattice import LatticeGroup
from xdp.intensities.normalised import INDEX_LIMIT, NormalisedIntensities, pack_indices
from xdp.options.model import AUTO
from xdp.reflections.table import ReflectionTable
from xdp.scaling.observations import choose_intensities, drop_unsound_rows, split_variance
from xdp.symmetry.options import SymmetryOptions

_MOST_ROWS = 1_000_000
"""So many observations decide, those of lowest resolution; a choice: hundreds of thousands leave no doubt."""
_FITTED_ROWS = 40_000
"""The model of the mean has some tens of parameters: more rows than this change it by less than a percent."""
_NODES = 12
"""Nodes of the mean over resolution; protein curves have a minimum at 6 Å and a maximum at 4 Å to follow."""
_DEGREES = 5.0
"""Between the nodes of the mean over a sweep, as in `xdp scale`."""
_ENOUGH = 4000
"""Unique reflections that are kept although their shells are weak."""
_SHELLS = 20
_PULL = 5.0
"""How many reflections' worth a B factor of 0 has, for sweeps of a few reflections. A choice."""
_FEW_SWEEPS = 4
"""Up to so many sweeps have a mean of their own for every five degrees; of more each has a scale and a B factor."""


@dataclass(frozen=True)
class IntensityRows:
    """Single observations that are looked at.

    Attributes
    ----------
    hkl : (n, 3) int64
        On the axes of the lattice group.
    intensity, background, counting : (n,) float64
        Corrected; the variance is ``background + counting I``.
    d, z : (n,) float64
        Å, and degrees of rotation from the begin of the sweep.
    sweep : (n,) int64
        The experiment.
    """

    hkl: np.ndarray
    intensity: np.ndarray
    background: np.ndarray
    counting: np.ndarray
    d: np.ndarray
    z: np.ndarray
    sweep: np.ndarray

    def __len__(self) -> int:
        return len(self.d)

    def select(self, rows: np.ndarray) -> IntensityRows:
        """Keep some of the rows, by number or truth value."""
        return IntensityRows(self.hkl[rows], self.intensity[rows], self.background[rows], self.counting[rows],
                             self.d[rows], self.z[rows], self.sweep[rows])


def gather_rows(experiments: ExperimentList, table: ReflectionTable, lattice: LatticeGroup, options: SymmetryOptions,
                changes: Sequence[np.ndarray | None] | None = None) -> IntensityRows:
    """Choose the observations that are looked at.

    Parameters
    ----------
    experiments : ExperimentList
        Crystals on one choice of axes.
    table : ReflectionTable
        Integrated reflections.
    lattice : LatticeGroup
        Says on which axes the indices are.
    options : SymmetryOptions
        Limits of resolution and partiality.
    changes : sequence of (3, 3) or None, optional
        For each experiment the lattice's axes in terms of its crystal's; None: it is left out. By default that of the
        lattice for all.

    Returns
    -------
    IntensityRows

    Raises
    ------
    XdpError
        If nothing is left.
    """
    table = drop_unsound_rows(table)
    intensity, variance = choose_intensities(table, "profile")
    factor = correction_factor(table)
    hkl = _change_indices(table, [lattice.from_input] * len(experiments) if changes is None else changes)
    q = np.linalg.norm(hkl @ np.linalg.inv(lattice.basis).T, axis=1)
    with np.errstate(invalid="ignore"):
        good = (variance > 0.0) & np.isfinite(intensity) & np.isfinite(factor) & (factor > 0.0)
        good &= (q > 0.0) & (table["id"] >= 0) & (np.abs(hkl).max(axis=1, initial=0) < INDEX_LIMIT)
        good &= table.get("partiality", np.ones(len(table))) >= options.partiality_threshold
    if isinstance(options.d_min, float) and options.d_min > 0.0:
        good &= q <= 1.0 / options.d_min
    rows = np.flatnonzero(good)
    if not len(rows):
        raise XdpError(f"symmetry: none of {len(table)} reflections can be used: they are not integrated, or d_min "
                       "leaves none")
    if len(rows) > _MOST_ROWS:
        rows = rows[np.sort(np.argsort(q[rows], kind="stable")[:_MOST_ROWS])]
    f, d = factor[rows], 1.0 / q[rows]
    background, counting = split_variance(intensity[rows], variance[rows], d)
    z = _find_angles(experiments, table, rows)
    return IntensityRows(hkl[rows], intensity[rows] * f, background * f * f, counting * f, d, z,
                         np.asarray(table["id"])[rows].astype(np.int64))


def _change_indices(table: ReflectionTable, changes: Sequence[np.ndarray | None]) -> np.ndarray:
    """Indices on the axes of the lattice; zeros for reflections of experiments that are left out."""
    hkl, sweep = np.zeros((len(table), 3), np.int64), np.asarray(table["id"])
    indices = np.asarray(table["miller_index"])
    for k, change in enumerate(changes):
        if change is not None:
            here = sweep == k
            hkl[here] = np.round(indices[here] @ change.T).astype(np.int64)
    return hkl


def _find_angles(experiments: ExperimentList, table: ReflectionTable, rows: np.ndarray) -> np.ndarray:
    """Degrees from the begin of each sweep; 0 for stills."""
    frame, sweep = np.asarray(table["xyzcal.px"])[rows, 2], np.asarray(table["id"])[rows]
    widths = np.array([0.0 if e.scan is None else e.scan.oscillation[1] for e in experiments])
    starts = np.array([0.0 if e.scan is None else float(e.scan.array_range[0]) for e in experiments])
    return (frame - starts[sweep]) * widths[sweep]


def normalise_rows(rows: IntensityRows, lattice: LatticeGroup, options: SymmetryOptions) -> np.ndarray:
    """Find the expected mean intensity of each observation.

    The logarithm of the mean is a sum of hat functions of 1/d^2, a symmetric tensor of the direction, and hat functions
    of the rotation angle; it is fitted by iteratively reweighted least squares, whose weights add Wilson's spread and
    the measurement's.

    Parameters
    ----------
    rows : IntensityRows
    lattice : LatticeGroup
    options : SymmetryOptions
        ``normalisation``: only ml_aniso has the tensor.

    Returns
    -------
    (n,) float64
    """
    step = max(1, len(rows) // _FITTED_ROWS)
    fitted = rows.select(np.arange(0, len(rows), step))
    # of all rows, so that none is beyond the last node
    model = _place_nodes(rows, fitted, lattice, options.normalisation == "ml_aniso")
    X, observed = model.build_design(fitted), fitted.intensity
    background, counting = fitted.background, fitted.counting
    beta = np.zeros(X.shape[1])
    beta[:_NODES] = np.log(max(float(np.mean(observed)), 1e-3 * float(np.mean(np.abs(observed))), 1e-300))
    # a weak pull to no effect: narrow wedges leave directions and angles undetermined
    pull = np.full(X.shape[1], 1e-6 * len(observed))
    pull[_NODES:] = 1e-3 * len(observed) + 1.0
    pull[:_NODES] = 0.01
    start = beta.copy()
    for _ in range(12):
        mean = np.exp(np.clip(X @ beta, -60.0, 60.0))
        weight = mean**2 / (mean**2 + background + counting * mean)
        # a step of the logarithm is kept below 1.5: observations may be far below zero
        response = np.clip((observed - mean) / mean, -1.5, 20.0)
        gradient = X.T @ (weight * response) - pull * (beta - start)
        normal = (X.T @ sparse.diags(weight) @ X).toarray()
        step_of_beta = np.linalg.solve(normal + np.diag(pull), gradient)
        step_of_beta *= min(1.0, 1.5 / max(np.abs(step_of_beta).max(), 1e-12))
        beta += step_of_beta
        if np.abs(step_of_beta).max() < 1e-4:
            break
    return np.exp(np.clip(model.evaluate(rows, beta), -60.0, 60.0))


def normalise_sets(rows: IntensityRows, lattice: LatticeGroup, options: SymmetryOptions) -> np.ndarray:
    """Find the expected mean intensity of each observation of many short sweeps.

    All have one dependence on resolution and direction; each has a scale and a B factor.

    Parameters
    ----------
    rows : IntensityRows
    lattice : LatticeGroup
    options : SymmetryOptions

    Returns
    -------
    (n,) float64
    """
    sweeps, number = np.unique(rows.sweep, return_inverse=True)
    if len(sweeps) <= _FEW_SWEEPS:
        return normalise_rows(rows, lattice, options)
    factor = np.ones(len(rows))
    one = replace(rows, z=np.zeros(len(rows)), sweep=np.zeros(len(rows), np.int64))
    for _ in range(2):
        # as if all sweeps had one scale; the second time that is nearly so
        even = replace(one, intensity=rows.intensity / factor, background=rows.background / factor**2,
                       counting=rows.counting / factor)
        mean = normalise_rows(even, lattice, options)
        factor = _fit_sweeps(rows, mean, number, len(sweeps))
    return mean * factor


def _fit_sweeps(rows: IntensityRows, mean: np.ndarray, number: np.ndarray, n: int) -> np.ndarray:
    """The factor exp(a + b x) of each observation's sweep, x = 1/d^2 less its mean, to a mean intensity."""
    x = 1.0 / np.square(rows.d)
    x = (x - x.mean()) / max(float(x.std()), 1e-12)
    a = np.log(np.maximum(np.bincount(number, rows.intensity / mean, n) / np.bincount(number, minlength=n), 1e-3))
    b = np.zeros(n)
    # Newton's steps for all sweeps at once
    for _ in range(10):
        expected = mean * np.exp(np.clip(a[number] + b[number] * x, -30.0, 30.0))
        weight = expected**2 / (expected**2 + rows.background + rows.counting * expected)
        response = np.clip((rows.intensity - expected) / expected, -1.5, 20.0)
        # a weak pull to no B factor: sets may have a few reflections only
        s0 = np.bincount(number, weight, n) + 1e-6
        s1, s2 = np.bincount(number, weight * x, n), np.bincount(number, weight * x * x, n) + _PULL
        g0, g1 = np.bincount(number, weight * response, n), np.bincount(number, weight * response * x, n) - _PULL * b
        determinant = s0 * s2 - s1 * s1
        a = a + np.clip((s2 * g0 - s1 * g1) / determinant, -1.0, 1.0)
        b = np.clip(b + np.clip((s0 * g1 - s1 * g0) / determinant, -0.5, 0.5), -4.0, 4.0)
    return np.exp(np.clip(a[number] + b[number] * x, -30.0, 30.0))


@dataclass(frozen=True)
class _MeanModel:
    """The terms of the logarithm of the mean: nodes over 1/d^2, a tensor of the direction, nodes over each sweep."""

    resolution: np.ndarray
    to_direction: np.ndarray | None
    angles: dict[int, np.ndarray]

    def build_design(self, rows: IntensityRows) -> sparse.csr_matrix:
        """The columns of the model, a row for each observation."""
        parts = [_make_hats(1.0 / np.square(rows.d), self.resolution)]
        if self.to_direction is not None:
            parts.append(sparse.csr_matrix(self._list_directions(rows)))
        for sweep, nodes in self.angles.items():
            # rows of other sweeps are zero
            here = (rows.sweep == sweep).astype(np.float64)
            parts.append(sparse.diags(here) @ _make_hats(rows.z, nodes))
        return sparse.csr_matrix(sparse.hstack(parts, format="csr"))

    def evaluate(self, rows: IntensityRows, beta: np.ndarray) -> np.ndarray:
        """The product of the columns and the parameters, without the columns."""
        # hat functions times parameters are linear interpolation between these
        value = np.interp(1.0 / np.square(rows.d), self.resolution, beta[:_NODES])
        place = _NODES
        if self.to_direction is not None:
            value += self._list_directions(rows) @ beta[place:place + 5]
            place += 5
        for sweep, nodes in self.angles.items():
            here = slice(None) if len(self.angles) == 1 else np.flatnonzero(rows.sweep == sweep)
            value[here] += np.interp(rows.z[here], nodes, beta[place:place + len(nodes)])
            place += len(nodes)
        return value

    def _list_directions(self, rows: IntensityRows) -> np.ndarray:
        """The five components of a traceless symmetric tensor."""
        x, y, z = (rows.hkl @ self.to_direction).T
        return np.stack([x * x - z * z, y * y - z * z, x * y, x * z, y * z], axis=1)


def _place_nodes(rows: IntensityRows, fitted: IntensityRows, lattice: LatticeGroup, anisotropic: bool) -> _MeanModel:
    """The model of the mean for given observations."""
    # nodes at equal numbers of reflections
    nodes = np.quantile(1.0 / np.square(fitted.d), np.linspace(0.0, 1.0, _NODES)) + 1e-9 * np.arange(_NODES)
    # directions are scaled to 1 at the resolution limit, as the pull on parameters wants
    longest = 1.0 / float(rows.d.min())
    angles = {}
    for sweep in np.unique(rows.sweep):
        z = rows.z if len(rows) == np.count_nonzero(rows.sweep == sweep) else rows.z[rows.sweep == sweep]
        span = max(float(np.ptp(z)), 1e-6)
        angles[int(sweep)] = z.min() + np.linspace(0.0, span, max(1, round(span / _DEGREES)) + 1)
    return _MeanModel(nodes, np.linalg.inv(lattice.basis).T / longest if anisotropic else None, angles)


def _make_hats(x: np.ndarray, nodes: np.ndarray) -> sparse.csr_matrix:
    """Linear interpolation between nodes, as a matrix (n, n_nodes) with two numbers in each row."""
    left = np.clip(np.searchsorted(nodes, x, side="right") - 1, 0, len(nodes) - 2)
    part = np.clip((x - nodes[left]) / (nodes[left + 1] - nodes[left]), 0.0, 1.0)
    values, columns = np.stack([1.0 - part, part], axis=1), np.stack([left, left + 1], axis=1)
    return sparse.csr_matrix((values.ravel(), columns.ravel(), np.arange(len(x) + 1) * 2), (len(x), len(nodes)))


def merge_rows(rows: IntensityRows, mean: np.ndarray, options: SymmetryOptions) -> NormalisedIntensities:
    """Normalise observations, merge those of one reflection and of its mate, and leave out weak shells.

    Parameters
    ----------
    rows : IntensityRows
    mean : (n,) float64
        Expected intensities.
    options : SymmetryOptions
        Limits of the shells that are used where d_min is Auto.

    Returns
    -------
    NormalisedIntensities
    """
    return limit_resolution(*merge_all_rows(rows, mean), options)


def merge_all_rows(rows: IntensityRows, mean: np.ndarray) -> tuple[NormalisedIntensities, np.ndarray]:
    """Normalise observations, and merge those of one reflection and of its mate.

    Parameters
    ----------
    rows : IntensityRows
    mean : (n,) float64
        Expected intensities.

    Returns
    -------
    merged : NormalisedIntensities
    d_of_pairs : (m,) float64
        Å, of its repeated observations.
    """
    e2, background, counting = rows.intensity / mean, rows.background / mean**2, rows.counting / mean
    key, is_mate = pack_indices(rows.hkl)
    order = np.argsort(key, kind="stable")
    unique, start = np.unique(key[order], return_index=True)
    weight = (1.0 / (background + counting))[order]  # the variance that is expected at the mean intensity
    total = np.add.reduceat(weight, start)
    mean_of = lambda values, power: np.add.reduceat(weight**power * values[order], start) / total**power  # noqa: E731
    hkl = np.where(is_mate[:, None], -rows.hkl, rows.hkl)[order][start]
    repeated = start[np.diff(np.append(start, len(order))) > 1]
    one, two = order[repeated], order[repeated + 1]
    pairs = np.stack([e2[one], e2[two], background[one], background[two], counting[one], counting[two]], axis=1)
    merged = NormalisedIntensities(hkl, unique, mean_of(e2, 1), mean_of(background, 2), mean_of(counting, 2),
                                   rows.d[order][start], pairs, len(rows), float(rows.d.min()))
    return merged, rows.d[one]


def limit_resolution(merged: NormalisedIntensities, d_of_pairs: np.ndarray, options: SymmetryOptions
                     ) -> NormalisedIntensities:
    """Leave out shells at high resolution that are too weak to say anything, where d_min is Auto.

    Parameters
    ----------
    merged : NormalisedIntensities
    d_of_pairs : (m,) float64
        Å, of its repeated observations.
    options : SymmetryOptions

    Returns
    -------
    NormalisedIntensities
    """
    if options.d_min is not AUTO:
        return merged
    order = np.argsort(-merged.d, kind="stable")
    shells = np.array_split(order, _SHELLS)
    least = options.min_i_mean_over_sigma_mean or 0.0
    # E^2 has the mean 1, so that 1 over the mean sigma is <I> over <sigma>
    strong = [len(s) > 0 and 1.0 / np.mean(np.sqrt((merged.background + merged.counting)[s])) >= least for s in shells]
    n_good = strong.index(False) if False in strong else len(shells)
    n_kept = max(sum(len(s) for s in shells[:n_good]), min(_ENOUGH, len(order)))
    rows = np.sort(order[:n_kept])
    d_min = float(merged.d[rows].min())
    return NormalisedIntensities(
        merged.hkl[rows], merged.key[rows], merged.e2[rows], merged.background[rows], merged.counting[rows],
        merged.d[rows], merged.repeats[d_of_pairs >= d_min - 1e-9], merged.n_rows, d_min)
