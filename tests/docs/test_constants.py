"""docs/constants.md has the values that the code has."""

from __future__ import annotations

import importlib
import re

import pytest
from doc_pages import ROOT

ROWS = re.findall(r"^\| `(\w+)` \| `([\w.]+)` \| (\S+) \|", (ROOT / "docs" / "constants.md").read_text(), re.MULTILINE)


def test_the_tables_are_read():
    assert len(ROWS) >= 35


@pytest.mark.parametrize(("name", "module", "value"), ROWS)
def test_a_constant_has_the_value_of_the_page(name, module, value):
    # pages round to three digits
    assert float(getattr(importlib.import_module(f"xdp.{module}"), name)) == pytest.approx(float(value), rel=2e-3)
