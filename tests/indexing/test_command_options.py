"""The top parameters of the commands around indexing."""

from __future__ import annotations

import pytest

from xdp.errors import XdpError
from xdp.indexing.command_options import (
    IndexOptions,
    RefineSettingsOptions,
    ReindexOptions,
    RotationAxisOptions,
    SearchBeamOptions,
)
from xdp.options import parse


def test_words_of_the_command_line_reach_their_options():
    options, rest = parse(IndexOptions, ["space_group=P43212", "max_lattices=2", "imported.expt"])
    assert options.indexing.known_symmetry.space_group == "P43212"
    assert options.indexing.multiple_lattice_search.max_lattices == 2
    assert list(rest) == ["imported.expt"]
    assert parse(ReindexOptions, ["hkl_offset=1,0,-1"])[0].hkl_offset == (1, 0, -1)
    assert parse(SearchBeamOptions, ["mm_search_scope=2"])[0].mm_search_scope == 2.0
    assert parse(RotationAxisOptions, ["azimuth=30"])[0].azimuth == 30.0


def test_wrong_names_are_errors():
    with pytest.raises(XdpError, match="max_latices"):
        parse(IndexOptions, ["max_latices=2"])


@pytest.mark.parametrize(("model", "word"), [
    (RefineSettingsOptions, "lepage_max_delta=21"), (IndexOptions, "known_symmetry.max_delta=21")])
def test_no_lattice_breaks_a_symmetry_by_so_much(model, word):
    # Hundreds of settings would be refined, for minutes.
    with pytest.raises(XdpError, match=r"max_delta.*20"):
        parse(model, [word])
