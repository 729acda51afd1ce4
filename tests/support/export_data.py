"""Experiments and integrated tables to export."""

from __future__ import annotations

import numpy as np

from xdp.experiment import Experiment, ExperimentList
from xdp.reflections import Flag, ReflectionTable
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan


def make_sweeps(n: int = 1, **crystal) -> ExperimentList:
    """Experiments of ten frames each, their crystals turned differently."""
    return ExperimentList([
        Experiment(identifier=f"e{i}", beam=make_beam(), detector=make_detector(), goniometer=make_goniometer(),
                   scan=make_scan(10, 0.5), crystal=make_crystal(orientation=i + 1, **crystal)) for i in range(n)])


def make_integrated(n: int = 40, n_experiments: int = 1, seed: int = 0) -> ReflectionTable:
    """Reflections that all were summed and fitted, whole, with distinct indices in each experiment."""
    rng = np.random.default_rng(seed)
    total = n * n_experiments
    hkl = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    hkl = hkl[(hkl != 0).any(axis=1)]
    rows = np.concatenate([rng.permutation(len(hkl))[:n] for _ in range(n_experiments)])
    xyz = rng.uniform([5, 5, 0], [400, 400, 10], (total, 3))
    value = rng.uniform(10, 1000, total)
    return ReflectionTable({
        "miller_index": hkl[rows], "id": np.repeat(np.arange(n_experiments), n), "panel": np.zeros(total, np.uint64),
        "flags": np.full(total, int(Flag.INTEGRATED | Flag.PREDICTED), np.uint64), "d": rng.uniform(2, 20, total),
        "xyzobs.px.value": xyz, "xyzcal.px": xyz + 0.01, "partiality": np.ones(total),
        "partial_id": np.arange(total, dtype=np.uint64),
        "intensity.sum.value": value, "intensity.sum.variance": value + 20.0,
        "intensity.prf.value": value * 1.01, "intensity.prf.variance": value + 5.0,
        "background.sum.value": rng.uniform(5, 50, total), "background.sum.variance": rng.uniform(5, 50, total),
        "lp": rng.uniform(0.1, 0.5, total), "qe": rng.uniform(0.7, 0.9, total),
        "profile.correlation": rng.uniform(0.5, 1.0, total)})
