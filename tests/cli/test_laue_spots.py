"""The command laue_spots: options in the reference's spelling, and the summary."""

from __future__ import annotations

import types

import numpy as np
import pytest

from xdp.cli.laue_spots import format_summary, translate
from xdp.cli.main import main
from xdp.errors import OptionError


@pytest.mark.parametrize("words", [["-c", "4"], ["-c4"], ["--cutoff=4"], ["--cutoff", "4"], ["cutoff=4"]])
def test_spellings_of_one_option(words):
    assert translate([*words, "a.h5"]) == (set(), ["cutoff=4", "a.h5"])


def test_actions_and_what_follows_two_dashes():
    assert translate(["-v", "-hh", "--", "-odd.h5"]) == ({"verbose", "all"}, ["-odd.h5"])
    with pytest.raises(OptionError, match="option -n needs a value"):
        translate(["-n"])


@pytest.mark.parametrize(("counts", "text"), [
    ([], "2 spots on 0 masks\nWrote a.h5\n"),
    ([1, 5, 2], "2 spots on 3 masks (least 1, median 2, most 5 a mask)\nWrote"),
])
def test_the_summary_counts_spots(counts, text):
    found = types.SimpleNamespace(spots={"I": np.ones(2)}, counts=np.array(counts, int), ratios=None, output="a.h5")
    assert format_summary(found).startswith(text)


def test_one_input_is_wanted(capsys):
    assert main(["laue_spots", "a.h5", "b.h5"]) == 1
    assert "one input (file__mccd.h5) is wanted, got a.h5 b.h5" in capsys.readouterr().err
