"""Tables of a CIF's text."""

from __future__ import annotations

from xdp.images.formats.cbf.cif import list_rows, parse_cif


def test_cif_words():
    text = "data_x\n_a.b 'it''s' # comment\n_a.c\n;text\nfield\n;\nloop_\n_t.x _t.y\n1 .\n\"2 3\" ? 4\n_u.v w\n"
    tables = parse_cif(text)
    assert tables["a"] == {"b": ["it''s"], "c": ["text\nfield"]}
    assert list_rows(tables["t"]) == [{"x": "1", "y": None}, {"x": "2 3", "y": None}]
    assert tables["u"]["v"] == ["w"]


def test_a_loop_cut_short_gives_whole_rows_only():
    tables = parse_cif("loop_ _t.x _t.y 1 2 3")
    assert list_rows(tables["t"]) == [{"x": "1", "y": "2"}]
    assert list_rows(None) == list_rows({}) == []


def test_text_that_is_no_cif_has_no_tables():
    assert parse_cif("\0 {binary} 'open quote\n") == {}
