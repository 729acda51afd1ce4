"""Small tables with all column types, for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from xdp.experiment import Experiment, ExperimentList
from xdp.reflections import Flag, ReflectionTable, Shoeboxes
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan


def _shoeboxes(n: int, seed: int, empty_every: int = 4) -> Shoeboxes:
    """`n` random shoeboxes, each `empty_every`-th without pixels."""
    rng = np.random.default_rng(seed)
    low = rng.integers(-5, 100, (n, 3))
    bbox = np.stack([low, low + rng.integers(1, 5, (n, 3))], axis=2).reshape(n, 6)
    sizes = np.diff(bbox.reshape(n, 3, 2), axis=2)[:, :, 0].prod(axis=1)
    sizes[::empty_every] = 0
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    total = offsets[-1]
    return Shoeboxes(rng.integers(0, 24, n), bbox, offsets, rng.normal(size=total), rng.integers(0, 64, total),
                     rng.normal(size=total))


def _table(n: int, seed: int = 0) -> ReflectionTable:
    """A table of `n` rows with a column of each type that a .refl file can hold."""
    rng = np.random.default_rng(seed)
    return ReflectionTable({
        "flags": rng.integers(0, 2**40, n, dtype=np.uint64),
        "id": rng.integers(-1, 3, n),
        "entering": rng.random(n) < 0.5,
        "intensity.sum.value": rng.normal(size=n),
        "xyzobs.px.value": rng.normal(size=(n, 3)),
        "xycal.mm": rng.normal(size=(n, 2)),
        "s1_covariance": rng.normal(size=(n, 9)),
        "bbox": rng.integers(-(2**31), 2**31, (n, 6)),
        "miller_index": rng.integers(-30, 30, (n, 3)),
        "shoebox": _shoeboxes(n, seed),
    }, {0: "first", 1: "second"})


@pytest.fixture
def table() -> ReflectionTable:
    """Eleven rows of everything."""
    return _table(11)


@pytest.fixture(scope="session")
def make_table() -> Callable[..., ReflectionTable]:
    """The function that makes tables: ``make_table(n_rows, seed=0)``."""
    return _table


@pytest.fixture(scope="session")
def make_shoeboxes() -> Callable[..., Shoeboxes]:
    """The function that makes shoeboxes: ``make_shoeboxes(n, seed, empty_every=4)``."""
    return _shoeboxes


def _experiments(n: int = 1, **crystal) -> ExperimentList:
    """Experiments of ten frames each, their crystals turned differently."""
    return ExperimentList([
        Experiment(identifier=f"e{i}", beam=make_beam(), detector=make_detector(), goniometer=make_goniometer(),
                   scan=make_scan(10, 0.5), crystal=make_crystal(orientation=i + 1, **crystal)) for i in range(n)])


def _integrated(n: int = 40, n_experiments: int = 1, seed: int = 0) -> ReflectionTable:
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


@pytest.fixture
def make_experiments() -> Callable[..., ExperimentList]:
    """Make experiments with crystals."""
    return _experiments


@pytest.fixture
def make_integrated() -> Callable[..., ReflectionTable]:
    """Make a table of integrated reflections."""
    return _integrated
