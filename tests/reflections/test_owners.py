"""Identifiers of reflections and of the experiments they are given with."""

from __future__ import annotations

import logging

import pytest

from xdp.errors import XdpError
from xdp.reflections import ReflectionTable
from xdp.reflections.owners import match_identifiers


def make_table(identifiers: dict[int, str]) -> ReflectionTable:
    """Spots of two experiments, and one that no lattice claims."""
    return ReflectionTable({"id": [0, 1, 1, -1], "imageset_id": [0, 1, 1, 1]}, identifiers)


@pytest.mark.parametrize(("identifiers", "names"), [
    ({0: "a", 1: "b"}, ["a", "b"]), ({}, ["a", "b"]), ({0: "a", 1: "b"}, ["", ""]), ({0: "a"}, ["a", "b"]),
    ({0: "a", 1: "b", -1: "none"}, ["a", "b"]), ({0: "a", 1: "b"}, ["a", "b", "c"])])
def test_equal_or_missing_identifiers_change_nothing(identifiers, names):
    table = make_table(identifiers)
    assert match_identifiers(table, names, range(len(names))) is table


def test_experiments_in_another_order_are_numbered_anew(caplog):
    with caplog.at_level(logging.INFO, logger="xdp"):
        table = match_identifiers(make_table({0: "a", 1: "b"}), ["c", "b", "a"], [0, 1, 2])
    assert table["id"].tolist() == [2, 1, 1, -1]
    assert table["imageset_id"].tolist() == [2, 1, 1, 1]
    assert table.identifiers == {2: "a", 1: "b"}
    assert "numbered anew" in caplog.text


def test_other_experiments_are_refused_with_a_choice():
    message = (r"strong\.refl is not of the experiments in new\.expt: experiment 0 is a\.\.\. in the reflections, but "
               r"x\.\.\. in the experiments.*input\.identifiers=ignore")
    with pytest.raises(XdpError, match=message):
        match_identifiers(make_table({0: "a", 1: "b"}), ["x", "b"], [0, 1], files=("strong.refl", "new.expt"))


def test_fewer_experiments_are_refused():
    with pytest.raises(XdpError, match=r"experiment 1 is b\.\.\. in the reflections, but none in the experiments"):
        match_identifiers(make_table({0: "a", 1: "b"}), ["a"], [0])


def test_the_user_may_know_better():
    """The same images imported again with another geometry: numbers count, and identifiers are those of the models."""
    table = match_identifiers(make_table({0: "a", 1: "b"}), ["x", "y"], [0, 1], ignore=True)
    assert table["id"].tolist() == [0, 1, 1, -1]
    assert table.identifiers == {0: "x", 1: "y"}
