"""The figures of the house do not get worse; where they are not yet what is wanted, the limit is what was reached."""

from __future__ import annotations

import pytest
from house import measure

#: Figure: (limit, whether it is a minimum, what is wanted in the end)
LIMITS = {
    "parameters": (65, True, 95), "one-line": (52, False, 35), "arguments": (18, False, 0), "comments": (2.5, True, 5),
    "doctests": (60, True, 60), "tests": (33, False, 5), "folders": (0, False, 0), "classes": (6, False, 0),
    "names": (8, False, 0), "long": (1, False, 0),
}


@pytest.fixture(scope="module")
def house():
    return measure()


@pytest.mark.parametrize("name", LIMITS)
def test_a_figure_keeps_its_limit(house, name):
    limit, is_minimum, _ = LIMITS[name]
    figure = house.figures[name]
    faults = "\n".join(house.faults.get(name, [])[:40])
    assert figure >= limit if is_minimum else figure <= limit, faults
