from __future__ import annotations

import numpy as np
import pytest
from experiment_examples import flat_panel
from hypothesis import given
from hypothesis import strategies as st

from xdp.experiment import Detector
from xdp.experiment.trusted import exclusive_range, inclusive_range, looks_exclusive, to_exclusive, to_inclusive


def test_by_hand():
    assert inclusive_range((-1.0, 65536.0)) == (0.0, 65535.0)
    assert exclusive_range((0.0, 65535.0)) == (-1.0, 65536.0)
    assert inclusive_range((-1.5, 10.5)) == (-1.0, 10.0)
    assert exclusive_range((-1.5, 10.5)) == (-2.0, 11.0)
    assert inclusive_range((-np.inf, np.inf)) == (-np.inf, np.inf)


@given(st.floats(-100, 100), st.floats(-100, 100))
def test_both_trust_the_same_counts(low, high):
    counts = np.arange(-105, 106)
    excluded = (counts > low) & (counts < high)
    a, b = inclusive_range((low, high))
    np.testing.assert_array_equal((counts >= a) & (counts <= b), excluded)
    included = (counts >= low) & (counts <= high)
    a, b = exclusive_range((low, high))
    np.testing.assert_array_equal((counts > a) & (counts < b), included)


@pytest.mark.parametrize(("trusted", "is_old"), [((-1.0, 10.0), True), ((0.0, 10.0), False), ((-1.0, -1.0), False),
                                                 ((-2.0, 10.0), False)])
def test_what_shows_the_old_convention(trusted, is_old):
    assert looks_exclusive(Detector((flat_panel(), flat_panel(trusted_range=trusted)))) is is_old


def test_all_panels_are_converted_and_come_back():
    detector = Detector((flat_panel(), flat_panel(trusted_range=(3.0, 7.0))))
    there = to_exclusive(detector)
    assert [panel.trusted_range for panel in there] == [(-1.0, 65536.0), (2.0, 8.0)]
    assert to_inclusive(there) == detector
