"""The later stages on a real Grid Engine: the same bytes as at home."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from cluster_runs import xdp

from xdp.cluster.state import read_state
from xdp.simulation.laue import LaueScan, simulate_laue, write_laue_scan

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("sge")]



@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A small simulated series, processed here as far as refined models."""
    folder = tmp_path_factory.mktemp("demo")
    xdp("demo", cwd=folder)
    return folder / "xdp_demo"


def test_integrate_gives_the_bytes_of_the_local_run(demo, tmp_path):
    inputs = [demo / "refined.expt", demo / "refined.refl", "integration.block.size=3"]
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, words in ((here, ()), (there, ("mp.method=sge", "mp.njobs=2"))):
        folder.mkdir()
        xdp("integrate", *inputs, *words, cwd=folder)
    assert (there / "integrated.refl").read_bytes() == (here / "integrated.refl").read_bytes()
    assert (there / "integrated.expt").read_bytes() == (here / "integrated.expt").read_bytes()
    state = read_state(there)
    assert (state["status"], state["scheduler"], len(state["past_jobs"])) == ("done", "sge", 2)


def test_laue_spots_gives_the_numbers_of_the_local_run(tmp_path):
    scan = LaueScan(shape=(70, 90), n_angles=12, n_repeats=2, n_spots=5)
    write_laue_scan(tmp_path / "scan__mccd.h5", simulate_laue(scan))
    tables = []
    for name, words in (("here", ()), ("there", ("mp.method=sge", "mp.njobs=2"))):
        xdp("laue_spots", "scan__mccd.h5", f"output={name}.h5", *words, cwd=tmp_path)
        with h5py.File(tmp_path / f"{name}.h5") as file:
            tables.append({key: np.array(file["spots"][key]) for key in file["spots"]})
    assert tables[0].keys() == tables[1].keys()
    for key, column in tables[0].items():
        np.testing.assert_array_equal(column, tables[1][key])
