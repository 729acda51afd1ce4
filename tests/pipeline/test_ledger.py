"""The record of what is done."""

from __future__ import annotations

import json

import pytest

from xdp.pipeline.ledger import Ledger, make_stage_key


@pytest.fixture
def record(tmp_path):
    """A record of one stage with one file."""
    out = tmp_path / "out.expt"
    out.write_text("a")
    ledger = Ledger(tmp_path / "record.json")
    ledger.record("index", "k", [str(out)], {"spots": 3})
    return tmp_path


def test_what_is_done_is_known_to_the_next_run(record):
    ledger = Ledger(record / "record.json")
    assert ledger.is_done("index", "k")
    assert ledger.facts("index") == {"spots": 3}
    assert not ledger.is_done("index", "another key")
    assert not ledger.is_done("refine", "k")


@pytest.mark.parametrize("harm", [lambda p: p.write_text("ab"), lambda p: p.unlink()])
def test_a_changed_or_lost_file_undoes_its_stage(record, harm):
    harm(record / "out.expt")
    assert not Ledger(record / "record.json").is_done("index", "k")


def test_a_forgotten_stage_is_not_done(record):
    Ledger(record / "record.json").forget("index")
    assert not Ledger(record / "record.json").is_done("index", "k")


@pytest.mark.parametrize("content", ["", "{", "[1]", json.dumps({"index": 3}), json.dumps({"index": {"key": "k"}}),
                                     json.dumps({"index": {"key": "k", "files": [["x"]]}})])
def test_a_damaged_record_is_an_empty_one(record, content):
    (record / "record.json").write_text(content)
    ledger = Ledger(record / "record.json")
    assert not ledger.is_done("index", "k")
    ledger.record("refine", "k2", [], {})
    assert Ledger(record / "record.json").is_done("refine", "k2")


def test_keys_depend_on_all_parts():
    keys = {make_stage_key("a", {"x": 1}), make_stage_key("a", {"x": 2}), make_stage_key("b", {"x": 1}),
            make_stage_key("a", {"x": 1}, "c")}
    assert len(keys) == 4
    assert make_stage_key("a", {"x": 1, "y": 2}) == make_stage_key("a", {"y": 2, "x": 1})
