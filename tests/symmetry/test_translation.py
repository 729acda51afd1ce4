"""Pseudo-translations are found, and taken out."""

from __future__ import annotations

import numpy as np
import pytest
from symmetry_data import ORTHORHOMBIC, make_symmetric

from xdp.symmetry.find import find_symmetry


def test_a_pseudo_translation_is_found_and_the_group_is_right():
    found = find_symmetry(*make_symmetric("P222", ORTHORHOMBIC, 90, translation=(0.5, 0.5, 0.03)))
    translation = found.verdict.translation
    assert translation is not None
    # on the primitive axes, which are those of the cell in ascending order
    assert np.abs(translation.vector - np.round(translation.vector)).round(2).max() == pytest.approx(0.5, abs=0.02)
    assert translation.height > 0.2
    assert found.verdict.laue_class == "P 2 2 2"
    assert found.verdict.twin_probability < 0.01


@pytest.mark.parametrize("seed", range(2, 6))
def test_there_is_none_without(seed):
    assert find_symmetry(*make_symmetric("P222", ORTHORHOMBIC, 60, seed=seed)).verdict.translation is None
