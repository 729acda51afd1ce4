"""Tasks in order on threads, and the choice between threads and workers."""

from __future__ import annotations

import threading
import time

import pytest

from xdp.work import workers
from xdp.work.tasks import run_on_threads, run_tasks


def test_results_come_in_order_whatever_takes_longest():
    def task(shared, number):
        time.sleep(0.002 * (5 - number % 5))
        return shared + number

    assert list(run_on_threads(task, 100, [(i,) for i in range(20)], 4)) == list(range(100, 120))
    assert list(run_on_threads(task, 0, [], 4)) == []


def test_few_results_wait():
    begun = []

    def task(shared, number):
        begun.append(number)

    results = run_on_threads(task, None, [(i,) for i in range(50)], 2)
    next(results)
    time.sleep(0.05)
    assert len(begun) <= 6
    results.close()
    assert len(begun) <= 7


def test_a_failure_ends_the_others():
    stopped = threading.Event()

    def task(shared, number):
        if number == 1:
            raise ZeroDivisionError
        stopped.wait(0.01)

    with pytest.raises(ZeroDivisionError):
        list(run_on_threads(task, None, [(i,) for i in range(1000)], 2))


def test_without_a_client_tasks_run_on_threads_of_this_process():
    def task(shared, number):
        return threading.current_thread().name, shared + number

    (name, result), = run_tasks(task, 10, [(1,)], n_threads=3, fetch=False, keep_killed=True)
    assert name.startswith("task")
    assert result == 11


def test_with_a_client_tasks_go_to_its_workers(monkeypatch):
    monkeypatch.setattr(workers, "run_on_client", lambda *args, **keywords: (args, keywords))
    args, keywords = run_tasks(max, "shared", [(1,)], client="client", n_threads=3, fetch=False)
    assert args == (max, "shared", [(1,)], "client")
    assert keywords == {"keep_killed": False, "fetch": False, "at_once": None}
