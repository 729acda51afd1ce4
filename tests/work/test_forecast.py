"""Forecasts of runs on many workers."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.work.forecast import Costs, Forecast, choose_forecast, forecast_run, list_worker_counts, simulate_run

COSTS = Costs(frame=0.01, spread=0.0, driver=0.0005, frame_bytes=1e6, base_memory=3e8, thread_memory=1e7,
              dispatch=0.001, start=4.0)


def test_one_slot_does_everything_in_turn():
    seconds = simulate_run([1.0, 2.0, 3.0], 1, dispatch=0.1, collect=0.2, start=5.0)
    assert seconds == pytest.approx(5.0 + 6.0 + 3 * 0.3)


def test_without_overhead_tasks_go_to_whoever_is_free():
    # two slots: 3 | 1, 1, 1 -> both end at 3
    assert simulate_run([3.0, 1.0, 1.0, 1.0], 2, dispatch=0.0, collect=0.0) == pytest.approx(3.0)
    assert simulate_run(np.ones(10), 4, dispatch=0.0, collect=0.0) == pytest.approx(3.0)  # rounds of 4, 4 and 2


def test_a_driver_that_is_slower_than_the_workers_sets_the_pace():
    n = 200
    seconds = simulate_run(np.full(n, 0.01), 1000, dispatch=0.1, collect=0.2)
    assert n * 0.3 <= seconds <= n * 0.3 + 0.01 + 0.2


def test_more_slots_than_tasks_change_nothing():
    tasks = np.linspace(0.5, 1.5, 7)
    assert simulate_run(tasks, 7, dispatch=0.01, collect=0.0) == simulate_run(tasks, 700, dispatch=0.01, collect=0.0)


def test_no_tasks_take_no_longer_than_the_start():
    assert simulate_run([], 3, dispatch=1.0, collect=1.0, start=2.0) == 2.0


def test_forecast_of_one_worker_is_the_sum_of_its_parts():
    found = forecast_run(95, COSTS, 1, 1, lambda workers: 10)
    assert (found.n_tasks, found.frames_a_task) == (10, 10)
    # the last task has 5 frames, but the driver's part is counted as of 10
    assert found.seconds == pytest.approx(4.0 + 95 * 0.01 + 10 * 0.001 + 10 * 10 * 0.0005)
    assert found.efficiency == pytest.approx(0.95 / found.seconds)
    assert found.bytes_per_second == pytest.approx(95e6 / found.seconds)


def test_a_task_costs_the_driver_time_however_short():
    costs = Costs(**{**COSTS.__dict__, "task": 0.02})
    without, with_task = (forecast_run(100, one, 1, 1, lambda workers: 10).seconds for one in (COSTS, costs))
    assert with_task == pytest.approx(without + 10 * 0.02)


def test_forecasts_repeat():
    costs = Costs(**{**COSTS.__dict__, "spread": 0.3})
    assert forecast_run(500, costs, 8, 2, lambda n: 5) == forecast_run(500, costs, 8, 2, lambda n: 5)


def test_worker_counts_double_up_to_what_was_asked():
    assert list_worker_counts(1) == [1]
    assert list_worker_counts(8) == [1, 2, 4, 8]
    assert list_worker_counts(10) == [1, 2, 4, 8, 10]


def test_workers_pay_while_a_doubling_saves_a_fifth():
    runs = [Forecast(n, 100, 1, seconds, 1.0, 1.0) for n, seconds in [(1, 100), (2, 60), (4, 45), (8, 40), (16, 20)]]
    assert choose_forecast(runs).n_workers == 4


def test_memory_grows_with_threads():
    assert COSTS.memory(4) == 3e8 + 4e7
