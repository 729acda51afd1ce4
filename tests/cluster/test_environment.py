"""Variables and Dask settings of worker processes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import dask.config
import numpy as np
import pytest

from xdp.cluster import ClusterOptions, MpOptions, connect
from xdp.cluster.environment import DASK, MEMORY, make_worker_environment


def test_the_environment_of_workers_in_jobs(monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/cache")
    monkeypatch.setenv("SECRET", "x")
    variables = make_worker_environment()
    assert variables["MALLOC_TRIM_THRESHOLD_"] == MEMORY["MALLOC_TRIM_THRESHOLD_"]
    assert variables["OMP_NUM_THREADS"] == "1"
    assert variables["NUMBA_CACHE_DIR"] == "/cache"
    assert "SECRET" not in variables


def test_dask_reads_its_settings_from_the_environment_of_jobs():
    read = dask.config.collect_env(make_worker_environment())
    for key, value in DASK.items():
        assert dask.config.get(key, config=read) == value, key


def page_faults_of_images(n_images: int, n_pixels: int) -> int:
    """Page faults while images are made and let go, as a task reads frames; the first ten may cost some."""
    for i in range(n_images + 10):
        if i == 10:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(n_pixels, np.int32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.fixture
def client(monkeypatch):
    for name in MEMORY:  # earlier workers of this process, or the user, may have left others
        monkeypatch.delenv(name, raising=False)
    with connect(MpOptions(method="multiprocessing"), ClusterOptions(dashboard="none")) as client:
        yield client


def test_local_workers_keep_the_memory_of_an_image_for_the_next(client):
    """An image of 3.3 MB is 800 pages: each would be fetched anew, by what Dask sets by itself."""
    assert client.run(os.environ.get, "MALLOC_TRIM_THRESHOLD_").popitem()[1] == MEMORY["MALLOC_TRIM_THRESHOLD_"]
    faults = client.submit(page_faults_of_images, 50, 981 * 831, pure=False).result(60)
    assert faults < 50 * 100  # other threads of a worker take a page now and then; 40,000 were Dask's
    assert client.run(dask.config.get, "distributed.worker.profile.interval").popitem()[1] == "100ms"


def test_dasks_own_defaults_outlive_the_first_client():
    code = ("import dask\nfrom xdp.cluster import ClusterOptions, MpOptions, connect\n"
            "from xdp.errors import OptionError\n"
            "try:\n    with connect(MpOptions(method='address'), ClusterOptions()): pass\nexcept OptionError: pass\n"
            "print(dask.config.get('distributed.comm.tls.min-version'))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) >= 1.2


NO_ROUTE = """
import socket, warnings
from distributed.utils import get_ip

def connect(self, address):
    raise OSError(101, "Network is unreachable")

socket.socket.connect = connect
print(get_ip())
warnings.warn("another", RuntimeWarning)
"""


def test_workers_do_not_warn_that_there_is_no_route_to_the_internet():
    """Nodes of clusters have none, and Dask tells of the address 8.8.8.8, which nobody asked for."""
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    said = [subprocess.run([sys.executable, "-c", NO_ROUTE], capture_output=True, text=True, check=True,
                           env={**plain, **more}).stderr for more in ({}, make_worker_environment())]
    assert ["8.8.8.8" in text for text in said] == [True, False]
    assert all("another" in text for text in said)
