"""Chunk results joined into one list of spots, in canonical order and in bounded memory.

Spots that cross a border between chunks are known only when the last chunk they reach has come. Finished spots are
gathered in pieces of consecutive frames; a piece is put away (on disk, where there is a work folder) once the following
one is complete. The few spots that end later than that, such as hot pixels lit on all frames, wait in memory and are
sorted into their pieces in the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xdp.spotfinding.noise import BackgroundNoise
from xdp.spotfinding.run.chunk import COUNTS, ChunkResult, SpotRules, measure_components
from xdp.spotfinding.run.frames import FrameFinder
from xdp.spotfinding.spots.label import SeamJoiner, label_pixels
from xdp.spotfinding.spots.ordered import MeasuredSpots, pack_table, unpack_boxes, unpack_table
from xdp.work.store import ResultStore

PIECE_FRAMES = 20
"""A piece covers at least this many frames, so that small chunks do not make many small files."""


class Piece:
    """Spots put away in a store, from which only what is asked for is read.

    Parameters
    ----------
    spots : MeasuredSpots
    store : ResultStore
    name : str
        Their name there; what was put away under it before is replaced.
    """

    def __init__(self, spots: MeasuredSpots, store: ResultStore, name: str):
        self.n_rows = len(spots)
        self._store, self._name = store, name
        # pieces are made anew by the next run from the results of the chunks: they need not outlive this one
        store.save_for_now(name, pack_table(spots.table) | {"first": spots.first})

    def open(self) -> AbstractContextManager[Mapping[str, np.ndarray]]:
        """Arrays by name; from a file each is read when it is asked for."""
        return self._store.open(self._name)

    def load_spots(self) -> MeasuredSpots:
        """All of it."""
        with self.open() as arrays:
            loaded = {name: arrays[name] for name in arrays}
        first = loaded.pop("first")
        return MeasuredSpots(unpack_table(loaded), first)

    def column(self, name: str) -> Any:
        """Read one column.

        Parameters
        ----------
        name : str
            Of the table, or ``first``.

        Returns
        -------
        ndarray or Shoeboxes
        """
        with self.open() as arrays:
            return unpack_boxes(arrays) if name == "shoebox" else arrays[name]

    def count_pixels(self) -> int:
        """Pixels in all shoeboxes."""
        with self.open() as arrays:
            return int(arrays["shoebox.offsets"][-1]) if "shoebox.offsets" in arrays else 0


@dataclass
class Totals:
    """What a search found, added up over its chunks."""

    n_strong: list[np.ndarray]
    background: list[np.ndarray]
    counts: np.ndarray
    hot: tuple[np.ndarray, ...] | None = None
    noise: list[BackgroundNoise] = field(default_factory=list)

    @classmethod
    def empty(cls) -> Totals:
        """Nothing yet."""
        return cls([], [], np.zeros(len(COUNTS), np.int64))

    def add(self, result: ChunkResult) -> None:
        """Add a chunk's; chunks come in order."""
        self.n_strong.append(result.n_strong)
        self.background.append(result.background)
        self.counts += result.counts
        self.noise += [BackgroundNoise(*row) for row in result.noise.tolist()]
        if result.hot:
            self.hot = result.hot if self.hot is None else tuple(
                np.intersect1d(a, b, assume_unique=True) for a, b in zip(self.hot, result.hot, strict=True))


class Assembler:
    """Joins the results of a search's chunks, given in order.

    Parameters
    ----------
    finder, rules
        With which the chunks were searched.
    chunks : list of (int, int)
        The positions that each chunk covers.
    store : ResultStore
        Where pieces are put away.
    name : str
        Beginning of their names there.
    """

    def __init__(self, finder: FrameFinder, rules: SpotRules, chunks: list[tuple[int, int]], store: ResultStore,
                 name: str):
        self._finder, self._rules, self._chunks = finder, rules, chunks
        self._store, self._name = store, name
        self._joiner = SeamJoiner(two_d=finder.search.is_flat)
        self._start = int(finder.search.label_frames[0])
        self._edges = _find_piece_edges(chunks)
        self._open: dict[int, list[MeasuredSpots]] = {}
        self._pieces: dict[int, Piece] = {}
        self.totals = Totals.empty()

    def assemble(self, results: Iterable[ChunkResult]) -> list[Piece]:
        """Take the results of all chunks.

        Parameters
        ----------
        results : iterable of ChunkResult
            In the order of the chunks; each is let go before the next one is taken.

        Returns
        -------
        list of Piece
            In order; each has its spots in canonical order.
        """
        for (_, last), result in zip(self._chunks, results, strict=True):
            self.totals.add(result)
            self._gather(result.spots)
            self._join(result, last)
            # the piece before the one that the chunk ends in: most spots that began there have ended by now
            self._put_away(self._find_piece(last - 1) - 1)
        self._put_away(len(self._edges))
        self._sort_in_late()
        return [self._pieces[k] for k in sorted(self._pieces)]

    def _join(self, result: ChunkResult, last: int) -> None:
        """Finish the spots that the chunk's strong pixels complete."""
        is_last = last == self._chunks[-1][1]
        complete = self._joiner.add(result.open, None if is_last else self._start + last)
        if not complete.size:
            return
        labels = label_pixels(*complete[:4], two_d=self._finder.search.is_flat)
        spots, counts = measure_components(self._finder, self._rules, complete, labels)
        self.totals.counts += counts
        self._gather(spots)

    def _find_piece(self, position: Any) -> Any:
        return np.searchsorted(self._edges, position, side="right") - 1

    def _gather(self, spots: MeasuredSpots) -> None:
        """Sort spots to the pieces in which they begin."""
        # by their first frame: what is known of a spot when it is complete, however it was cut
        pieces = self._find_piece(spots.first[:, 0] - self._start)
        for k in np.unique(pieces).tolist():
            mine = pieces == k
            self._open.setdefault(k, []).append(spots if mine.all() else spots.select(mine))
        if not self._open and not self._pieces:
            self._open[0] = [spots]  # there is always a piece, if only for the columns

    def _put_away(self, below: int) -> None:
        """Put away the pieces before `below` that were not put away before."""
        for k in [k for k in self._open if k < below and k not in self._pieces]:
            self._save(k, self._open.pop(k))

    def _save(self, k: int, parts: list[MeasuredSpots]) -> None:
        self._pieces[k] = Piece(MeasuredSpots.concatenate(parts).sorted(), self._store, f"{self._name}-{k:06d}")

    def _sort_in_late(self) -> None:
        """Sort spots that came after their piece was put away into it."""
        # a stable sort of both parts: the order is that of the first pixels, whenever spots came
        for k, parts in self._open.items():
            self._save(k, [self._pieces[k].load_spots(), *parts])


def _find_piece_edges(chunks: list[tuple[int, int]]) -> np.ndarray:
    """First positions of the pieces: of every chunk that begins a stretch of at least :data:`PIECE_FRAMES`."""
    edges = [chunks[0][0]]
    for first, _ in chunks:
        if first - edges[-1] >= PIECE_FRAMES:
            edges.append(first)
    return np.array(edges, np.int64)


@dataclass(frozen=True)
class View:
    """Some of a piece's rows (all where `rows` is None)."""

    piece: Piece
    rows: np.ndarray | None = None

    @property
    def n_rows(self) -> int:
        """How many."""
        return self.piece.n_rows if self.rows is None else len(self.rows)

    def count_pixels(self) -> int:
        """Pixels in their shoeboxes."""
        # an empty choice needs no file to be opened
        if self.rows is None or not self.n_rows:
            return self.piece.count_pixels() if self.rows is None else 0
        with self.piece.open() as arrays:
            if "shoebox.offsets" not in arrays:
                return 0
            return int(np.diff(arrays["shoebox.offsets"])[self.rows].sum())

    def column(self, name: str) -> Any:
        """One column."""
        column = self.piece.column(name)
        if self.rows is None:
            return column
        return column.select(self.rows) if name == "shoebox" else column[self.rows]


def order_views(pieces: list[Piece], n_owners: int, keep: np.ndarray | None) -> Iterator[View]:
    """The rows of a search's pieces in canonical order: one view at least, if only for the columns.

    Parameters
    ----------
    pieces : list of Piece
    n_owners : int
        Where several experiments share the frames, their spots come one experiment after the other.
    keep : (n,) bool, optional
        Of all rows of all pieces, those to be kept.
    """
    masks: list[np.ndarray | None] = [None] * len(pieces)
    if keep is not None:
        masks = list(np.split(keep, np.cumsum([p.n_rows for p in pieces])[:-1]))
    if n_owners < 2:
        yield from (View(p, None if m is None else np.flatnonzero(m)) for p, m in zip(pieces, masks, strict=True))
        return
    ids = [p.column("id") for p in pieces]
    # the table is ordered by experiment first; a piece holds spots of all of them
    numbers = np.unique(np.concatenate(ids)).tolist()
    if not numbers:
        yield View(pieces[0])
    for number in numbers:
        for piece, mask, id_ in zip(pieces, masks, ids, strict=True):
            mine = id_ == number
            yield View(piece, np.flatnonzero(mine if mask is None else mine & mask))
