"""Integrated tables of simulated stills with truth: the input of merging, without images.

Partialities are sums over single mosaic domains and wavelengths (:mod:`xdp.simulation.mosaic_domains`); no formula that
is fitted later is used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from xdp.experiment.beam import Beam
from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import Detector
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.pixels import mm_to_px
from xdp.prediction.reflections import intersect_detector, predict_stills
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import draw_rotation, make_beam, make_crystal, make_detector
from xdp.simulation.mosaic_domains import DomainOptions, sum_domains
from xdp.simulation.structures.structure import draw_intensities

_REACH = 3.5
"""Standard deviations of the spread of lattice points within which reflections are predicted, as integration does."""


class StillPhysics(NamedTuple):
    """How simulated stills come about.

    Attributes
    ----------
    domains : DomainOptions
    d_min : float
        Å.
    photons : float
        Of a reflection of mean intensity and partiality 1 at low resolution, in a shot of mean strength.
    background : float
        Counts under a reflection.
    spread_scale, spread_b : float
        Standard deviations of the logarithms of the strengths of shots, and of their B, Å².
    wilson_b : float
        Å².
    misorientation : float
        Standard deviation of the error of orientations about each axis, degrees.
    strain : float
        Standard deviation of relative errors of cells.
    """

    domains: DomainOptions = DomainOptions(2.5e-4, 0.05, n_domains=256)
    d_min: float = 3.0
    photons: float = 400.0
    background: float = 30.0
    spread_scale: float = 0.5
    spread_b: float = 4.0
    wilson_b: float = 20.0
    misorientation: float = 0.004
    strain: float = 2e-4


@dataclass(frozen=True)
class StillTables:
    """Simulated stills.

    Attributes
    ----------
    experiments : ExperimentList
        A lattice each, with crystals a little off.
    reflections : ReflectionTable
        As integrated, all that were predicted, without partialities.
    true : tuple of Crystal
        The true crystals.
    partiality, intensity : (n,) float64
        True partiality, and true full intensity, of each reflection.
    log_scale, b_factor : (k,) float64
        True strengths of the lattices, and their B, Å².
    """

    experiments: ExperimentList
    reflections: ReflectionTable
    true: tuple[Crystal, ...]
    partiality: np.ndarray
    intensity: np.ndarray
    log_scale: np.ndarray
    b_factor: np.ndarray


def make_still_tables(n_lattices: int = 40, cell: tuple[float, ...] = (79.3, 79.3, 37.8, 90.0, 90.0, 90.0),
                      hall: str = " P 4nw 2abw", *, physics: StillPhysics | None = None, seed: int = 1,
                      structure: int = 1) -> StillTables:
    """Simulate integrated stills.

    Parameters
    ----------
    n_lattices : int
        Each is a shot of its own.
    cell : six float
        Å, degrees.
    hall : str
        Hall symbol.
    physics : StillPhysics, optional
    seed : int
        Of orientations, strengths and noise.
    structure : int
        Of the intensities.

    Returns
    -------
    StillTables

    Examples
    --------
    >>> made = make_still_tables(2, physics=StillPhysics(d_min=6.0, domains=DomainOptions(2.5e-4, 0.05, n_domains=16)))
    >>> len(made.experiments), sorted(set(made.reflections["id"].tolist()))
    (2, [0, 1])
    """
    physics = physics or StillPhysics()
    beam, detector = make_beam(1.3), make_detector((800, 800), distance=140.0, wavelength=1.3, gaps=False)
    rng = np.random.default_rng(seed)
    strengths = physics.spread_scale * rng.normal(size=n_lattices)
    b_factors = physics.spread_b * rng.normal(size=n_lattices)
    true, experiments, parts, partialities, intensities = [], [], [], [], []
    for k in range(n_lattices):
        crystal = make_crystal(cell, hall, orientation=draw_rotation(1000 * seed + k))
        known = _disturb(crystal, physics, rng)
        experiments.append(Experiment(f"shot-{k}", beam, detector, crystal=known))
        scale = physics.photons * np.exp(strengths[k])
        table, p, J = _draw_lattice(experiments[-1], crystal, (beam, detector), physics,
                                    (scale, float(b_factors[k])), structure, rng)
        table = table.with_columns(id=np.full(len(table), k, np.int32))
        table.identifiers = {k: f"shot-{k}"}
        parts.append(table)
        true.append(crystal)
        partialities.append(p)
        intensities.append(J)
    reflections = ReflectionTable.concatenate(parts)
    return StillTables(ExperimentList(experiments), reflections, tuple(true), np.concatenate(partialities),
                       np.concatenate(intensities), strengths, b_factors)


def _disturb(crystal: Crystal, physics: StillPhysics, rng: np.random.Generator) -> Crystal:
    """The crystal as indexing found it: turned, and its axes longer or shorter, by a little."""
    turn = Rotation.from_rotvec(np.deg2rad(physics.misorientation) * rng.normal(size=3)).as_matrix()
    longer = 1.0 + physics.strain * rng.normal()
    axes = longer * np.asarray(crystal.real_space_matrix) @ turn.T
    return replace(crystal, real_space_a=tuple(axes[0]), real_space_b=tuple(axes[1]), real_space_c=tuple(axes[2]))


def _draw_lattice(experiment: Experiment, true: Crystal, frame: tuple[Beam, Detector], physics: StillPhysics,
                  strength: tuple[float, float], structure: int, rng: np.random.Generator
                  ) -> tuple[ReflectionTable, np.ndarray, np.ndarray]:
    """The integrated reflections of a lattice, their true partialities and intensities."""
    domains = physics.domains
    largest = np.rad2deg(domains.point_size * 12.0 + 0.5 * domains.bandwidth * 2.6) + domains.eta
    table = predict_stills(experiment, physics.d_min, max_delta_psi=_REACH * largest)
    hkl = table["miller_index"]
    # as integration predicts: by the distance of the point from the sphere in terms of the widths
    q = hkl @ np.asarray(experiment.known.crystal.A).T
    square = np.square(q).sum(axis=1)
    distance = np.linalg.norm(q + frame[0].s0, axis=1) - 1.0 / frame[0].wavelength
    width = np.sqrt(domains.point_size**2 + np.deg2rad(domains.eta) ** 2 * square
                    + (0.5 * domains.bandwidth * frame[0].wavelength * square) ** 2)
    table = table.select(np.abs(distance) < _REACH * width)
    hkl = table["miller_index"]
    made = sum_domains(true, frame[0], hkl, domains)
    J = draw_intensities(true, hkl, wilson_b=physics.wilson_b, seed=structure)
    square = np.square(hkl @ np.asarray(true.A).T).sum(axis=1)
    expected = strength[0] * np.exp(-0.5 * strength[1] * square) * made.partiality * J
    counts = rng.poisson(expected + physics.background)
    n = len(table)
    table = table.with_columns(**{
        "intensity.sum.value": counts - physics.background, "intensity.sum.variance": np.maximum(counts, 1.0),
        "flags": np.full(n, int(Flag.INTEGRATED_SUM | Flag.PREDICTED), np.uint64), "lp": np.ones(n), "qe": np.ones(n)})
    return _place_spots(table, experiment, made.ray, rng), made.partiality, J


def _place_spots(table: ReflectionTable, experiment: Experiment, rays: np.ndarray, rng: np.random.Generator
                 ) -> ReflectionTable:
    """Observed centroids: where the mean ray of the domains meets the detector, with an error by counting."""
    detector = experiment.known.detector
    panel, xy_mm = intersect_detector(detector, rays)
    # where the mean ray misses the panel nothing was recorded, and the prediction stands
    good = panel == table["panel"].astype(np.int64)
    xy = np.array(table["xyzcal.px"][:, :2])
    xy[good] = mm_to_px(detector[0], xy_mm[good])
    error = 1.0 / np.sqrt(np.maximum(table["intensity.sum.value"], 4.0)) + 0.1
    xy = xy + error[:, None] * rng.normal(size=xy.shape)
    place = np.column_stack([xy, np.full(len(xy), 0.5)])
    return table.with_columns(**{"xyzobs.px.value": place,
                                 "xyzobs.px.variance": np.repeat(error[:, None] ** 2, 3, axis=1)})
