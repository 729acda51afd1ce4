"""Tasks in order, on threads."""

from __future__ import annotations

import threading
import time

import pytest

from xdp.cluster.running import on_threads


def test_results_come_in_order_whatever_takes_longest():
    def task(shared, number):
        time.sleep(0.002 * (5 - number % 5))
        return shared + number

    assert list(on_threads(task, 100, [(i,) for i in range(20)], 4)) == list(range(100, 120))
    assert list(on_threads(task, 0, [], 4)) == []


def test_few_results_wait():
    begun = []

    def task(shared, number):
        begun.append(number)

    results = on_threads(task, None, [(i,) for i in range(50)], 2)
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
        list(on_threads(task, None, [(i,) for i in range(1000)], 2))
