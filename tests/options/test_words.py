"""Words to values by literals only, and values to words that read back."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdp.errors import OptionError
from xdp.options import AUTO, parse_phil, scope_text
from xdp.options.tree import build_tree
from xdp.options.words import quote_text, read_value, write_value


def words(text: str, quote: str | None = None) -> list:
    return [SimpleNamespace(value=item, quote_token=quote) for item in (text.split() if quote is None else [text])]


@pytest.fixture
def definition(find_options):
    by_path = {item.path: item for item in build_tree(find_options).definitions()}
    return lambda name: next(item for path, item in by_path.items() if path.endswith(name))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("min_spot_size", "3", 3),
        ("min_spot_size", "+3.0", 3),
        ("min_spot_size", "AUTO", AUTO),
        ("min_spot_size", "none", None),
        ("filter.d_min", "1e1", 10.0),
        ("filter.d_min", ".5", 0.5),
        ("filter.d_min", "5.", 5.0),
        ("scan_range", "1,10", (1, 10)),
        ("scan_range", "(1, 10)", (1, 10)),
        ("scan_range", "[[1;10]]", (1, 10)),
        ("scan_range", "1 10", (1, 10)),
        ("shoeboxes", "off", False),
        ("shoeboxes", "YES", True),
        ("shoeboxes", "0", False),
        ("output.log", "a b", "a b"),
        ("output.log", "None", None),
        ("algorithm", "Dispersion", "dispersion"),
        ("algorithm", "*dispersion dispersion_extended", "dispersion"),
        ("columns", "two+three", ("two", "three")),
        ("columns", "*three one *two", ("two", "three")),
        ("columns", "one two", ()),
        ("unit_cell", "78,78,37", (78, 78, 37, 90, 90, 90)),
        ("unit_cell", "5 6 7 80 90 100", (5, 6, 7, 80, 90, 100)),
        ("space_group", "P 43 21 2", "P 43 21 2"),
        ("space_group", "19", "19"),
        ("names", "a b", ("a", "b")),
    ],
)
def test_words_become_values(definition, name, text, value):
    assert read_value(definition(name), words(text)) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("min_spot_size", "0"),
        ("min_spot_size", "3.5"),
        ("min_spot_size", "three"),
        ("min_spot_size", "1e2"),
        ("min_spot_size", "0x10"),
        ("min_spot_size", "9" * 5000),
        ("max_spot_size", "None"),
        ("max_spot_size", "Auto"),
        ("filter.d_min", "-1"),
        ("filter.d_min", "nan"),
        ("filter.d_min", "inf"),
        ("filter.d_min", "1e999"),
        ("filter.d_min", "1/3"),
        ("fraction", "1.01"),
        ("scan_range", "1"),
        ("scan_range", "1,2,3"),
        ("scan_range", "()"),
        ("polygon", "1,-2"),
        ("shoeboxes", "maybe"),
        ("algorithm", "disp"),
        ("algorithm", "dispersion dispersion_extended"),
        ("algorithm", "*dispersion *dispersion_extended"),
        ("columns", "one+four"),
        ("unit_cell", "5 6"),
        ("unit_cell", "5 6 7 90 90 180"),
        ("unit_cell", "5 6 7 30 30 150"),
        ("space_group", "231"),
        ("space_group", "P 7"),
        ("lambda", "0"),
        ("lambda", "100"),
        ("output.reflections", "None"),
    ],
)
def test_what_does_not_fit_is_refused_with_name_and_wish(definition, name, text):
    with pytest.raises(OptionError) as caught:
        read_value(definition(name), words(text))
    message = str(caught.value)
    assert definition(name).path in message
    assert definition(name).wanted in message
    assert "\n" not in message


def test_a_quoted_none_is_a_text(definition):
    assert read_value(definition("output.log"), words("None", quote="'")) == "None"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("min_spot_size", AUTO, "Auto"),
        ("filter.d_min", 0.1, "0.1"),
        ("filter.d_min", 1 / 3, repr(1 / 3)),
        ("filter.d_min", 2.0, "2"),
        ("scan_range", (1, 10), "1 10"),
        ("columns", ("one", "three"), "*one two *three"),
        ("output.log", "it's", r"'it\'s'"),
        ("unit_cell", (78.0, 78.0, 37.5, 90.0, 90.0, 90.0), "78,78,37.5,90,90,90"),
    ],
)
def test_values_become_words(definition, name, value, text):
    assert write_value(definition(name), value) == text


@given(st.text(max_size=60).filter(lambda text: "\0" not in text))
def test_any_text_reads_back_from_its_quotes(find_options, text):
    options = parse_phil(find_options, f"output.log = {quote_text(text)}")
    assert options.output.log == text
    assert parse_phil(find_options, scope_text(options)) == options


@given(st.floats(min_value=0, allow_infinity=False))
def test_any_number_reads_back_to_the_last_bit(find_options, number):
    options = parse_phil(find_options, f"spotfinder.filter.d_min = {number!r}")
    assert options.spotfinder.filter.d_min == number
    assert parse_phil(find_options, scope_text(options)) == options
