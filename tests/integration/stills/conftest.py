"""Simulated stills for the tests of this folder."""

from __future__ import annotations

import pytest
from stills_data import Shots, make_shots


@pytest.fixture(scope="session")
def shots(tmp_path_factory) -> Shots:
    """Three images with one, two and one crystals, and their indexed spots."""
    return make_shots(tmp_path_factory.mktemp("shots"), size=(260, 240), d_min=2.4)
