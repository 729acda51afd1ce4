"""Simulated data sets for reports: a clean one, and each fault planted in it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

import xdp
from xdp.experiment.experiment import ExperimentList
from xdp.experiment.pixels import mm_to_px
from xdp.indexing.geometry import shift_sweeps
from xdp.reflections.table import ReflectionTable
from xdp.simulation import make_integrated, make_spots
from xdp.simulation.models import make_crystal
from xdp.simulation.spot_lists import simulate_spot_list


@cache
def make_clean(seed: int = 1) -> tuple[ExperimentList, ReflectionTable]:
    """A sweep of 60 frames with 1,500 spots."""
    return make_spots(60, 1500, seed)


@cache
def make_indexed() -> tuple[ExperimentList, ReflectionTable]:
    """Its spots with indices and predictions."""
    found = xdp.index(*make_clean(), space_group="P43212")
    return found.experiments, found.reflections


@cache
def make_strong_integrated() -> tuple[ExperimentList, ReflectionTable]:
    """Integrated reflections."""
    return make_integrated(20)


def append_spots(table: ReflectionTable, xyz: np.ndarray) -> ReflectionTable:
    """A table with more spots, without indices, at the given pixels and frames."""
    rows = table.select(np.arange(len(xyz)) % len(table))
    low = np.floor(xyz).astype(np.int32)
    columns = {"xyzobs.px.value": xyz, "bbox": np.stack([low[:, 0], low[:, 0] + 2, low[:, 1], low[:, 1] + 2, low[:, 2],
                                                         low[:, 2] + 1], axis=1)}
    for name in ("miller_index", "rlp"):
        if name in table:
            columns[name] = np.zeros_like(rows[name])
    return ReflectionTable.concatenate([table, rows.with_columns(**columns)])


def plant_ice(experiments: ExperimentList, table: ReflectionTable, n: int = 150, ring: float = 3.669, seed: int = 1
              ) -> ReflectionTable:
    """More spots on a ring of ice."""
    rng, first = np.random.default_rng(seed), experiments[0]
    theta = np.arcsin(first.beam.wavelength / (2 * ring)) + rng.normal(0, 1e-4, n)
    around = rng.uniform(0, 2 * np.pi, n)
    panel = first.detector[0]
    s1 = np.stack([np.sin(2 * theta) * np.cos(around), np.sin(2 * theta) * np.sin(around),
                   -np.sign(first.beam.unit_s0[2] * -1) * np.cos(2 * theta)], axis=1)
    d = first.detector.d_matrix(0)
    hit = s1 @ np.linalg.inv(d).T
    px = mm_to_px(panel, hit[:, :2] / hit[:, 2:])
    inside = ((px > 0) & (px < np.array(panel.image_size))).all(axis=1)
    z = rng.uniform(0, first.scan.n_frames, n)
    return append_spots(table, np.column_stack([px, z])[inside])


def plant_blank(table: ReflectionTable, first: int = 20, last: int = 34) -> ReflectionTable:
    """No spots on some frames."""
    z = table["xyzobs.px.value"][:, 2]
    return table.select(np.flatnonzero((z < first) | (z >= last)))


def plant_hot_pixel(table: ReflectionTable, n: int = 12) -> ReflectionTable:
    """A pixel that makes a spot on every fifth frame."""
    z = np.arange(n) * 5.0 + 0.5
    return append_spots(table, np.column_stack([np.full(n, 100.5), np.full(n, 80.5), z]))


def plant_beam_shift(experiments: ExperimentList, mm: tuple[float, float] = (1.5, -1.0)) -> ExperimentList:
    """The detector away from where it was."""
    return shift_sweeps(experiments, mm)


def plant_second_lattice(experiments: ExperimentList, table: ReflectionTable, n: int = 700) -> ReflectionTable:
    """The spots of another crystal, without indices."""
    other = replace(experiments[0], crystal=make_crystal(orientation=77))
    spots = simulate_spot_list([other], np.random.default_rng(5), n_spots=n).table
    return append_spots(table, spots["xyzobs.px.value"])


def plant_drift(experiments: ExperimentList, change: float = 0.006) -> ExperimentList:
    """Crystals whose a grows along the scan by a part of itself."""
    drifting = []
    for experiment in experiments:
        A = experiment.crystal.A
        parts = np.linspace(0, 1, experiment.scan.n_frames + 1)
        points = [A @ np.diag([1 / (1 + change * f), 1.0, 1.0]) for f in parts]
        crystal = replace(experiment.crystal, A_at_scan_points=tuple(tuple(point.ravel()) for point in points))
        drifting.append(replace(experiment, crystal=crystal))
    return ExperimentList(drifting)
