"""The parameters that say where work runs."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from xdp.options import AUTO
from xdp.work.options import BATCH_METHODS, ClusterOptions, MpOptions, WorkerOptions


def test_work_runs_on_one_thread_of_this_process_by_default():
    options = MpOptions()
    assert (options.method, options.njobs, options.nproc, options.chunksize) == ("none", 1, 1, AUTO)


@pytest.mark.parametrize("method", ["none", "multiprocessing", "address", *BATCH_METHODS])
def test_each_method_is_known(method):
    assert WorkerOptions(method=method).method == method


@pytest.mark.parametrize("wrong", [{"nproc": 0}, {"njobs": 0}, {"chunksize": 0}, {"min_chunksize": 0},
                                   {"method": "sun"}, {"killed_task": "repeat"}])
def test_values_out_of_bounds_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        MpOptions(**wrong)


def test_workers_must_have_time_to_start():
    with pytest.raises(ValidationError, match="start_timeout"):
        ClusterOptions(start_timeout=0)
