"""Fixtures shared by all tests: where the larger data are; tests/support holds modules that all tests may import."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent / "support"))
# Processes that tests start take xdp from where this one does, and find the kernels that it has compiled.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
# A worker of pytest has a core: threads of linear algebra would wait for each other. Indexing takes 28 % less CPU.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
# Processes that tests start find the byte code of xdp, too: without it each compiles all modules that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# As in the program (xdp/cli/main.py): looking for garbage in cycles took 39 of 740 s of CPU.
gc.set_threshold(10_000)


def keep_freed_memory() -> None:
    """Have the C library keep the memory that is freed, up to 2 GB, where it is glibc.

    By default it returns large arrays to the system, which clears the memory before it gives it out again. That is a
    third of the CPU that the grids of indexing take.
    """
    trim_threshold, mmap_max = -1, -4  # numbers of <malloc.h>
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(trim_threshold, 2**31 - 1)
        library.mallopt(mmap_max, 0)


keep_freed_memory()


def pytest_configure(config: pytest.Config) -> None:
    """Have pytest-xdist keep the order of :func:`pytest_collection_modifyitems`; it would sort by numbers of tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_finish() -> None:
    """Leave what was imported out of all later searches for garbage."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers let files of different rooms follow each other: the first of each, the second of each, ...

    Those of one room need the same kernels. Workers that begin with them at the same time all compile these; one that
    comes later finds them in the cache. Files of mark "long" begin before all others.
    """
    if not hasattr(config, "workerinput"):
        return
    rank: dict[Path, int] = {}
    of_room: dict[Path, int] = {}
    for item in items:
        if item.path not in rank:
            rank[item.path] = of_room[item.path.parent] = of_room.get(item.path.parent, -1) + 1
    # stable: a file's tests stay together
    items.sort(key=lambda item: (item.get_closest_marker("long") is None, rank[item.path]))


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


@pytest.fixture(scope="session")
def image_files() -> ModuleType:
    """The module ``image_files`` of tests/support: writers of small image files."""
    return importlib.import_module("image_files")


@pytest.fixture(scope="session")
def maker() -> ModuleType:
    """The module ``nexus_maker`` of tests/support: writers of small NXmx files."""
    return importlib.import_module("nexus_maker")
