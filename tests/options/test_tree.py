"""A model seen as a PHIL scope."""

from __future__ import annotations

import pytest

from xdp.options import Options, option
from xdp.options.tree import build_tree


def test_paths_in_order(find_options):
    paths = [item.path for item in build_tree(find_options).definitions()]
    assert paths[:4] == ["output.reflections", "output.shoeboxes", "output.log", "spotfinder.scan_range"]
    assert "spotfinder.lambda" in paths
    assert len(paths) == len(set(paths)) == 24


def test_levels_are_inherited(find_options):
    levels = {item.path: item.level for item in build_tree(find_options).definitions()}
    assert levels["spotfinder.filter.d_min"] == 0
    assert levels["spotfinder.filter.ice_rings.d_min"] == 1
    assert levels["spotfinder.filter.gradient.cutoff"] == 2


def test_the_tree_is_made_once(find_options):
    assert build_tree(find_options) is build_tree(find_options)


def test_a_repeated_option_is_a_tuple():
    class Wrong(Options):
        a: int = option(1, "a", multiple=True)

    with pytest.raises(TypeError, match="a repeated option is annotated"):
        build_tree(Wrong)
