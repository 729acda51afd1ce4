"""The parameters of `xdp export`."""

from __future__ import annotations

import pytest

from xdp.errors import OptionError
from xdp.exporting.options import ExportOptions, MtzOptions
from xdp.options.reader import parse


def test_several_kinds_are_joined_by_plus():
    assert parse(ExportOptions, ["intensity=sum+profile"])[0].intensity in (("sum", "profile"), ("profile", "sum"))
    with pytest.raises(OptionError):
        parse(ExportOptions, ["intensity=best"])


def test_limits_have_bounds():
    for words in (["mtz.d_min=-1"], ["mtz.partiality_threshold=-0.1"], ["json.n_digits=0"]):
        with pytest.raises(OptionError):
            parse(ExportOptions, words)


def test_short_names_reach_their_scope():
    assert parse(ExportOptions, ["d_min=1.8", "min_isigi=None"])[0].mtz == MtzOptions(d_min=1.8, min_isigi=None)
