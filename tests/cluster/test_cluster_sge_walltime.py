"""Jobs of a real Grid Engine whose time is up before the run is done."""

from __future__ import annotations

import time

import pytest

from xdp.cluster import ClusterOptions, MpOptions, connect
from xdp.cluster.state import RunState
from xdp.experiment.io import read_experiments
from xdp.spotfinding.find import find_spots_to_file
from xdp.spotfinding.options import FindSpotsOptions
from xdp.spotfinding.run import tasks

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("sge")]


def slow_search():
    """The task of spot finding, three seconds longer; made here, so that it travels to workers that lack this file."""
    def search_chunk(work, *which):
        from xdp.spotfinding.run.tasks import search_chunk as search

        time.sleep(3.0)
        return search(work, *which)

    return search_chunk


def test_jobs_whose_time_is_up_are_replaced_and_nothing_is_lost(series, tmp_path, monkeypatch):
    """Two jobs of 30 s each for 96 s of work at least, and no walltime by which workers would know to
    retire. Grid Engine may be late to end them.

    Kernels are those that the local run has left beside the sources: compiling them would take a job's whole time.
    """
    monkeypatch.chdir(tmp_path)
    experiments = read_experiments(series / "imported.expt")

    def options(name):
        return FindSpotsOptions(output={"reflections": str(tmp_path / name)}, spotfinder={"mp": {"chunksize": 15}})

    find_spots_to_file(experiments, options("here.refl"))
    (tmp_path / "site.yaml").write_text("scheduler: sge\nmemory: 6GB\nkernel_cache: null\n"
                                       "directives: ['-l h_rt=0:0:30']\n")
    cluster = ClusterOptions(config="site.yaml", dashboard="none", replace_jobs=10)
    monkeypatch.setattr(tasks, "search_chunk", slow_search())
    state = RunState(None, "find_spots")
    with connect(MpOptions(method="sge", njobs=2), cluster, state) as client:
        find_spots_to_file(experiments, options("there.refl"), client=client)
    assert (tmp_path / "there.refl").read_bytes() == (tmp_path / "here.refl").read_bytes()
    assert state.data["failures"]
    assert all("ended or was killed" in failure["text"] for failure in state.data["failures"])
