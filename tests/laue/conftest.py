"""A small drawn scan, as arrays and as a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from xdp.simulation.laue import LaueScan, LaueSimulation, simulate_laue, write_laue_scan


@pytest.fixture(scope="session")
def scan() -> LaueSimulation:
    """12 angles of 3 off/on pairs on a 70 x 90 detector (rows are no multiple of a chunk, columns of a word)."""
    return simulate_laue(LaueScan(shape=(70, 90), n_angles=12, n_repeats=3, n_spots=5, n_shared=1, min_distance=18,
                                  seed=5))


@pytest.fixture(scope="session")
def scan_file(scan: LaueSimulation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same scan as ``scan__mccd.h5``."""
    path = tmp_path_factory.mktemp("laue") / "scan__mccd.h5"
    write_laue_scan(path, scan, chunks=(1, 16, 90))
    return path
