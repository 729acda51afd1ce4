"""A simulated series, and the module that makes such, for the tests of this folder."""

from __future__ import annotations

import pytest
from integration_data import Series, make_series


@pytest.fixture(scope="session")
def series(tmp_path_factory) -> Series:
    """Twelve frames of half a degree, a few hundred reflections, no defects."""
    return make_series(tmp_path_factory.mktemp("series"))
