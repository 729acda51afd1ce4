"""Tasks on workers: in order, what they share sent once, those that kill workers found out."""

from __future__ import annotations

import copyreg
import operator
import time

import pytest
from distributed.scheduler import KilledWorker

from xdp.cluster import ClusterOptions, MpOptions, connect
from xdp.cluster.batch.census import Census
from xdp.work.workers import KilledTask, run_on_client, send_to_workers


@pytest.fixture(scope="module")
def client():
    with connect(MpOptions(method="multiprocessing", nproc=2), ClusterOptions(dashboard="none")) as client:
        yield client


@pytest.fixture
def small_graphs(monkeypatch):
    """Five tasks a graph, three results at once."""
    monkeypatch.setattr("xdp.work.workers.TASKS_PER_GRAPH", 5)
    monkeypatch.setattr("xdp.work.workers.RESULTS_AT_ONCE", 3)


def wait_until(is_so):
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("n_tasks", [0, 1, 5, 11])
def test_workers_results_come_in_order_once_each(client, small_graphs, n_tasks):
    assert list(run_on_client(operator.add, 100, [(i,) for i in range(n_tasks)], client)) == list(
        range(100, 100 + n_tasks))
    wait_until(lambda: not client.futures)  # all are let go


def describe_census():
    """A task; made here, since workers cannot import the tests."""

    def task(shared, number):
        return f"{shared.connected} {shared.complaint} {number}"

    return task


def test_what_rounds_share_travels_once_and_changes_alone(client, small_graphs, monkeypatch):
    packed = []

    def pack(one):
        packed.append(one)
        return Census, (one.connected, 0, 0, {}, one.complaint)

    monkeypatch.setitem(copyreg.dispatch_table, Census, pack)  # any dataclass would do that workers can import
    task, sent = describe_census(), send_to_workers(Census(3, 0, 0, {}, "none"), client)
    assert list(run_on_client(task, sent, [(i,) for i in range(6)], client)) == [f"3 none {i}" for i in range(6)]
    n_packed = len(packed)  # by the client, and by the scheduler, which is in this process
    assert n_packed
    red = sent.with_changes(complaint="red")
    assert list(run_on_client(task, red, [(7,), (8,)], client)) == ["3 red 7", "3 red 8"]
    assert list(run_on_client(task, red.with_changes(connected=5), [(9,)], client)) == ["5 red 9"]
    assert list(run_on_client(task, sent, [(1,)], client)) == ["3 none 1"]
    assert len(packed) == n_packed
    del sent, red
    wait_until(lambda: not client.futures)


def test_results_that_wait_are_fetched_together(client, small_graphs, monkeypatch):
    fetched = []
    gather = client.gather
    monkeypatch.setattr(client, "gather", lambda futures: fetched.append(len(futures)) or gather(futures))
    results = run_on_client(operator.add, 0, [(i,) for i in range(10)], client)
    assert next(results) == 0
    wait_until(lambda: all(f.status == "finished" for f in client.futures.values()))
    assert list(results) == list(range(1, 10))
    assert max(fetched) == 3
    assert sum(fetched[-2:]) in (4, 5, 6)  # what was there with the first may have come with it


def test_results_that_are_not_wanted_stay_where_they_are(client, small_graphs, monkeypatch):
    monkeypatch.setattr(client, "gather", None)
    done = run_on_client(operator.add, 0, [(i,) for i in range(13)], client, fetch=False)
    assert list(done) == [None] * 13
    with pytest.raises(ZeroDivisionError):
        list(run_on_client(operator.floordiv, 1, [(i,) for i in (1, 1, 0, 1)], client, fetch=False))


def test_few_tasks_are_with_the_workers_where_that_is_wanted(client, small_graphs):
    class Tasks(list):
        """Notes which tasks were taken, a few at a time."""

        def __getitem__(self, which):
            found = super().__getitem__(which)
            if isinstance(which, slice):
                taken.append(len(found))
            return found

    taken = []
    results = run_on_client(operator.add, 0, Tasks((i,) for i in range(20)), client, at_once=4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert sum(taken) <= 4 + 3 + 3  # three results at once may have been taken twice
    assert list(results) == list(range(3, 20))
    assert sum(taken) == 20


def test_futures_and_delayed_values_arrive_as_their_results(client, small_graphs):
    import dask

    futures = [(client.submit(abs, -i, pure=False),) for i in range(7)]
    assert list(run_on_client(operator.add, 10, futures, client)) == list(range(10, 17))
    delayed = [(dask.delayed(abs)(-i),) for i in range(7)]
    assert list(run_on_client(operator.add, 10, delayed, client)) == list(range(10, 17))


@pytest.mark.parametrize("fetch", [True, False])
def test_the_client_need_not_be_the_default_one(client, monkeypatch, fetch):
    def slow(shared, number):
        time.sleep(0.2)  # so that it is waited for
        return number

    monkeypatch.setattr("distributed.client.default_client", None)
    done = run_on_client(slow, None, [(i,) for i in range(3)], client, fetch=fetch)
    assert list(done) == ([0, 1, 2] if fetch else [None] * 3)


def test_a_workers_failure_ends_the_others(client, small_graphs):
    with pytest.raises(ZeroDivisionError):
        list(run_on_client(operator.floordiv, 1, [(i,) for i in (1, 1, 0, 1, 1, 1, 1)], client))
    assert list(run_on_client(operator.floordiv, 1, [(1,)], client)) == [1]  # the client is as good as before


def kill_worker_on(numbers):
    """A task that kills its worker for some numbers."""
    def task(shared, number):
        import os
        import signal

        if number in numbers:
            os.kill(os.getpid(), signal.SIGKILL)
        return shared + number

    return task


@pytest.mark.parametrize("fetch", [True, False])
def test_only_the_task_that_kills_workers_is_given_up(fetch):
    """Those that had been given to the workers that died are done, though Dask suspects them too."""
    with connect(MpOptions(method="multiprocessing", nproc=2), ClusterOptions(dashboard="none")) as client:
        tasks = [(i,) for i in range(14)]
        found = list(run_on_client(kill_worker_on({3}), 100, tasks, client, keep_killed=True, fetch=fetch))
        assert isinstance(found[3], KilledTask)
        assert found[3].n_workers == 4
        assert found[:3] + found[4:] == [100 + i if fetch else None for i in range(14) if i != 3]


def test_a_task_that_kills_workers_is_an_error_by_default():
    with (connect(MpOptions(method="multiprocessing", nproc=2), ClusterOptions(dashboard="none")) as client,
          pytest.raises(KilledWorker, match="-2' on 3")):
        list(run_on_client(kill_worker_on({2}), 0, [(i,) for i in range(6)], client))
