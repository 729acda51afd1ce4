"""Integrated tables without images, with all that scaling has to find, and the truth beside them.

The intensity of an observation is ``J k (1 + e)``, with J of Wilson statistics and a factor k of the illuminated
volume, of frames, of decay and of absorption; counts of it and of the background are drawn from Poisson's distribution.

References
----------
Wilson (1949). Acta Cryst. 2, 318-321, doi:10.1107/S0365110X49000813, for J; absorption is integrated over points in an
ellipsoid, after Busing & Levy (1957). Acta Cryst. 10, 180-182, doi:10.1107/S0365110X57000535.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.indexing.basis_change import parse_basis_change
from xdp.merging.unique import find_unique
from xdp.options.model import Options, option
from xdp.prediction.rays import make_goniometer_rotations
from xdp.prediction.reflections import predict_rotation
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.simulation.structures.traps import StructureOptions, draw_structure

_POINTS = 40  # in the crystal; the mean transmission of 40 differs from that of 4,000 by about 0.2 % for mu t of 1
_BACKGROUND_PIXELS = 3.0
"""Pixels that the background is estimated from, for each pixel of the foreground."""


class IntegratedOptions(Options):
    """What befalls the intensities of a simulated table."""

    d_min: float = option(2.0, "Resolution, Å.", gt=0)
    counts: float = option(100.0, "Mean counts of a reflection at low resolution, before any factor.", gt=0)
    background: float = option(40.0, "Counts of background under a reflection.", ge=0)
    wilson_b: float = option(15.0, "B factor of the true intensities, Å².", ge=0)
    bijvoet: float = option(0.02, "Mean relative difference of Friedel mates.", ge=0)
    volume: float = option(0.0, "Amplitude of the illuminated volume over a turn.", ge=0, lt=1)
    jitter: float = option(0.0, "Standard deviation of the factors of frames.", ge=0)
    decay: float = option(0.0, "B factor added by the end of each sweep, Å².", ge=0)
    attenuation: float = option(0.0, "Absorption coefficient times the longest half axis of the crystal.", ge=0)
    half_axes: tuple[float, float, float] = option(
        (0.25, 0.5, 1.0), "Half axes of the crystal, an ellipsoid, relative to the longest.")
    instrument: float = option(0.0, "Standard deviation of a relative error of each observation.", ge=0)
    outliers: float = option(0.0, "Part of the observations that get 10 to 100 sigmas more.", ge=0, le=1)
    structure: StructureOptions = option(
        StructureOptions(), "Twins, near-symmetry, pseudo-translations, anisotropy, choices of indexing.")


@dataclass(frozen=True)
class IntegratedTruth:
    """The truth of a simulated table, row by row.

    Attributes
    ----------
    intensity : (n,) float64
        J of the reflection, or of its mate where it is one.
    scale : (n,) float64
        k, without the errors of single observations.
    is_outlier : (n,) bool
    """

    intensity: np.ndarray
    scale: np.ndarray
    is_outlier: np.ndarray


def simulate_integrated(experiments: ExperimentList, options: IntegratedOptions | None = None, seed: int = 1
                        ) -> tuple[ReflectionTable, IntegratedTruth]:
    """Draw the integrated reflections of sweeps.

    Parameters
    ----------
    experiments : ExperimentList
        Sweeps of crystals with one space group.
    options : IntegratedOptions, optional
        What befalls the intensities.
    seed : int
        Of true intensities, factors and counts.

    Returns
    -------
    reflections : ReflectionTable
        With summed intensities as `xdp integrate` writes them; ``lp`` is 0.5.
    truth : IntegratedTruth

    Examples
    --------
    >>> from xdp.simulation.integrated import IntegratedOptions, simulate_integrated
    >>> from xdp.simulation.tables import make_integrated
    >>> table, truth = simulate_integrated(make_integrated()[0], IntegratedOptions(d_min=3.0))
    >>> len(table) == len(truth.intensity) > 0
    True
    """
    options, rng = options or IntegratedOptions(), np.random.default_rng(seed)
    tables, factors = [], []
    for number, experiment in enumerate(experiments):
        table = predict_rotation(experiment, d_min=options.d_min)
        columns = {**dict(table.items()), "id": np.full(len(table), number, np.int32)}
        tables.append(ReflectionTable(columns, identifiers={number: experiment.identifier}))
        factors.append(_draw_factors(experiment, table, options, rng))
    table, k = ReflectionTable.concatenate(tables), np.concatenate(factors)
    J = _draw_intensities(experiments[0], table, options, rng) if options.structure.is_plain() else (
        _draw_special(experiments[0], table, options, rng))
    observed = J * k * np.maximum(1.0 + options.instrument * rng.normal(size=len(k)), 0.0)
    foreground = rng.poisson(observed + options.background)
    behind = rng.poisson(_BACKGROUND_PIXELS * options.background, len(k)) / _BACKGROUND_PIXELS
    value = foreground - behind
    variance = np.maximum(foreground + behind / _BACKGROUND_PIXELS, 1.0)
    is_outlier = rng.random(len(k)) < options.outliers
    value = value + np.where(is_outlier, rng.uniform(10.0, 100.0, len(k)) * np.sqrt(variance), 0.0)
    lp = np.full(len(k), 0.5)  # not 1: it must matter whether it is applied
    found = table.with_columns(
        flags=table["flags"] | np.uint64(Flag.INTEGRATED_SUM), lp=lp, qe=np.ones(len(k)), partiality=np.ones(len(k)),
        partial_id=np.arange(len(k), dtype=np.uint64),
        **{"intensity.sum.value": value, "intensity.sum.variance": variance, "xyzobs.px.value": table["xyzcal.px"]})
    return found, IntegratedTruth(J * lp, k, is_outlier)


def _draw_intensities(experiment: Experiment, table: ReflectionTable, options: IntegratedOptions,
                      rng: np.random.Generator) -> np.ndarray:
    """True intensities: Wilson's distribution, falling off with resolution, mates somewhat apart."""
    crystal = experiment.known.crystal
    unique = find_unique(crystal.space_group, table["miller_index"])
    n = len(unique)
    # the mean square of normal numbers: two for acentric reflections, one for centric ones
    normal = np.square(rng.normal(size=(n, 2)))
    wilson = np.where(unique.is_centric, normal[:, 0], normal.mean(axis=1)) * unique.epsilon
    wilson[unique.is_absent] = 0.0
    difference = 0.5 * options.bijvoet * rng.normal(size=n) / np.sqrt(2.0 / np.pi)
    sign = np.where(unique.is_minus, -1.0, 1.0) * ~unique.is_centric[unique.group]
    # of the unique reflection, so that equivalents agree to the bit
    d = np.zeros(n)
    d[unique.group] = table["d"]
    true = options.counts * np.exp(-options.wilson_b / (2.0 * np.square(d))) * wilson
    return true[unique.group] * np.maximum(1.0 + sign * difference[unique.group], 0.0)


def _draw_special(experiment: Experiment, table: ReflectionTable, options: IntegratedOptions,
                  rng: np.random.Generator) -> np.ndarray:
    """True intensities of a structure that is more than its space group; mates do not differ."""
    crystal, structure = experiment.known.crystal, options.structure
    hkl, sweep = table["miller_index"].astype(np.int64), table["id"]
    for k, change in enumerate(structure.indexing):
        here = sweep == k
        hkl[here] = np.round(hkl[here] @ parse_basis_change(change).T)
    relative = draw_structure(crystal.space_group, hkl, structure, rng)
    for k in structure.strangers:
        here = sweep == k
        relative[here] = draw_structure(crystal.space_group, hkl[here], structure, rng)
    # exp(-2 B s^2) with s = 1/(2d), along each of the true reciprocal axes
    lengths = np.linalg.norm(crystal.B, axis=0)
    fall = np.square(hkl * lengths) @ np.asarray(structure.anisotropy) / 2.0
    return options.counts * np.exp(-options.wilson_b / (2.0 * np.square(table["d"])) - fall) * relative


def _draw_factors(experiment: Experiment, table: ReflectionTable, options: IntegratedOptions,
                  rng: np.random.Generator) -> np.ndarray:
    """The factors of a sweep's reflections."""
    scan = experiment.known.scan
    first, last = scan.array_range
    z = table["xyzcal.px"][:, 2]
    frame = np.clip(np.floor(z).astype(np.int64) - first, 0, last - first - 1)
    angle = np.deg2rad(scan.angle(z))
    k = 1.0 + options.volume * np.sin(angle + rng.uniform(0.0, 2.0 * np.pi))
    k *= np.maximum(1.0 + options.jitter * rng.normal(size=last - first), 0.0)[frame]
    k *= np.exp(-options.decay * (z - first) / (last - first) / (2.0 * np.square(table["d"])))
    if options.attenuation > 0.0:
        k *= _transmit(experiment, table["s1"], angle, options, rng)
    return k


def _transmit(experiment: Experiment, s1: np.ndarray, angle: np.ndarray, options: IntegratedOptions,
              rng: np.random.Generator) -> np.ndarray:
    """Mean transmission over points of an ellipsoid, relative to the mean over the reflections."""
    turns = make_goniometer_rotations(experiment.known.goniometer, angle)
    s0 = np.asarray(experiment.known.beam.s0)
    axes = np.asarray(options.half_axes) / max(options.half_axes)
    incident = np.einsum("nji,j->ni", turns, -s0 / np.linalg.norm(s0)) / axes
    diffracted = np.einsum("nji,nj->ni", turns, s1 / np.linalg.norm(s1, axis=1, keepdims=True)) / axes
    points = rng.normal(size=(_POINTS, 3))
    points *= (rng.random(_POINTS) ** (1.0 / 3.0) / np.linalg.norm(points, axis=1))[:, None]
    total = np.zeros(len(s1))
    for point in points:
        paths = np.zeros(len(s1))
        for direction in (incident, diffracted):
            # from the point to the surface: |p + t v| = 1 in coordinates in which the ellipsoid is a sphere
            square, middle = np.sum(direction * direction, axis=1), direction @ point
            paths += (np.sqrt(middle * middle - square * (point @ point - 1.0)) - middle) / square
        total += np.exp(-options.attenuation * paths)
    return total / total.mean()
