"""The synthetic image files, as a module that tests of this folder share."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def image_files() -> ModuleType:
    """The module ``image_files`` beside this one: writers of small image files."""
    spec = importlib.util.spec_from_file_location("xdp_test_image_files", Path(__file__).with_name("image_files.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
