"""What is called decided, and what is written."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from xdp.indexing.lattice.symmetry import find_space_group
from xdp.symmetry.absences import GroupClass
from xdp.symmetry.options import SymmetryOptions
from xdp.symmetry.setting import ConventionalSetting
from xdp.symmetry.verdict import SymmetryVerdict, judge_space_group


def judge(group: str, *classes: tuple[str, float], **options) -> tuple[gemmi.SpaceGroup, SymmetryVerdict]:
    made = [GroupClass(tuple(find_space_group(n) for n in names.split()), p) for names, p in classes]
    verdict = SymmetryVerdict(group, 1.0, True, (), 0.0, 0.0)
    return judge_space_group(verdict, made, ConventionalSetting(find_space_group(group), np.eye(3)),
                             SymmetryOptions(**options))


def test_enantiomorphs_are_named_together():
    group, verdict = judge("P422", ("P41212 P43212", 0.99), ("P4212", 0.01))
    assert group.short_name() == "P41212"
    assert verdict.is_space_group_decided
    assert verdict.space_groups == ("P41212", "P43212")
    assert not verdict.advice


def test_open_axes_are_not_claimed():
    group, verdict = judge("P422", ("P41212 P43212 P4212 P42212", 1.0))
    assert group.short_name() == "P4212"
    assert not verdict.is_space_group_decided
    assert any("sweep through the axis" in line for line in verdict.advice)


def test_groups_that_look_alike_are_said_to():
    group, verdict = judge("I222", ("I222 I212121", 1.0))
    assert group.short_name() == "I222"
    assert any("same extinctions" in line for line in verdict.advice)


@pytest.mark.parametrize(("level", "n"), [(0.95, 2), (0.8, 1)])
def test_the_level_decides_how_many_are_named(level, n):
    _, verdict = judge("P2", ("P21", 0.9), ("P2", 0.1), systematic_absences={"significance_level": level})
    assert len(verdict.space_groups) == n
    assert verdict.is_space_group_decided == (n == 1)


def test_without_a_check_no_screw_axis_is_named():
    group, verdict = judge("P422", ("P41212", 1.0), systematic_absences={"check": False})
    assert group.short_name() == "P422"
    assert verdict.space_groups == ("P422",)
