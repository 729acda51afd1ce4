"""Rounds of a run, and what later ones learn from earlier ones."""

import pytest
from shot_data import NAMED, draw_shots, write_shots

from xdp.integration.partiality.prior import PartialityPrior
from xdp.options.named import make_options
from xdp.serial.process import rounds
from xdp.serial.process.options import StillsProcessOptions
from xdp.serial.process.process import ShotRun
from xdp.serial.process.results.record import ShotRecord
from xdp.serial.process.rounds import cut_rounds


@pytest.mark.parametrize("size", [1, 7, 10, 500])
def test_rounds_end_at_the_same_shots_whatever_the_bags(size):
    found = list(cut_rounds(range(700), size))
    assert [sum(len(bag) for bag in bags) for bags in found] == [80, 160, 320, 140]
    assert [number for bags in found for bag in bags for number in bag] == list(range(700))
    assert all(len(bag) <= size for bags in found for bag in bags)


def test_later_shots_have_the_prior_of_earlier_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "FIRST_ROUND", 6)
    stack, geometry = write_shots(tmp_path, *draw_shots(((1,), (4,), (2,), (5,), (7,), (8,), (9,))))
    named = {"events.geometry": geometry.partition("=")[2], **NAMED}
    last = []
    for size in (2, 10):
        run = ShotRun(stack, make_options(StillsProcessOptions, named, {"mp.chunksize": size}), ShotRecord(None), None,
                      lambda *_: NoProgress())
        bags = list(run.iterate_bags(None))
        # the last round, of one shot, had what the six before it say
        prior = run.processor.integrator.prior
        assert prior.spread[1] < 0.8 * PartialityPrior().spread[1]
        assert sum(len(bag.widths) for bag in bags) == 7
        last.append((prior, bags[-1].tables["integrated"]["partiality"].tolist()))
    assert last[0] == last[1]


class NoProgress:
    """Shows nothing."""

    def __enter__(self):
        return lambda n: None

    def __exit__(self, *_):
        pass
