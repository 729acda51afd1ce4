"""Command lines and files to models."""

from __future__ import annotations

import pytest

from xdp.errors import OptionError
from xdp.options import AUTO, parse, parse_phil


def test_nothing_said_gives_the_defaults(find_options):
    options, inputs = parse(find_options, [])
    assert options == find_options()
    assert inputs == []


def test_parameters_and_inputs_are_told_apart(find_options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run=3.cbf").write_text("")
    words = ["imported.expt", "d_min=2", "a_####.cbf", "run=3.cbf", "data/x=1/y.cbf", "foo{1..3}.cbf", "h5://x?y=1"]
    options, inputs = parse(find_options, words)
    assert options.spotfinder.filter.d_min == 2
    assert inputs == ["imported.expt", "a_####.cbf", "run=3.cbf", "data/x=1/y.cbf", "foo{1..3}.cbf", "h5://x?y=1"]


def test_the_last_value_wins_also_over_files(find_options, tmp_path):
    path = tmp_path / "p.phil"
    path.write_text("spotfinder { filter { d_min = 5\n min_spot_size = 4 } }")
    options, _ = parse(find_options, ["d_min=2", str(path)])
    assert options.spotfinder.filter.d_min == 5
    options, _ = parse(find_options, [str(path), "d_min=2", "min_spot_size=Auto"])
    assert options.spotfinder.filter.d_min == 2
    assert options.spotfinder.filter.min_spot_size is AUTO


def test_repeated_parameters_add_up(find_options, tmp_path):
    path = tmp_path / "p.phil"
    path.write_text("spotfinder.scan_range = 1 10\nspotfinder.scan_range = 5 6\n")
    options, _ = parse(find_options, [str(path), "scan_range=20,30", "scan_range=None", "scan_range=1,10"])
    assert options.spotfinder.scan_range == ((5, 6), (20, 30), (1, 10))


def test_each_word_for_a_repeated_scope_makes_a_new_one(find_options):
    options, _ = parse(find_options, ["untrusted.circle=1,2,3", "untrusted.rectangle=1,2,3,4", "untrusted.circle=None"])
    first, second = options.spotfinder.filter.untrusted
    assert (first.circle, first.rectangle) == ((1, 2, 3), None)
    assert (second.circle, second.rectangle) == (None, (1, 2, 3, 4))


def test_a_block_in_one_word_is_one_repeated_scope(find_options):
    options, _ = parse(find_options, ["untrusted { panel = 1; circle = 1 2 3 }", "untrusted.panel=2",
                                      "untrusted { panel=3; circle=4,5,6 }"])
    first, second, third = options.spotfinder.filter.untrusted
    assert (first.panel, first.circle) == (1, (1, 2, 3))
    assert (second.panel, second.circle) == (2, None)
    assert (third.panel, third.circle) == (3, (4, 5, 6))


def test_a_block_of_a_file_is_one_repeated_scope(find_options):
    text = "spotfinder.filter { untrusted { panel = 1; circle = 1 2 3 }\n untrusted { panel = 2 } }"
    first, second = parse_phil(find_options, text).spotfinder.filter.untrusted
    assert (first.panel, first.circle) == (1, (1, 2, 3))
    assert (second.panel, second.circle) == (2, None)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("min_spot_size=0", "spotfinder.filter.min_spot_size must be an integer >= 1, None or Auto, got '0'"),
        ("min_spt_size=3", "unknown parameter min_spt_size; did you mean spotfinder.filter.min_spot_size?"),
        ("algorithm=fast", "spotfinder.algorithm must be one of: dispersion dispersion_extended, got 'fast'"),
        ("scan_range=1", "spotfinder.scan_range must be 2 integers, got '1'"),
        ("d_min=", "'d_min=': Missing value for d_min"),
        ("!d_min=3", "'!d_min=3' sets no parameter"),
        ("log='a", "missing closing quote"),
    ],
)
def test_errors_name_the_parameter_and_what_would_fit(find_options, word, message):
    with pytest.raises(OptionError) as caught:
        parse(find_options, [word])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("spotfinder { filtr { d_min = 3 } }", r"p\.phil: unknown parameter spotfinder\.filtr; did you mean"),
        ("spotfinder.filter = 3", r"p\.phil: spotfinder\.filter is a scope"),
        ("output.log { a = 3 }", r"p\.phil: output\.log is a parameter"),
        ("d_min = 3", r"p\.phil: unknown parameter d_min; did you mean spotfinder\.filter\.d_min"),
        ("output {", r"p\.phil: .*end of input|p\.phil"),
    ],
)
def test_errors_in_files_name_the_file(find_options, tmp_path, text, message):
    path = tmp_path / "p.phil"
    path.write_text(text)
    with pytest.raises(OptionError, match=message):
        parse(find_options, [str(path)])


def test_rules_of_the_model_itself_become_one_line():
    from pydantic import model_validator

    from xdp.options import Options, option

    class Range(Options):
        low: int = option(1, "low")
        high: int = option(2, "high")

        @model_validator(mode="after")
        def _ordered(self):
            if self.low > self.high:
                raise ValueError(f"low must not exceed high, got {self.low} and {self.high}")
            return self

    class Top(Options):
        range: Range = option(Range(), "")

    with pytest.raises(OptionError, match=r"^range: low must not exceed high, got 3 and 2$"):
        parse(Top, ["low=3"])


def test_a_scope_keeps_the_defaults_its_parent_gave_it():
    from xdp.options import Options, option

    class Inner(Options):
        a: int = option(1, "a")
        b: int = option(2, "b")

    class Top(Options):
        inner: Inner = option(Inner(a=7), "")

    assert parse(Top, ["b=5"])[0].inner == Inner(a=7, b=5)


def test_names_of_inputs_stand_for_files(tmp_path, find_options):
    (tmp_path / "a.phil").write_text(
        "input { experiments = b.expt\n reflections = None }\nspotfinder.filter.d_min = 2\n")
    options, inputs = parse(find_options, ["input.experiments=a.expt", str(tmp_path / "a.phil"), "c.expt",
                                               "input { reflections='d e.refl' }"])
    assert inputs == ["a.expt", "b.expt", "c.expt", "d e.refl"]
    assert options.spotfinder.filter.d_min == 2
    with pytest.raises(OptionError, match=r"unknown parameter input\.mask"):
        parse(find_options, ["input.mask=a"])
