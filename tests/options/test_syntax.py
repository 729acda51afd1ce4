"""The grammar, and that nothing a user writes is ever evaluated, imported or run."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdp.errors import OptionError
from xdp.options import parse, parse_phil
from xdp.options.syntax import parse_file, parse_text

EVIL = [
    "__import__('os').system('touch {bait}')",
    "open('{bait}','w')",
    "(lambda: __import__('pathlib').Path('{bait}').touch())()",
    "exec(\"open('{bait}','w')\")",
]


@pytest.fixture
def bait(tmp_path):
    """A path that evaluated user text would create."""
    path = tmp_path / "bait"
    yield path
    assert not path.exists(), "user text was evaluated"


def attempt(model, text):
    with contextlib.suppress(OptionError):
        parse_phil(model, text)


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize(
    "name",
    [
        "spotfinder.filter.min_spot_size",
        "spotfinder.filter.d_min",
        "spotfinder.scan_range",
        "spotfinder.filter.untrusted.circle",
        "spotfinder.filter.ice_rings.unit_cell",
        "spotfinder.filter.ice_rings.space_group",
        "spotfinder.algorithm",
        "output.shoeboxes",
        "output.log",
    ],
)
def test_values_are_literals(find_options, bait, evil, name):
    evil = evil.format(bait=bait)
    attempt(find_options, f"{name} = {evil}")
    attempt(find_options, f'{name} = "{evil}"'.replace("('", "(").replace("')", ")"))
    with contextlib.suppress(OptionError):
        parse(find_options, [f"{name}={evil}"])


@pytest.mark.parametrize("attribute", ["type", "expert_level", "multiple", "optional", "call", "style", "alias"])
@pytest.mark.parametrize("evil", EVIL)
def test_attributes_are_skipped_not_evaluated(find_options, bait, attribute, evil):
    evil = evil.format(bait=bait)
    text = f"output\n  .{attribute} = {evil}\n{{\n  shoeboxes = False\n    .{attribute} = {evil}\n}}"
    assert parse_phil(find_options, text).output.shoeboxes is False
    attempt(find_options, f"output.log = a\n  .type = int(value_min={evil})")
    attempt(find_options, f"output.log = a\n  !.{attribute} = {evil}")


@pytest.mark.parametrize(
    "text",
    [
        "include scope os.system",
        "include scope tests_evil_module.scope",
        "output { include scope os.system }",
        "output.include = os.system",
        "include = file /etc/passwd",
        "include file /etc/passwd",
        "include anything else",
        "include",
    ],
)
def test_includes_in_text_are_refused(find_options, text):
    with pytest.raises(OptionError):
        parse_phil(find_options, text)


def test_a_file_may_include_files_but_no_scopes(find_options, tmp_path):
    (tmp_path / "inner.phil").write_text("spotfinder.filter.d_min = 3\n")
    (tmp_path / "outer.phil").write_text("include file inner.phil\noutput.shoeboxes = False\n")
    options, _ = parse(find_options, [str(tmp_path / "outer.phil")])
    assert options.spotfinder.filter.d_min == 3
    assert options.output.shoeboxes is False
    (tmp_path / "evil.phil").write_text("include scope os.system\n")
    with pytest.raises(OptionError, match=r"evil\.phil: 'include scope os\.system' is refused"):
        parse(find_options, [str(tmp_path / "evil.phil")])


def test_an_include_cycle_is_refused(tmp_path):
    (tmp_path / "a.phil").write_text("include file b.phil")
    (tmp_path / "b.phil").write_text("include file a.phil")
    with pytest.raises(OptionError, match="includes itself"):
        parse_file(tmp_path / "a.phil")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a = 1\0", b"x" * 1_000_001])
def test_files_that_are_no_text_are_refused_by_name(tmp_path, content):
    path = tmp_path / "p.phil"
    path.write_bytes(content)
    with pytest.raises(OptionError, match=r"p\.phil: not a parameter file"):
        parse_file(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(OptionError, match=r"no\.phil: cannot read the parameter file: No such file"):
        parse_file(tmp_path / "no.phil")


@pytest.mark.parametrize("text", ["a{" * 5000, ".".join(["a"] * 5000) + "=1", "a{" * 100 + "}" * 100])
def test_deep_nesting_is_refused(text):
    with pytest.raises(OptionError, match=r"nested too deeply|end of input"):
        parse_text(text, "text")


def test_environment_variables_are_text(find_options, monkeypatch, bait):
    monkeypatch.setenv("XDP_TEST_VALUE", f"__import__('os').system('touch {bait}')")
    options, _ = parse(find_options, ["output.log=$XDP_TEST_VALUE", "output.reflections='$XDP_TEST_VALUE'"])
    assert options.output.log == os.environ["XDP_TEST_VALUE"]
    assert options.output.reflections == "$XDP_TEST_VALUE"
    with pytest.raises(OptionError, match="no environment variable XDP_TEST_MISSING"):
        parse(find_options, ["output.log=$(XDP_TEST_MISSING)/x"])


def test_comments_disabled_parts_and_several_definitions(find_options):
    text = "# note\noutput { log = a b; shoeboxes = no # really\n}\n!spotfinder.filter.d_min = 9\n"
    options = parse_phil(find_options, text)
    assert (options.output.log, options.output.shoeboxes) == ("a b", False)
    assert options.spotfinder.filter.d_min is None


@given(st.text(alphabet="ab.={}\"'\\\n #;!$()*,1_phil", max_size=80))
def test_any_text_is_parsed_or_refused(text):
    with contextlib.suppress(OptionError):  # and nothing else
        assert isinstance(parse_text(text, "text"), list)


def test_freephil_is_imported_without_pkg_resources():
    code = (
        "import sys; from xdp.options.syntax import parse_text; parse_text('a=1', 'x');"
        "assert 'freephil' in sys.modules; print('pkg_resources' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
