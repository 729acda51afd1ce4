"""Results of chunks joined in pieces of bounded size."""

from __future__ import annotations

import numpy as np
import pytest
from sweeps import add_spot, background, crossing_spots, options, sweep

from xdp.spotfinding.find import find_spots, make_spot_rules
from xdp.spotfinding.run import seams
from xdp.spotfinding.run.chunk import find_in_chunk
from xdp.spotfinding.run.chunks import split_frames
from xdp.spotfinding.run.frames import FrameFinder
from xdp.spotfinding.run.seams import Assembler, Piece, View, order_views
from xdp.spotfinding.run.searches import plan_searches
from xdp.spotfinding.spots.ordered import MeasuredSpots
from xdp.work import store
from xdp.work.store import ResultStore


def assembled(experiments, size, folder=None, *words):
    """The pieces of a sweep searched in chunks of `size` frames."""
    chosen = options(*words)
    search, = plan_searches(experiments)
    finder = FrameFinder(search, chosen.spotfinder)
    rules = make_spot_rules(experiments, chosen)
    chunks = split_frames(search.n_frames, size)
    assembler = Assembler(finder, rules, chunks, ResultStore(folder), "piece")
    return assembler.assemble(find_in_chunk(finder, rules, *c) for c in chunks), assembler


@pytest.mark.parametrize("on_disk", [False, True])
def test_pieces_hold_consecutive_frames_and_all_spots(tmp_path, monkeypatch, on_disk):
    monkeypatch.setattr(store, "MOST_IN_MEMORY", 0)  # a few spots are otherwise kept in memory
    monkeypatch.setattr(seams, "PIECE_FRAMES", 4)
    experiments = sweep(tmp_path, crossing_spots())
    pieces, _ = assembled(experiments, 2, tmp_path if on_disk else None)
    first = [p.load_spots().first for p in pieces]
    assert len(pieces) == 6
    for k, rows in enumerate(first):
        assert ((rows[:, 0] >= 4 * k) & (rows[:, 0] < 4 * k + 4)).all()
        assert rows.tolist() == sorted(rows.tolist())
    whole = find_spots(experiments).reflections
    whole.identifiers = {}
    assert MeasuredSpots.concatenate([p.load_spots() for p in pieces]).table == whole
    assert len(list(tmp_path.glob("piece-*.npz"))) == (6 if on_disk else 0)


def test_a_spot_through_all_frames_waits_and_is_sorted_into_the_first_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(seams, "PIECE_FRAMES", 3)
    counts = background(30)
    add_spot(counts, slice(None), 30, 30)
    add_spot(counts, 0, 10, 10)
    add_spot(counts, 0, 50, 50)
    pieces, _ = assembled(sweep(tmp_path, counts), 3, tmp_path, "max_separation=None")
    boxes = pieces[0].load_spots().table["bbox"]
    assert np.abs(boxes[:, 2] - [9, 29, 49]).max() <= 1  # a strong pixel of the noise may hang on
    assert boxes[:, 5].tolist() == [1, 30, 1]


@pytest.mark.parametrize("size", [1, 5, 40])
def test_totals_do_not_depend_on_chunks(tmp_path, size):
    counts = crossing_spots(30, 1)
    _, assembler = assembled(sweep(tmp_path, counts), size, None, "write_hot_mask=True", "max_separation=0.5",
                             "max_spot_size=40")
    _, whole = assembled(sweep(tmp_path, counts), 30, None, "write_hot_mask=True", "max_separation=0.5",
                         "max_spot_size=40")
    assert assembler.totals.counts.tolist() == whole.totals.counts.tolist()
    assert np.concatenate(assembler.totals.n_strong).tolist() == whole.totals.n_strong[0].tolist()
    assert assembler.totals.hot[0].tolist() == whole.totals.hot[0].tolist() == [5 * 72 + 5]


def test_views_pick_rows_and_sort_by_experiment(tmp_path):
    pieces, _ = assembled(sweep(tmp_path, crossing_spots(12, 1)), 12)
    piece, = pieces
    spots = piece.load_spots()
    spots.table["id"] = np.arange(len(spots), dtype=np.int32) % 2
    piece = Piece(spots, ResultStore(tmp_path), "piece")
    zero, one = order_views([piece], 2, None)
    assert set(zero.column("id").tolist()) == {0}
    assert zero.n_rows + one.n_rows == len(spots)
    assert zero.count_pixels() + one.count_pixels() == piece.count_pixels() == zero.column("shoebox").n_pixels + \
        one.column("shoebox").n_pixels
    keep = np.zeros(len(spots), bool)
    keep[:3] = True
    kept, = order_views([piece], 1, keep)
    assert kept.column("bbox").tolist() == spots.table["bbox"][:3].tolist()
    assert View(piece, np.zeros(0, np.int64)).count_pixels() == 0
