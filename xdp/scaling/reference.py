"""Scales relative to merged intensities that are known: these become observations whose scale is 1.

They are first brought to the size of the data by one factor, which is taken out of the scales at the end. Their errors
have an error model of their own where each sweep has one: a reference that is not isomorphous counts for little.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.exporting.mtz import median_cell
from xdp.merging.unique import UniqueReflections, find_unique
from xdp.scaling._kernels_normal import ScaleDesign
from xdp.scaling.observations import ObservationGroups
from xdp.scaling.solve import ScaleFit
from xdp.symmetry.reference import MergedReference

_FEWEST = 30
"""Reflections in common. A choice: scale and B are then known to a few percent and a few square ångström."""
_SAME_LENGTH, _SAME_ANGLE = 0.05, 3.0
"""How far cells may differ, relative and in degrees. Crystals that differ by more have other intensities (Crick &
Magdoff, Acta Cryst. 9, 901 (1956): 0.5 % of each axis change those at 3 Å by 15 %)."""
_LEAST_CORRELATION = 0.3
"""Between intensities divided by their mean in shells, of reflections above 2 sigma. A choice: those of another crystal
or on other axes have one near 0, those of data with scales that differ twofold above 0.6."""


def append_reference(seen: ObservationGroups, reference: MergedReference, experiments: ExperimentList
                     ) -> tuple[ObservationGroups, float]:
    """Put the merged intensities of a reference with the observations, as another sweep.

    Parameters
    ----------
    seen : ObservationGroups
    reference : MergedReference
    experiments : ExperimentList
        With crystals of one space group.

    Returns
    -------
    ObservationGroups
        Those of the reference have row -1; they are the last of I(+) of their reflection.
    factor : float
        By which the intensities of the reference were multiplied.

    Raises
    ------
    XdpError
        If the reference has another cell, another point group, or intensities that have nothing to do with the data.
    """
    group, cell = experiments[0].known.crystal.space_group, median_cell(experiments)
    change = np.abs(np.subtract(reference.cell, cell))
    if np.any(change[:3] > _SAME_LENGTH * np.asarray(cell[:3])) or np.any(change[3:] > _SAME_ANGLE):
        mine, other = (" ".join(f"{v:.1f}" for v in c) for c in (cell, reference.cell))
        raise XdpError(f"reference: its cell {other} is not the {mine} of the data: it is of another crystal")
    if reference.group.point_group_hm() != group.point_group_hm():
        raise XdpError(f"reference: its space group {reference.group.xhm()} has another point group than the "
                       f"{group.xhm()} of the data: reindex one of them (xdp reindex, xdp symmetry reference=)")
    m = len(seen.unique)
    both = find_unique(group, np.concatenate([seen.unique.hkl, reference.hkl]))
    place = np.full(len(both), -1)
    place[both.group[:m]] = np.arange(m)
    of = place[both.group[m:]]
    common = np.flatnonzero((of >= 0) & np.isfinite(reference.intensity) & (reference.sigma > 0.0))
    if len(common) < _FEWEST:
        raise XdpError(f"reference: it has {len(common)} reflections in common with the data, of the {_FEWEST} that "
                       "scaling needs")
    of = of[common]
    mean = (np.bincount(seen.unique.group, seen.intensity, m) / np.bincount(seen.unique.group, minlength=m))[of]
    J, sigma = reference.intensity[common], reference.sigma[common]
    factor = float(mean.sum() / J.sum())
    d = seen.d[seen.start[:-1]][of]
    correlation = _correlate_in_shells(mean, J, d, 2.0 * sigma < J)
    if not factor > 0.0 or correlation < _LEAST_CORRELATION:
        raise XdpError(f"reference: its intensities have a correlation of {correlation:.2f} with the data: it is of "
                       "another crystal, or on other axes (xdp symmetry reference= brings the data to its axes)")
    n_sweeps = len(experiments)
    return _join(seen, of, (factor * J, np.square(factor * sigma), d), n_sweeps), factor


def remove_reference(seen: ObservationGroups, fit: ScaleFit, design: ScaleDesign, factor: float
                     ) -> tuple[ObservationGroups, ScaleFit, ScaleDesign]:
    """Take the reference out again, and bring the scales to its scale.

    Parameters
    ----------
    seen : ObservationGroups
        As of :func:`append_reference`.
    fit : ScaleFit
    design : ScaleDesign
    factor : float

    Returns
    -------
    ObservationGroups, ScaleFit, ScaleDesign
        Of the data.
    """
    mine = seen.row >= 0
    kept = _select(seen, np.flatnonzero(mine))
    p = fit.parameters.copy()
    for part in fit.model.parts:
        if part.kind == "scale":
            p[part.columns] += np.log(factor)
    damage = fit.damage
    if damage is not None:
        damage = replace(damage, dose=damage.dose[mine], freedom=damage.freedom[mine], slope=damage.slope / factor,
                         variance=damage.variance / factor**2, prior=damage.prior / factor**2)
    found = replace(fit, parameters=p, scale=fit.scale[mine] * factor, variance=fit.variance[mine], use=fit.use[mine],
                    damage=damage)
    return kept, found, ScaleDesign(*(part[mine] for part in design))


def _correlate_in_shells(x: np.ndarray, y: np.ndarray, d: np.ndarray, strong: np.ndarray) -> float:
    """The correlation of intensities that are divided by the means of ten shells; 1 where too few are strong."""
    if np.count_nonzero(strong) < _FEWEST:
        return 1.0
    x, y, d = x[strong], y[strong], d[strong]
    for shell in np.array_split(np.argsort(d, kind="stable"), min(10, len(d) // 20 + 1)):
        x[shell] /= max(float(x[shell].mean()), 1e-300)
        y[shell] /= max(float(y[shell].mean()), 1e-300)
    # ranks: a few strong reflections do not decide
    return float(np.corrcoef(np.argsort(np.argsort(x)), np.argsort(np.argsort(y)))[0, 1])


def _join(seen: ObservationGroups, of: np.ndarray, values: tuple[np.ndarray, np.ndarray, np.ndarray], sweep: int
          ) -> ObservationGroups:
    """Observations with those of a reference: their reflections, and intensities, variances and d."""
    n, u = len(of), seen.unique
    intensity, variance, d = values
    unique = UniqueReflections(u.hkl, np.append(u.group, of), np.append(u.is_minus, np.zeros(n, bool)), u.is_centric,
                               u.epsilon, u.is_absent)
    joined = ObservationGroups(
        np.append(seen.row, np.full(n, -1)), unique, seen.start, seen.start_apart, np.append(seen.intensity, intensity),
        np.append(seen.background_variance, variance), np.append(seen.counting, np.zeros(n)), np.append(seen.d, d),
        np.append(seen.sweep, np.full(n, sweep)))
    return _select(joined, np.lexsort((joined.row < 0, unique.is_minus, unique.group)))


def _select(seen: ObservationGroups, rows: np.ndarray) -> ObservationGroups:
    """Some of the observations, in the order of `rows`, which is that of their mates."""
    u = seen.unique
    unique = UniqueReflections(u.hkl, u.group[rows], u.is_minus[rows], u.is_centric, u.epsilon, u.is_absent)
    apart = 2 * unique.group + unique.is_minus
    return ObservationGroups(
        seen.row[rows], unique, np.searchsorted(unique.group, np.arange(len(unique) + 1)),
        np.append(np.flatnonzero(np.diff(apart, prepend=-1)), len(rows)), seen.intensity[rows],
        seen.background_variance[rows], seen.counting[rows], seen.d[rows], seen.sweep[rows])
