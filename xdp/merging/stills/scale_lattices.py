r"""Scales of lattices: :math:`y = p\,G\,\exp(-B / (2 d^2))\,J`, fitted to what all other lattices say of J.

Each lattice's ln G and B are found by weighted least squares against the merged intensities of the *others*, in turns
with merging. Merged intensities are combined with the mean of their shell before they are fitted to: what is left of
their errors does not make scales too small then. The mean of ln G and of B over the lattices is 0.

References
----------
W. Kabsch, Acta Cryst. D70, 2204 (2014), doi:10.1107/S1399004714013534; T. A. White et al., J. Appl. Cryst. 49, 680
(2016), doi:10.1107/S1600576716004751 (scales and B of stills against merged intensities).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.integration.partiality.reference import ReferenceIntensities
from xdp.merging.stills.error_model import StillsErrorModel
from xdp.merging.stills.full import ROBUST, FullMerge, LatticeGroups, merge_full
from xdp.merging.stills.observations import StillObservations
from xdp.merging.unique import UniqueReflections, find_unique
from xdp.space_groups import AnySpaceGroup

_CYCLES = 12
"""Of merging and fitting at most; they end when no scale changes by more than a thousandth."""
_SETTLED = 1e-3
_B_SPREAD = 10.0
"""Å²: how much B differs between lattices to begin with; then their own spread is taken."""
_LEAST_B_SPREAD = 0.5
"""Å²: spread of B that is allowed at least."""
_LONGEST_STEP = 1.5
"""Of ln G in a cycle: a lattice may begin far off."""


@dataclass(frozen=True)
class LatticeScales:
    """Scales of lattices, and the merged intensities that they go with.

    Attributes
    ----------
    log_scale, b_factor : (k,) float64
        ln G and B (Å²) of each lattice; 0 where it has no observations.
    full, counting, relative : (n,) float64
        Observations over partiality and scale, their variances by counting, and those relative to the intensity.
    shell : (n,) float64
        Mean intensity of reflections like each.
    unique : UniqueReflections
    groups : LatticeGroups
    merge : FullMerge
    """

    log_scale: np.ndarray
    b_factor: np.ndarray
    full: np.ndarray
    counting: np.ndarray
    relative: np.ndarray
    shell: np.ndarray
    unique: UniqueReflections
    groups: LatticeGroups
    merge: FullMerge


def scale_lattices(seen: StillObservations, group: AnySpaceGroup, a_star_metric: np.ndarray, n_lattices: int, *,
                   model: StillsErrorModel | None = None, scale: bool = True, use_b: bool = True,
                   reference: ReferenceIntensities | None = None,
                   start: tuple[np.ndarray, np.ndarray] | None = None) -> LatticeScales:
    """Scale lattices to their own merged intensities, or to a reference.

    Parameters
    ----------
    seen : StillObservations
    group : gemmi.SpaceGroup or UntabulatedGroup
    a_star_metric : (3, 3) float64
        1/Å².
    n_lattices : int
    model : StillsErrorModel, optional
        By default what counting and partialities say, and 10 % of the intensity.
    scale, use_b : bool
        False: ln G, or B, stays at 0.
    reference : ReferenceIntensities, optional
        Full intensities that are fitted to instead.
    start : two (n_lattices,) arrays, optional
        ln G and B to begin with.

    Returns
    -------
    LatticeScales
    """
    unique = find_unique(group, seen.hkl)
    groups = LatticeGroups.make(unique.group, seen.lattice, len(unique))
    model = model or StillsErrorModel(1.0, 0.0, 0.1)
    epsilon = unique.epsilon[unique.group].astype(np.float64)
    shells = _measure_shells(seen, group, a_star_metric) if reference is None else reference
    shell = np.exp(np.interp(seen.square, *shells.shells)) * epsilon
    log_scale, b = (np.zeros(n_lattices), np.zeros(n_lattices)) if start is None else (start[0].copy(), start[1].copy())
    if start is None and scale:
        log_scale = _measure_levels(seen, shell, n_lattices)
    spread_b = _B_SPREAD
    # a reference does not change from cycle to cycle
    fixed = None if reference is None else reference.expect(seen.hkl)
    for cycle in range(_CYCLES if scale else 1):
        merged = _merge_scaled(seen, log_scale, b, shell, groups, model)
        if not scale:
            break
        if reference is None and cycle:
            # scales have moved the level of the merged intensities
            used = np.isfinite(merged.mean)
            shells = ReferenceIntensities.build(group, a_star_metric, unique.hkl[used], merged.mean[used],
                                                merged.variance[used])
            shell = np.exp(np.interp(seen.square, *shells.shells)) * epsilon
        change = _fit_scales(seen, (log_scale, b), merged, shell, model, spread_b if use_b else 0.0, fixed)
        log_scale, b = log_scale + change[0], b + change[1]
        there = np.bincount(seen.lattice, minlength=n_lattices) > 0
        if reference is None:
            # one factor for all changes nothing: it is held so that cycles settle
            log_scale, b = (np.where(there, v - v[there].mean(), 0.0) for v in (log_scale, b))
        # the first steps of B are those of scales that are still off
        if use_b and cycle > 1:
            spread_b = float(np.clip(1.4826 * np.median(np.abs(b[there])), _LEAST_B_SPREAD, _B_SPREAD))
        if cycle > 2 and np.abs(change[0]).max(initial=0.0) < _SETTLED:
            break
    merged = _merge_scaled(seen, log_scale, b, shell, groups, model)
    full, counting, relative = compute_full_intensities(seen, log_scale, b, shell, model, merged)
    return LatticeScales(log_scale, b, full, counting, relative, shell, unique, groups, merged)


def compute_full_intensities(seen: StillObservations, log_scale: np.ndarray, b: np.ndarray, shell: np.ndarray,
                             model: StillsErrorModel, merged: FullMerge | None = None
                             ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute full intensities on the common scale, and their variances.

    Parameters
    ----------
    seen : StillObservations
    log_scale, b : (n_lattices,) float64
    shell : (n,) float64
        Mean intensity of reflections like each.
    model : StillsErrorModel
    merged : FullMerge, optional
        Says what the observations are expected to be; otherwise `shell` does.

    Returns
    -------
    full, counting, relative : (n,) float64
        As of :class:`LatticeScales`.
    """
    factor = seen.partiality * np.exp(log_scale[seen.lattice] - 0.5 * b[seen.lattice] * seen.square)
    expected = shell if merged is None else merged.expect(shell)[0]
    counting = seen.background / factor**2 + seen.counting * expected / factor
    return seen.value / factor, *model.compute_parts(counting, seen.relative, expected)


def _merge_scaled(seen: StillObservations, log_scale: np.ndarray, b: np.ndarray, shell: np.ndarray,
                  groups: LatticeGroups, model: StillsErrorModel) -> FullMerge:
    """Merge with the present scales; twice, since counting depends on what is expected."""
    merged = None
    for _ in range(2):
        full, counting, relative = compute_full_intensities(seen, log_scale, b, shell, model, merged)
        merged = merge_full(full, counting, relative, groups, shell)
    assert merged is not None
    return merged


def _measure_shells(seen: StillObservations, group: AnySpaceGroup, a_star_metric: np.ndarray) -> ReferenceIntensities:
    """The mean full intensity by resolution, all lattices weighted by how much they record."""
    weight = seen.partiality**2 / np.maximum(seen.background, 1e-12)
    return ReferenceIntensities.build(group, a_star_metric, seen.hkl, seen.value / seen.partiality, 1.0 / weight)


def _measure_levels(seen: StillObservations, shell: np.ndarray, n_lattices: int) -> np.ndarray:
    """ln G to begin with: the sum of what was recorded over the sum of what is expected on the average."""
    sums = np.bincount(seen.lattice, seen.value, n_lattices)
    expected = np.bincount(seen.lattice, seen.partiality * shell, n_lattices)
    there = expected > 0.0
    level = np.zeros(n_lattices)
    # a lattice whose sum is not above 0 is as weak as can be told
    level[there] = np.log(np.maximum(sums[there], 1e-2 * expected[there]) / expected[there])
    return np.where(there, level - level[there].mean(), 0.0)


def _fit_scales(seen: StillObservations, scales: tuple[np.ndarray, np.ndarray], merged: FullMerge, shell: np.ndarray,
                model: StillsErrorModel, spread_b: float, fixed: tuple[np.ndarray, np.ndarray] | None
                ) -> tuple[np.ndarray, np.ndarray]:
    """One step of weighted least squares of ln G and B of each lattice."""
    n = len(scales[0])
    full, counting, relative = compute_full_intensities(seen, *scales, shell, model, merged)
    expected, spread = merged.expect(shell) if fixed is None else fixed
    known = np.isfinite(spread)
    # where only the shell's mean is known, the reflection may be anything of Wilson's distribution
    variance = counting + (relative + np.where(known, spread, 1.0)) * expected**2
    residual = full - expected
    sigma = np.sqrt(variance)
    weight = np.minimum(1.0, ROBUST * sigma / np.maximum(np.abs(residual), 1e-300)) / variance
    # the derivatives by ln G and B are the expected intensity, and that times the lever
    lever = -0.5 * seen.square
    a11 = np.bincount(seen.lattice, weight * expected**2, n)
    a12 = np.bincount(seen.lattice, weight * expected**2 * lever, n)
    a22 = np.bincount(seen.lattice, weight * (expected * lever) ** 2, n)
    r1 = np.bincount(seen.lattice, weight * expected * residual, n)
    r2 = np.bincount(seen.lattice, weight * expected * residual * lever, n)
    if spread_b <= 0.0:
        alone = np.divide(r1, a11, out=np.zeros(n), where=a11 > 0.0)
        return np.clip(alone, -_LONGEST_STEP, _LONGEST_STEP), np.zeros(n)
    curvature = a22 + spread_b**-2.0
    slope = r2 - scales[1] / spread_b**2
    determinant = a11 * curvature - a12**2
    good = (a11 > 0.0) & (determinant > 1e-9 * a11 * curvature)
    safe = np.where(good, determinant, 1.0)
    step = np.where(good, (curvature * r1 - a12 * slope) / safe, 0.0)
    step_b = np.where(good, (a11 * slope - a12 * r1) / safe, 0.0)
    # both are shortened alike: they are correlated
    short = np.minimum(1.0, _LONGEST_STEP / np.maximum(np.abs(step), 1e-12))
    return short * step, short * step_b
