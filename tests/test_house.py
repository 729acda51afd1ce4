"""The figures of the house hold: docstrings, comments, names, sizes of functions and folders, tests beside modules."""

from __future__ import annotations

import pytest
from house import measure

#: Figure: (limit, whether it is a minimum)
LIMITS = {
    "parameters": (95, True), "one-line": (35, False), "arguments": (0, False), "comments": (5, True),
    "doctests": (60, True), "tests": (5, False), "folders": (0, False), "classes": (0, False), "names": (0, False),
    "long": (0, False),
}


@pytest.fixture(scope="module")
def house():
    return measure()


@pytest.mark.parametrize("name", LIMITS)
def test_a_figure_keeps_its_limit(house, name):
    limit, is_minimum = LIMITS[name]
    figure = house.figures[name]
    faults = "\n".join(house.faults.get(name, [])[:40])
    assert figure >= limit if is_minimum else figure <= limit, faults
