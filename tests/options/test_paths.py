"""Abbreviated paths."""

from __future__ import annotations

import logging

import pytest

from xdp.errors import OptionError
from xdp.options import Options, option
from xdp.options.paths import find_nearest_name, resolve
from xdp.options.tree import build_tree


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("spotfinder.filter.d_min", "spotfinder.filter.d_min"),
        ("filter.d_min", "spotfinder.filter.d_min"),
        ("min_spot_size", "spotfinder.filter.min_spot_size"),
        ("min_spot", "spotfinder.filter.min_spot_size"),
        ("rings.unit", "spotfinder.filter.ice_rings.unit_cell"),
        ("lambda", "spotfinder.lambda"),
        ("alg", "spotfinder.algorithm"),
    ],
)
def test_unique_matches(find_options, typed, path, caplog):
    assert resolve(build_tree(find_options), typed).path == path
    assert not caplog.records


def test_lowest_expert_level_wins_with_a_note(find_options, caplog):
    with caplog.at_level(logging.WARNING, "xdp"):
        assert resolve(build_tree(find_options), "d_min").path == "spotfinder.filter.d_min"
    assert "spotfinder.filter.ice_rings.d_min" in caplog.text
    assert "spotfinder.filter.d_min is taken" in caplog.text


def test_the_level_of_a_scope_counts_for_what_is_in_it(find_options):
    # gradient.filter has no level of its own, but its scope is of level 2, so ice_rings.filter (0) is meant
    assert resolve(build_tree(find_options), "filter").path == "spotfinder.filter.ice_rings.filter"


def test_a_tie_stops_and_names_the_candidates(find_options):
    with pytest.raises(OptionError, match=r"spot_size is ambiguous.*filter\.min_spot_size.*filter\.max_spot_size"):
        resolve(build_tree(find_options), "spot_size")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("min_spt_size", "spotfinder.filter.min_spot_size"),
        ("spotfnder.filter.d_min", "spotfinder.filter.d_min"),
        ("MIN_SPOT_SIZE", "spotfinder.filter.min_spot_size"),
        ("output.shoebox", "output.shoeboxes"),
        ("untrusted.circel", "spotfinder.filter.untrusted.circle"),
    ],
)
def test_the_nearest_name_is_suggested(find_options, typed, meant):
    assert find_nearest_name(build_tree(find_options), typed) == meant


def test_nonsense_gets_no_suggestion(find_options):
    with pytest.raises(OptionError, match="unknown parameter qqqqq; -c -e 3 lists all parameters"):
        resolve(build_tree(find_options), "qqqqq")


class Inner(Options):
    """One scope further down."""

    size: int = option(1, "")


class Stage(Options):
    """An outermost scope."""

    deep: Inner = option(Inner(), "")
    rarely: Inner = option(Inner(), "", expert=2)


class Top(Options):
    """Two stages."""

    first: Stage = option(Stage(), "", expert=2)
    second: Stage = option(Stage(), "", expert=2)


def test_the_rest_of_a_path_is_read_within_the_outermost_scope():
    root = build_tree(Top)
    assert resolve(root, "second.size").path == "second.deep.size"  # by the levels that the stage's own command sees
    with pytest.raises(OptionError, match="ambiguous"):
        resolve(root, "size")
    for typed in ("third.size", "second.colour", "second."):
        with pytest.raises(OptionError, match=r"unknown|ambiguous"):
            resolve(root, typed)
