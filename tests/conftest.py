"""Fixtures shared by all tests: where the larger data are; tests/support holds modules that all tests may import."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent / "support"))
# Processes that tests start take xdp from where this one does, and find the kernels that it has compiled.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def shared_folder() -> Path | None:
    """The folder of larger test data, None where there is none (as in a user's checkout)."""
    folder = Path(os.environ.get("XDP_SHARED_DATA", ROOT.parent / "shared" / "data"))
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of larger test data; the test is skipped where it is absent."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("needs the larger data sets of ../shared/data (or XDP_SHARED_DATA)")
    return folder
