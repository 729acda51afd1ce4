"""Our sentences are ours: none stands in the sources of an installed DIALS, but for those of a list with reasons."""

from __future__ import annotations

from pathlib import Path

import own_words
import pytest

pytestmark = pytest.mark.peer

PROJECT = Path(__file__).parents[2]
ALLOWED = own_words.read_allowed(Path(__file__).parent / "own_words_allowed.tsv")
FOLDERS = """
import importlib.util, os, numpy as np
names = "dials dxtbx xia2 xfel spotfinder iotbx cctbx scitbx libtbx mmtbx simtbx rstbx".split()
specs = [importlib.util.find_spec(name) for name in names]
np.savez("out.npz", folders=[os.path.dirname(spec.origin) for spec in specs if spec and spec.origin])
"""


@pytest.fixture(scope="module")
def theirs(dials, tmp_path_factory) -> list[tuple[str, str]]:
    """All strings of DIALS and its libraries."""
    folders = dials.script(FOLDERS, cwd=tmp_path_factory.mktemp("peers"))["folders"]
    strings = own_words.peer_strings(map(Path, folders))
    assert len(strings) > 50_000  # those of DIALS 3.12 are several times as many: that they are found at all
    return strings


@pytest.fixture(scope="module")
def hits(theirs) -> list[own_words.Hit]:
    """Our texts that share seven words in a row with one of theirs."""
    return own_words.shared_texts(own_words.our_texts(PROJECT), theirs)


def test_no_text_of_ours_stands_in_a_peer(hits):
    unknown = [str(hit) for hit in hits if not all(own_words.is_allowed(run, ALLOWED) for run in hit.runs)]
    assert not unknown, "say it anew from what the code does, or give a reason in own_words_allowed.tsv"


def test_every_allowed_phrase_is_used_and_has_a_reason(hits):
    runs = [run for hit in hits for run in hit.runs]
    for phrase, reason in ALLOWED.items():
        assert any(own_words.is_within(run, phrase) for run in runs), f"not in our texts any more: {phrase}"
        assert len(reason.split()) >= 4, phrase


def test_no_help_text_of_four_words_is_that_of_a_peer(theirs):
    known = own_words.help_texts(theirs)
    assert len(known) > 3000  # each parameter of DIALS has one: that they are found at all
    ours = own_words.option_texts()
    assert len(ours) > 700
    same = [f"{place}: {text}" for place, text in ours
            if len(own_words.fold(text)) >= 4 and tuple(own_words.fold(text)) in known]
    assert not same, "say what our code does with the parameter, with its unit and the consequence"
