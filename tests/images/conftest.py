"""The synthetic image files, as modules that tests of this folder share."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import image_files as writers_of_image_files
import nexus_maker


@pytest.fixture(scope="session")
def image_files() -> ModuleType:
    """The module ``image_files`` beside this one: writers of small image files."""
    return writers_of_image_files


@pytest.fixture(scope="session")
def maker() -> ModuleType:
    """The module ``nexus_maker`` beside this one: writers of small NXmx files."""
    return nexus_maker
