"""What a container allows: cores and memory, read from its control files."""

from __future__ import annotations

import os

import pytest

from xdp.options import AUTO
from xdp.work import cores
from xdp.work.options import MpOptions


@pytest.fixture
def control(tmp_path, monkeypatch):
    """Write control files of cgroups, as if they were the system's."""
    monkeypatch.setattr(cores, "CGROUPS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(16), raising=False)

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


def test_no_limits(control):
    assert cores.count_cores() == 16
    assert cores.memory_limit() is None


def test_limits_of_version_2(control):
    control("cpu.max", "250000 100000\n")
    control("memory.max", "1073741824\n")
    assert cores.count_cores() == 3
    assert cores.memory_limit() == 1 << 30


def test_limits_that_say_max(control):
    control("cpu.max", "max 100000\n")
    control("memory.max", "max\n")
    assert cores.count_cores() == 16
    assert cores.memory_limit() is None


def test_memory_of_version_1(control):
    control("memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert cores.memory_limit() is None
    control("memory/memory.limit_in_bytes", "536870912\n")
    assert cores.memory_limit() == 1 << 29


def test_half_a_core_is_one(control):
    control("cpu.max", "50000 100000")
    assert cores.count_cores() == 1


@pytest.mark.parametrize(("mp", "expected"), [
    (MpOptions(nproc=4), 4), (MpOptions(nproc=4, njobs=3), 12), (MpOptions(nproc=32), 16), (MpOptions(nproc=None), 16)])
def test_driver_has_as_many_threads_as_tasks_run_if_there_are_cores(control, mp, expected):
    assert cores.count_driver_threads(mp) == expected


def test_threads_are_those_asked_for_or_all():
    assert cores.count_threads(MpOptions(nproc=3)) == 3
    assert cores.count_threads(MpOptions(nproc=None)) == cores.count_threads(MpOptions(nproc=AUTO))
    assert cores.count_threads(MpOptions(nproc=None)) == cores.count_cores() >= 1
    if hasattr(os, "sched_getaffinity"):
        assert cores.count_cores() <= len(os.sched_getaffinity(0))


def test_each_job_has_its_threads():
    assert cores.count_parallel_tasks(MpOptions(nproc=3)) == 3
    assert cores.count_parallel_tasks(MpOptions(nproc=3, njobs=4)) == 12


def test_free_memory_is_within_the_limit_of_the_container(control):
    free = cores.free_memory()
    assert free > 0
    control("memory.max", "1048576\n")
    control("memory.current", "1000000\n")
    assert cores.free_memory() == 48576
    control("memory.current", "2000000\n")
    assert cores.free_memory() == 1
