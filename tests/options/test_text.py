"""PHIL text made from models."""

from __future__ import annotations

import pytest

from xdp.options import changed_text, parse, parse_phil, scope_text
from xdp.options.text import write_changes


def test_names_and_defaults_of_the_basic_level(find_options):
    assert scope_text(find_options, expert_level=0) == (
        "output {\n"
        "  reflections = 'strong.refl'\n"
        "  shoeboxes = True\n"
        "  log = 'it\\'s.log'\n"
        "}\n"
        "spotfinder {\n"
        "  scan_range = None\n"
        "  mask = None\n"
        "  filter {\n"
        "    min_spot_size = Auto\n"
        "    max_spot_size = 1000\n"
        "    fraction = 0.25\n"
        "    d_min = None\n"
        "    resolution_range = None\n"
        "    untrusted {\n"
        "      panel = None\n"
        "      circle = None\n"
        "      rectangle = None\n"
        "      polygon = None\n"
        "    }\n"
        "    ice_rings {\n"
        "      filter = False\n"
        "    }\n"
        "  }\n"
        "  algorithm = dispersion *dispersion_extended\n"
        "  columns = *one two three\n"
        "  names = None\n"
        "  lambda = 1\n"
        "}\n"
    )


def test_levels_hide_and_show(find_options):
    assert "unit_cell" not in scope_text(find_options, 0)
    assert "unit_cell" in scope_text(find_options, 1)
    assert "gradient" not in scope_text(find_options, 1)
    assert scope_text(find_options, 2) == scope_text(find_options) == scope_text(find_options, -1)


def test_attributes(find_options):
    one, two, three = (scope_text(find_options, None, level) for level in (1, 2, 3))
    help = (
        '    min_spot_size = Auto\n      .help = "Spots of fewer pixels are dropped, since noise makes a pair of"\n'
        '              "strong pixels now and then."\n'
    )
    assert help in one
    assert ".type" not in one
    assert help + "      .type = int(value_min=1, allow_none=True)\n" in two
    assert "  gradient\n" in two
    assert "      .expert_level = 2\n    {\n" in two
    assert ".multiple = True" in two
    assert "None\n" in three
    assert three.count(".multiple") > two.count(".multiple")


@pytest.mark.parametrize("attributes", [0, 1, 2, 3])
def test_printed_text_reads_back(find_options, attributes):
    options, _ = parse(find_options, ["d_min=2", "circle=1,2,3", "circle=4,5,6", "scan_range=1,2", "columns=two+three"])
    assert parse_phil(find_options, scope_text(options, None, attributes)) == options
    assert parse_phil(find_options, scope_text(find_options, None, attributes)) == find_options()


def test_lines_stay_within_the_page(find_options):
    options, _ = parse(find_options, ["polygon=" + ",".join(str(1000 + i) for i in range(60))])
    text = scope_text(options, None, 2)
    assert max(map(len, text.splitlines())) <= 79
    assert parse_phil(find_options, text) == options


def test_changed_text_lists_only_what_changed(find_options):
    assert changed_text(find_options()) == ""
    options, _ = parse(find_options, ["filter.d_min=2", "untrusted.panel=3", "algorithm=dispersion"])
    text = changed_text(options)
    assert text == (
        "spotfinder {\n  filter {\n    d_min = 2\n    untrusted {\n      panel = 3\n    }\n  }\n"
        "  algorithm = *dispersion dispersion_extended\n}\n"
    )
    assert parse_phil(find_options, text) == options


def test_written_changes_are_read_again(find_options, tmp_path):
    options, _ = parse(find_options, ["filter.d_min=2"])
    write_changes(tmp_path / "a.phil", changed_text(options))
    assert parse(find_options, [str(tmp_path / "a.phil")])[0] == options
    write_changes(tmp_path / "none.phil", "")
    assert (tmp_path / "none.phil").read_text() == ""
