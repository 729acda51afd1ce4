"""Results of tasks as arrays."""

import numpy as np
import pytest
from shot_data import NAMED, draw_shots, write_shots

from xdp.options.named import make_options
from xdp.serial.events import open_events
from xdp.serial.process.options import StillsProcessOptions
from xdp.serial.process.results.record import ShotRecord
from xdp.serial.process.shot import ShotProcessor
from xdp.serial.process.tasks import ProcessWork, join_bags, pack_shots, process_bag, unpack_shots


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bags")
    stack, geometry = write_shots(folder, *draw_shots(((1,), (), (4,))))
    options = make_options(StillsProcessOptions, None, NAMED)
    events = open_events(stack, geometry=geometry.partition("=")[2])
    return ProcessWork(ShotProcessor(events, options, ShotRecord(None)), frozenset({"indexed", "integrated"}))


def test_a_bag_survives_its_arrays(work):
    bag = process_bag(work, "", (0, 1, 2))
    again = unpack_shots(pack_shots(bag))
    assert again.rows == bag.rows
    assert again.lines == bag.lines
    assert again.counts == bag.counts == [(0, 1, 1, 0), (0, 0, 0, 0), (0, 1, 1, 0)]
    for name, table in bag.tables.items():
        assert again.tables[name] == table
    assert again.lists == bag.lists
    assert "strong" not in bag.tables


def test_joined_bags_are_one_bag(work):
    whole, parts = process_bag(work, "", (0, 1, 2)), [process_bag(work, "", (k,)) for k in (0, 1, 2)]
    joined = join_bags(parts)
    assert joined.rows == whole.rows
    np.testing.assert_array_equal(np.unique(joined.tables["integrated"]["id"]), [0, 1])
    for name, table in whole.tables.items():
        assert joined.tables[name] == table
