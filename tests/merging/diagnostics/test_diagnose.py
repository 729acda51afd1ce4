"""Warnings about crystals, and none about crystals like most."""

from __future__ import annotations

import json

import numpy as np
import pytest
from merged_data import draw_merged

from xdp.merging.diagnostics.diagnose import diagnose, make_diagnostics_table
from xdp.merging.unique import find_unique

TETRAGONAL = (78.0, 78.0, 38.0, 90.0, 90.0, 90.0)


def warn(symbol="P 41", cell=TETRAGONAL, seed=1, **named):
    return diagnose(*draw_merged(symbol, cell, 2.2, np.random.default_rng(seed), **named)).list_warnings()


@pytest.mark.parametrize("symbol", ["P 1", "P 41", "P 43 21 2"])
def test_no_warning_without_reason(symbol):
    assert [warn(symbol, seed=seed) for seed in range(5)] == [[]] * 5


def test_a_twin_is_named_with_its_law_and_fraction():
    said, = warn(law="-x,y,-z", fraction=0.3, noise=0.05)
    assert "most likely twinned: by -h,k,-l with a fraction of 0.3" in said


def test_a_twin_merged_in_too_high_a_group_has_no_law_left():
    drawn = draw_merged("P 41", TETRAGONAL, 2.2, np.random.default_rng(1), law="-x,y,-z", fraction=0.5, noise=0.05)
    higher = draw_merged("P 41 2 2", TETRAGONAL, 2.2, np.random.default_rng(1))
    both = find_unique(drawn.group, np.concatenate([drawn.unique.hkl, higher.unique.hkl]))
    row = np.empty(len(both), int)
    row[both.group[:len(drawn.d)]] = np.arange(len(drawn.d))
    rows = row[both.group[len(drawn.d):]]
    said = diagnose(higher.unique, drawn.intensity[rows], drawn.sigma[rows], higher.d, TETRAGONAL,
                    higher.group).list_warnings()
    assert "taken too high" in said[0]


def test_weak_twins_are_left_open():
    said, = warn(law="-x,y,-z", fraction=0.3, noise=0.25)
    assert "too weak for the L test" in said


def test_a_translation_is_named():
    said = warn("P 1", (60.0, 70.0, 80.0, 90.0, 95.0, 90.0), shift=(0.5, 0.5, 0.0))
    assert any("translational pseudosymmetry" in line for line in said)


def test_report_is_json():
    found = diagnose(*draw_merged("P 41", TETRAGONAL, 3.0, np.random.default_rng(1)))
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["twin_laws"][0]["operation"] == "-h,k,-l"
    assert "twin fraction of -h,k,-l (H test)" in make_diagnostics_table(found).text()
