"""The reference's options: letters, long names, defaults."""

from __future__ import annotations

import pytest

from xdp.cli.laue_spots import SHORT, translate
from xdp.errors import OptionError
from xdp.laue.options import LaueImportOptions, LaueSpotsOptions
from xdp.options import AUTO, parse, scope_text

#: From the reference's help: letter, long name, default.
REFERENCE = [("o", "output", AUTO), ("m", "method", "n_removed"), ("n", "n", 25), ("A", "alpha", 0.05),
             ("c", "cutoff", 3.0), ("e", "erosions", 1), ("d", "dilations", 2), ("s", "structure", (2, 2)),
             ("a", "angles", 10), ("S", "sync", "none"), ("C", "compression", "gzip")]
VALUES = {"output": "x.h5", "method": "kruskal", "n": "10", "alpha": "0.01", "cutoff": "4.5", "erosions": "2",
          "dilations": "3", "structure": "2,1", "angles": "5", "sync": "pairs", "compression": "lzf"}


@pytest.mark.parametrize(("letter", "name", "default"), REFERENCE)
def test_each_option_in_every_spelling(letter, name, default):
    value = VALUES[name]
    assert getattr(LaueSpotsOptions(), name) == default
    results = set()
    for words in ([f"-{letter}", value], [f"-{letter}{value}"], [f"--{name}={value}"], [f"--{name}", value],
                  [f"{name}={value}"]):
        options, inputs = parse(LaueSpotsOptions, translate([*words, "f.h5"])[1])
        assert inputs == ["f.h5"]
        results.add(str(getattr(options, name)))
    assert len(results) == 1
    assert results != {str(default)}


@pytest.mark.parametrize(("word", "parameter"), [
    ("--dil=1", "dilations=1"), ("--e=2", "erosions=2"), ("--meth=kruskal", "method=kruskal"), ("--cu=4", "cutoff=4"),
    ("--n=3", "n=3"), ("--al=0.1", "alpha=0.1"), ("--o=a.h5", "output=a.h5"), ("--s=2,1", "structure=2,1"),
    ("--sy=pairs", "sync=pairs")])
def test_long_options_may_be_cut_short(word, parameter):
    assert translate([word, "f.h5"]) == (set(), [parameter, "f.h5"])
    assert translate([*word.split("="), "f.h5"]) == (set(), [parameter, "f.h5"])


@pytest.mark.parametrize(("word", "action"), [("--hel", "help"), ("--vers", "version"), ("--sh", "config"),
                                              ("--verb", "verbose")])
def test_so_may_options_without_a_value(word, action):
    assert translate([word]) == ({action}, [])


@pytest.mark.parametrize(("word", "candidates"), [
    ("--c=4", "--compression, --cutoff"), ("--a=4", "--alpha, --angles"), ("--ver", "--verbose, --version")])
def test_the_beginning_of_several_options_is_ambiguous(word, candidates):
    with pytest.raises(OptionError, match=f"is ambiguous: {candidates}"):
        translate([word, "f.h5"])


@pytest.mark.parametrize("words", [["-S", "none"], ["sync=none"], ["compression=none"], ["mp.method=none"]])
def test_none_is_a_choice_like_any_other(words):
    options = parse(LaueSpotsOptions, translate(words)[1])[0]
    assert "none" in (options.sync, options.compression, options.mp.method)


def test_no_letter_is_forgotten():
    assert sorted(SHORT.items()) == sorted((letter, name) for letter, name, _ in REFERENCE)


@pytest.mark.parametrize("word", ["-x", "--colour=red", "-Q3", "--outputs"])
def test_unknown_options(word):
    with pytest.raises(OptionError, match="unknown option"):
        translate([word, "f.h5"])


def test_option_without_its_value():
    with pytest.raises(OptionError, match="-n needs a value"):
        translate(["f.h5", "-n"])


def test_negative_numbers_are_values():
    assert translate(["-c", "-1.5"])[1] == ["cutoff=-1.5"]


@pytest.mark.parametrize("words", ["n=100", "n=-1", "alpha=0", "cutoff=x", "structure=2", "sync=all", "erosions=-1",
                                   "angels=3", "method=__import__('os')"])
def test_values_out_of_range_and_unknown_names(words):
    with pytest.raises(OptionError):
        parse(LaueSpotsOptions, [words])


@pytest.mark.parametrize("model", [LaueSpotsOptions, LaueImportOptions])
def test_scope_reads_back(model, tmp_path):
    (tmp_path / "a.phil").write_text(scope_text(model, 3))
    assert parse(model, [str(tmp_path / "a.phil")])[0] == model()
