"""The comparison of texts that `tests/peers/test_own_words.py` makes, on texts of our own."""

from __future__ import annotations

import own_words
import pytest

THEIRS = [("peer/a.py:1", "the quick brown fox jumps over the lazy dog"),
          ("peer/a.py:9", 'size = 3\n  .help = "The quick brown fox"\n          "jumps over it."\n  .type = int\n'
                          "speed = 2\n  .help = How fast it runs\n")]


@pytest.mark.parametrize(("text", "n"), [
    ("A quick brown fox jumps over the lazy cat", 1),
    ("The QUICK brown-fox jumps, over the: lazy", 1),  # neither case nor punctuation counts
    ("the quick brown fox jumps over", 0),  # six words
    ("the quick brown fox=3 jumps over the lazy dog", 0),  # an assignment is no word, so that one is missing
    ("the quick brown 17 fox jumps over the lazy", 1),  # a number is no word
])
def test_seven_words_in_a_row_are_found(text, n):
    found = own_words.shared_texts([("ours.py:3", text)], THEIRS)
    assert len(found) == n
    assert all(hit.place == "ours.py:3" and hit.peer == "peer/a.py:1" for hit in found)


def test_help_texts_of_a_scope_are_found_over_several_lines_and_without_quotes():
    assert own_words.help_texts(THEIRS) == {
        ("the", "quick", "brown", "fox", "jumps", "over", "it"): "peer/a.py:9",
        ("how", "fast", "it", "runs"): "peer/a.py:9"}


def test_strings_docstrings_and_lines_of_pages_are_our_texts(tmp_path):
    (tmp_path / "xdp").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "xdp" / "a.py").write_text('"""A docstring."""\nx = f"so {x} many"\n')
    (tmp_path / "docs" / "a.md").write_text("one\ntwo\n")
    texts = list(own_words.our_texts(tmp_path))
    assert ("xdp/a.py:1", "A docstring.") in texts
    assert any(place == "xdp/a.py:2" and text.split() == ["so", "many"] for place, text in texts)
    assert [text for place, text in texts if place.startswith("docs")] == ["one", "two"]


def test_an_allowed_phrase_covers_its_own_runs_alone():
    phrase = "Found N strong pixels on image N with average background N"
    inside, outside = own_words.runs_of(phrase, 7)[0], own_words.runs_of("and " + phrase, 7)[0]
    assert own_words.is_allowed(inside, {phrase: "why"})
    assert not own_words.is_allowed(outside, {phrase: "why"})


def test_all_option_models_are_looked_at():
    texts = dict(own_words.option_texts())
    places = [place for place in texts if place.endswith((":IntegrateOptions", ":FindSpotsOptions", ":MaskOutput"))]
    assert len(places) == 3
