"""Names of columns and experiments for lines of a log."""

from __future__ import annotations

from xdp.reflections.unused import MOST_NAMED, list_unknown_columns, name_experiments


def test_columns_of_all_stages_are_known():
    names = ["id", "bbox", "intensity.sum.value", "xyzcal.mm", "delpsical.rad", "partial_id", "kapton_absorption"]
    assert list_unknown_columns(names) == []
    assert list_unknown_columns([*names, "weight", "intensity"]) == ["intensity", "weight"]


def test_few_experiments_are_named_and_of_many_the_number():
    assert name_experiments([1], 2) == " (experiment 1)"
    assert name_experiments(range(MOST_NAMED), 9) == " (experiments 0, 1, 2, 3, 4)"
    assert name_experiments(range(MOST_NAMED + 1), 9) == " (6 experiments)"
