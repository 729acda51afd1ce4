"""Tests of the states by which an interrupted run goes on; whole runs are in test_find."""

import numpy as np
import pytest
from hit_data import draw_run, write_run

from xdp.options.named import make_options
from xdp.serial.events import open_events
from xdp.serial.hits.options import FindHitsOptions
from xdp.serial.hits.own_misses import RunThresholds
from xdp.serial.hits.powder import PowderSums
from xdp.serial.hits.resume import HitState, HitStates, make_run_key


def make_state():
    powder = PowderSums(), PowderSums()
    powder[1].add([np.arange(6).reshape(2, 3), np.ones((2, 2), int)])
    powder[1].add([np.arange(6).reshape(2, 3) * 2, np.ones((2, 2), int)])
    return HitState(3, {"shots": 7, "hits": 0, "failed": 1, "reasons": {"blank": 1}}, np.ones((2, 5), np.int64), powder,
                    RunThresholds(5.0, 1.5, np.array([3.0, -np.inf]), 8, 0.9, 20, 11))


def test_a_state_comes_back_as_it_was(tmp_path):
    state = make_state()
    HitStates(tmp_path, "key").save(state)
    found = HitStates(tmp_path, "key").load()
    assert found.n_parts == 3
    assert found.counts == state.counts
    assert found.powder[0].total is None
    assert found.powder[1].n == 2
    for mine, theirs in zip(found.powder[1].total, state.powder[1].total, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(found.thresholds.level, state.thresholds.level)
    assert found.thresholds._replace(level=None) == state.thresholds._replace(level=None)


def test_a_state_of_another_run_or_a_damaged_one_is_none(tmp_path):
    states = HitStates(tmp_path, "key")
    assert states.load() is None
    states.save(make_state()._replace(thresholds=None))
    assert states.load().thresholds is None
    assert HitStates(tmp_path, "other").load() is None
    path = states.store.path(states.name)
    path.write_bytes(path.read_bytes()[:100])
    assert states.load() is None


@pytest.mark.parametrize("change", [{"events.energy": 9000.0}, {"hits.own_misses.sigma": 6.0}, {"checks.blank": False},
                                    {"mp.chunksize": 7}, {"output.powder": None}, {"calibration.flag_pixels": True}])
def test_the_key_has_what_results_depend_on(change, tmp_path):
    files = write_run(tmp_path, draw_run(3))
    plain = make_options(FindHitsOptions, {"events.geometry": str(files[1])}, {})
    other = make_options(FindHitsOptions, {"events.geometry": str(files[1]), **change}, {})
    events = open_events(files[0], plain.events)
    assert make_run_key(events, plain) == make_run_key(open_events(files[0], plain.events), plain)
    assert make_run_key(events, plain) != make_run_key(events, other)
    assert make_run_key(open_events(files[0], plain.events, skip=1), plain) != make_run_key(events, plain)
    # where the work runs changes no result
    assert make_run_key(events, plain) == make_run_key(events, make_options(
        FindHitsOptions, {"events.geometry": str(files[1]), "mp.nproc": 2}, {}))
