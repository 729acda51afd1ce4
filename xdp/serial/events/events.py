"""All shots of a run: by number, or one after the other."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from xdp.display import Displayed
from xdp.serial.events.failures import explain_failure
from xdp.serial.events.shot import Shot
from xdp.serial.events.source import Source

if TYPE_CHECKING:
    from xdp.experiment import Experiment


class Events(Displayed, Sequence):
    """The shots of a run in a fixed order.

    Reading a shot never raises because of the shot: what is wrong with it is its ``failure``, and the others go on.
    Events may be pickled and sent to workers, and threads may share them.

    Parameters
    ----------
    sources : sequence of Source
        In order.
    skip : int, default 0
        Shots at the beginning that are left out. They keep their numbers: the first shot has index `skip`.
    count : int, optional
        No more than so many shots; None: all.

    Examples
    --------
    >>> from xdp.serial.events import open_events
    >>> events = open_events("run0012.cxi")  # doctest: +SKIP
    >>> [shot.id for shot in events if shot.failure is None]  # doctest: +SKIP
    """

    def __init__(self, sources: Sequence[Source], skip: int = 0, count: int | None = None) -> None:
        self.sources = tuple(sources)
        self.skip = skip
        self.n_most = count
        self._count_shots()

    def _count_shots(self) -> None:
        """Note where each source ends."""
        self._ends = list(accumulate(source.n_shots for source in self.sources))

    def _facts(self) -> list[tuple[str, Any]]:
        return [("shots", len(self)), ("sources", len(self.sources))]

    def __len__(self) -> int:
        n_left = max(0, (self._ends[-1] if self._ends else 0) - self.skip)
        return n_left if self.n_most is None else min(n_left, self.n_most)

    def __getitem__(self, index: Any) -> Any:
        """Read a shot; a slice gives a list of shots, all read."""
        if isinstance(index, slice):
            return [self.read(i) for i in range(*index.indices(len(self)))]
        return self.read(index + len(self) if index < 0 else index)

    def __iter__(self) -> Iterator[Shot]:
        return (self.read(i) for i in range(len(self)))

    def _find(self, index: int) -> tuple[Source, int]:
        """The source of a shot, and its number there."""
        if not 0 <= index < len(self):
            raise IndexError(f"shot must be in 0 to {len(self) - 1}, got {index}")
        place = bisect.bisect_right(self._ends, index + self.skip)
        start = self._ends[place - 1] if place else 0
        return self.sources[place], index + self.skip - start

    def get_id(self, index: int) -> str:
        """Get the name of a shot without reading it.

        Parameters
        ----------
        index : int
            From 0.

        Returns
        -------
        str
            Its file, and which image of it.
        """
        source, local = self._find(index)
        return source.get_id(local)

    def read(self, index: int) -> Shot:
        """Read a shot.

        Parameters
        ----------
        index : int
            From 0.

        Returns
        -------
        Shot
            With ``failure`` where it cannot be read, for whatever reason.

        Raises
        ------
        IndexError
            If there is no such shot.
        """
        source, local = self._find(index)
        try:
            shot = source.read(local)
        # One shot never takes the others of its worker: whatever it raises becomes its failure.
        except Exception as error:
            name = source.get_id(local)
            shot = Shot(0, name, failure=explain_failure(error, name.split(" //")[0]))
        return dataclasses.replace(shot, index=index + self.skip)

    def refresh(self) -> int:
        """Look again how many shots there are, where files are still being written.

        Returns
        -------
        int
            How many shots there are now.
        """
        for source in self.sources:
            source.refresh()
        self._count_shots()
        return len(self)

    @property
    def experiment(self) -> Experiment | None:
        """Models of the first shot that could be read; None where there is none among the first ten."""
        # Ten: blank beginnings of a run are skipped, and a folder of rubbish is not read to its end. A choice.
        return next((shot.experiment for shot in map(self.read, range(min(10, len(self))))
                     if shot.experiment is not None), None)
