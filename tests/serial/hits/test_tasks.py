"""Tests of batches of shots: whatever is wrong with one is recorded, and the others go on."""

import dataclasses

import numpy as np
import pytest
from hit_data import draw_run, draw_shot, is_hit, make_models, write_run

from xdp.serial.events import Events, Shot, open_events
from xdp.serial.events.options import ShotChecks
from xdp.serial.events.source import Source
from xdp.serial.hits.measures import make_peakfinder8
from xdp.serial.hits.options import Peakfinder8Options
from xdp.serial.hits.tasks import HitWork, KeptShots, look_at_shots, measure_shot, measure_shots

MEASURE = make_peakfinder8(Peakfinder8Options(threshold=25.0))


class Mixed(Source):
    """Shots of which some are bad in every way."""

    def __init__(self):
        self.models = make_models()

    @property
    def n_shots(self):
        return 8

    def get_id(self, index):
        return f"run.h5 //{index}"

    def read(self, index):
        if index == 1:
            raise RuntimeError("psana: the event is damaged")
        image = draw_shot(index, 40)
        shot = Shot(index, self.get_id(index), [image], experiment=self.models, photon_energy=9537.0, distance=60.0,
                    scalars={"delay": 0.5 * index})
        changes = {2: {"image": [np.zeros_like(image)]}, 3: {"photon_energy": 0.0}, 4: {"distance": None},
                   5: {"image": [np.full(image.shape, np.nan)]}, 6: {"image": [image[:50]]}}
        return dataclasses.replace(shot, **changes.get(index, {}))


def test_failures_are_recorded_by_reason_and_the_run_goes_on():
    batch = measure_shots(HitWork(Events([Mixed()]), MEASURE, ShotChecks()), 0, 8)
    columns = batch.columns
    assert columns["verdict"].tolist() == ["hit", *["failed"] * 6, "hit"]
    assert columns["reason"][[2, 3, 4, 5]].tolist() == ["blank", "no energy", "no distance", "not finite"]
    assert "psana: the event is damaged" in columns["message"][1]
    assert columns["reason"][6] == "error"
    assert columns["scalar.delay"][[0, 7]].tolist() == [0.0, 3.5]
    assert np.isnan(columns["scalar.delay"][1])
    assert batch.powder[0].n == 2
    assert batch.powder[1].n == 0
    assert batch.experiments == []


def test_an_error_of_the_measure_is_that_shots_failure():
    class Broken:
        needs_sample = False

        def measure(self, shot):
            raise ZeroDivisionError("here")

    shot, count, _ = measure_shot(HitWork(Events([Mixed()]), Broken(), ShotChecks()), 0)
    assert count is None
    assert shot.failure.reason == "error"
    assert "ZeroDivisionError: here" in shot.failure.message


def test_the_sample_leaves_out_what_cannot_be_used():
    assert len(look_at_shots(HitWork(Events([Mixed()]), MEASURE, ShotChecks()), range(8))) == 2


def test_columns_of_a_batch(tmp_path):
    stack, geometry = write_run(tmp_path, draw_run(6))
    events = open_events(stack, geometry=str(geometry), energy=9537.0)
    batch = measure_shots(HitWork(events, MEASURE, ShotChecks(), with_experiments=True), 0, 6)
    columns = batch.columns
    assert [v == "hit" for v in columns["verdict"]] == [is_hit(k) for k in range(6)]
    assert columns["index"].tolist() == list(range(6))
    assert columns["id"][3].endswith("run.npy //3")
    assert columns["time"].tolist() == [-1] * 6
    assert columns["photon_energy"][0] == pytest.approx(9537.0)
    assert 1.0 < columns["resolution"][0] < 20.0
    assert np.isnan(columns["pulse_energy"]).all()
    assert len(batch.experiments) == 2 == batch.powder[0].n


def test_kept_shots_are_few_and_stay_here():
    import pickle

    shot = Shot(3, "run.h5 //3", [np.zeros((10, 10), np.uint16)])
    kept = KeptShots(500)
    for number in (3, 4, 5):
        kept.add(number, shot)
    copy = pickle.loads(pickle.dumps(kept))
    assert copy.take(3) is None
    assert kept.take(3) is shot
    assert kept.take(3) is None
    assert kept.take(4) is shot
    assert kept.take(5) is None  # there was no room
