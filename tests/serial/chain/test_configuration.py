"""Tests of reading the configuration of a chain."""

import pytest
from chain_data import REFERENCE

from xdp.errors import OptionError
from xdp.serial.chain.configuration import find_phil_file, is_chain_file, parse_chain, read_chain, refuse_code


def test_the_reference_as_it_stands():
    chain = parse_chain(REFERENCE.format(folder="/data", threshold=450))
    assert [m.label for m in chain.modules] == ["mod_hitfind:hitfind", "mod_dump:hit", "mod_hitfind:index",
                                                "mod_dump:indexed"]
    assert chain.modules[0].keys["address"] == "CxiDs1-0|Cspad-0"
    assert chain.modules[0].keys["detz_offset"] == "581"
    assert chain.modules[1].keys["out_basename"] == "shot-"
    assert chain.num_cpu is None


def test_the_reference_as_its_page_prints_it():
    """Without line breaks: a backslash between modules, and all keys behind the section's name."""
    text = ("[pyana] modules = my_ana_pkg.mod_hitfind:hitfind \\ my_ana_pkg.mod_dump:hit\n"
            "[my_ana_pkg.mod_hitfind:hitfind] address = CxiDs1-0|Cspad-0 detz_offset = 581 dispatch = nop "
            "xtal_target = /a/hitfind-7.1.phil\n[my_ana_pkg.mod_dump:hit] out_basename = shot-")
    first, second = parse_chain(text).modules
    assert first.keys == {"address": "CxiDs1-0|Cspad-0", "detz_offset": "581", "dispatch": "nop",
                          "xtal_target": "/a/hitfind-7.1.phil"}
    assert second.keys == {"out_basename": "shot-"}


@pytest.mark.parametrize("section", ["pyana", "psana"])
def test_sections_prefixes_and_instances(section):
    text = f"""# comment
[{section}]
num-cpu = 12
modules = a.b.mod_hitfind:x mod_hitfind,
   mod_dump
; another
[a.b.mod_hitfind]
threshold = 4
roi = None
dark_path =
mask_path = No
[a.b.mod_hitfind:x]
threshold = 5
[mod_hitfind]
threshold = 6
"""
    chain = parse_chain(text)
    assert [m.label for m in chain.modules] == ["mod_hitfind:x", "mod_hitfind", "mod_dump"]
    assert chain.modules[0].keys == {"threshold": "5"}
    assert chain.modules[1].keys == {"threshold": "6"}
    assert chain.num_cpu == 12


def test_keys_of_a_module_hold_for_all_its_instances():
    chain = parse_chain("[pyana]\nmodules = p.m:a p.m:b\n[p.m]\nx = 1\ny = 2\n[p.m:b]\ny = 3")
    assert [dict(m.keys) for m in chain.modules] == [{"x": "1", "y": "2"}, {"x": "1", "y": "3"}]


def test_values_go_on_in_the_next_line_and_may_hold_an_equals_sign():
    chain = parse_chain("[pyana]\nmodules = m\n[m]\nflags = inactive\n   noelastic\na = b=c \\\n d")
    assert chain.modules[0].keys == {"flags": "inactive noelastic", "a": "b=c d"}


@pytest.mark.parametrize(("text", "message"), [
    ("[other]\na = 1", "no section"), ("[pyana]\nnum-cpu = 2", "names no module"), ("a = 1\n[pyana]", "line 1"),
    ("[pyana]\nmodules = m\nwhat is this", "line 3"), ("[pyana]\nmodules = m\nnum-cpu = many", "whole number")])
def test_errors_say_where(text, message):
    with pytest.raises(OptionError, match=message):
        parse_chain(text)


@pytest.mark.parametrize("value", ["os.path.join('a', 'b')", "__import__('os').system('true')", '"/data/dark.pickle"',
                                   "lambda: 1", "[1]"])
@pytest.mark.parametrize("key", ["dark_path", "dark_stddev", "gain_map_path", "mask_path"])
def test_python_code_is_refused_with_the_reason(key, value):
    with pytest.raises(OptionError, match="never evaluates"):
        refuse_code(key, value, "mod_hitfind")


def test_files_of_a_configuration(tmp_path):
    (tmp_path / "a.cfg").write_text("[pyana]\nmodules = m:x m:y\n[m:x]\nxtal_target = target\n[m:y]\nxtal_target = no")
    (tmp_path / "target.phil").write_text("")
    chain = read_chain(tmp_path / "a.cfg")
    assert chain.files == (str(tmp_path / "a.cfg"), str(tmp_path / "target.phil"))
    assert is_chain_file(tmp_path / "a.cfg")
    assert not is_chain_file(tmp_path / "target.phil")
    assert not is_chain_file(tmp_path)
    assert find_phil_file("none", str(tmp_path)) is None
    with pytest.raises(OptionError, match="cannot be read"):
        read_chain(tmp_path / "none.cfg")
