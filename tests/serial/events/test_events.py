"""Events of several sources: numbers, and shots whose reading raises."""

from __future__ import annotations

import pytest

from xdp.serial.events.events import Events
from xdp.serial.events.shot import Shot, ShotError
from xdp.serial.events.source import Source


class Counting(Source):
    """Shots of a name; some raise."""

    def __init__(self, name, n, bad=()):
        self.name, self.n, self.bad = name, n, dict(bad)

    @property
    def n_shots(self):
        return self.n

    def get_id(self, index):
        return f"{self.name} //{index}"

    def read(self, index):
        if index in self.bad:
            raise self.bad[index]
        return Shot(index, self.get_id(index))


def test_numbers_run_through_all_sources():
    events = Events([Counting("a", 2), Counting("b", 0), Counting("c", 3)])
    assert [(shot.index, shot.id) for shot in events] == [(0, "a //0"), (1, "a //1"), (2, "c //0"), (3, "c //1"),
                                                          (4, "c //2")]
    assert events[-1].id == events.get_id(4) == "c //2"
    assert [shot.index for shot in events[1:3]] == [1, 2]
    with pytest.raises(IndexError):
        events[5]


def test_one_shot_never_takes_the_others():
    events = Events([Counting("a", 4, {1: MemoryError("x"), 2: ShotError("psana", "call failed")})])
    assert [shot.failure.reason if shot.failure else None for shot in events] == [None, "error", "psana", None]
    assert "MemoryError" in events[1].failure.message


def test_interrupts_are_no_failures():
    with pytest.raises(KeyboardInterrupt):
        Events([Counting("a", 1, {0: KeyboardInterrupt()})])[0]
