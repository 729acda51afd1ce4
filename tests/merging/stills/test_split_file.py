"""Files that say which shots are merged apart."""

from __future__ import annotations

import pytest

from xdp.errors import FormatError
from xdp.merging.stills.split_file import read_split_file

SHOTS = ["/data/run.h5//12", "/data/run.h5//13", "shot-2"]
NAMES = ["a", "b", "shot-2"]


def test_shots_are_named_in_several_ways(tmp_path):
    path = tmp_path / "split.txt"
    path.write_text("run.h5//12 on  # laser\n/data/run.h5 //13 off\n\nshot-2 on\n")
    assert read_split_file(path, NAMES, SHOTS) == ["on", "off", "on"]


@pytest.mark.parametrize(("text", "message"), [
    ("run.h5//12\n", "line 1"), ("a on\na off\n", "in group on already"), ("x on\n", "names none"),
    ("a on/off\n", "letters")])
def test_faults_are_named(tmp_path, text, message):
    path = tmp_path / "split.txt"
    path.write_text(text)
    with pytest.raises(FormatError, match=message):
        read_split_file(path, NAMES, SHOTS)
    with pytest.raises(FormatError, match="cannot be read"):
        read_split_file(tmp_path / "none", NAMES, SHOTS)
