"""Spots with their keys, and their files."""

from __future__ import annotations

import numpy as np

from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.spotfinding.spots.ordered import MeasuredSpots, pack_table, unpack_table
from xdp.work.store import load_arrays, save_arrays


def some_spots(n=4) -> MeasuredSpots:
    rng = np.random.default_rng(n)
    bbox = np.tile(np.array([0, 2, 0, 1, 0, 1], np.int32), (n, 1))
    panel = rng.integers(0, 3, n).astype(np.uint64)
    boxes = Shoeboxes(panel, bbox, 2 * np.arange(n + 1), rng.random(2 * n), np.full(2 * n, 5, np.uint8))
    table = ReflectionTable({"bbox": bbox, "panel": panel, "shoebox": boxes, "value": rng.random(n)})
    return MeasuredSpots(table, rng.integers(0, 3, (n, 4)).astype(np.int32))


def test_sorted_by_frame_panel_slow_fast():
    spots = some_spots(50)
    rows = spots.sorted().first.tolist()
    assert rows == sorted(spots.first.tolist())
    assert sorted(spots.table["value"].tolist()) == sorted(spots.sorted().table["value"].tolist())


def test_table_survives_a_file(tmp_path):
    table = some_spots().table
    save_arrays(tmp_path / "a.npz", pack_table(table))
    assert unpack_table(load_arrays(tmp_path / "a.npz")) == table
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_damaged_or_missing_files_are_none(tmp_path):
    path = tmp_path / "a.npz"
    assert load_arrays(path) is None
    save_arrays(path, pack_table(some_spots().table))
    whole = path.read_bytes()
    for content in (b"", b"not a zip", whole[:50], whole[:-30]):
        path.write_bytes(content)
        assert load_arrays(path) is None


def test_select_and_concatenate_keep_keys_beside_rows():
    spots = some_spots(6)
    parts = [spots.select(np.array([0, 2, 4])), spots.select(np.array([1, 3, 5]))]
    joined = MeasuredSpots.concatenate(parts)
    assert joined.first.tolist() == spots.first[[0, 2, 4, 1, 3, 5]].tolist()
    assert joined.table["value"].tolist() == spots.table["value"][[0, 2, 4, 1, 3, 5]].tolist()
