"""Small tables with all column types, for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from xdp.reflections import ReflectionTable, Shoeboxes


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
