"""Compiled kernels are kept: a second run compiles nothing, also of a read-only install without HOME."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# In the folder of its own it is only found by its path, as the other test folders' helpers are.
from sweeps import add_spot, background, sweep

import xdp
from xdp.experiment import write_experiments

FIND, MASK = (["-c", f"import sys; from xdp.cli.main import main; sys.exit(main({words}))"]
              for words in (["find_spots", "imported.expt"], ["generate_mask", "imported.expt", "d_min=3"]))
NOBODY = 65534


@pytest.fixture
def place(tmp_path):
    """A folder with a small sweep."""
    counts = background(3)
    add_spot(counts, 1, 20, 20)
    write_experiments(tmp_path / "imported.expt", sweep(tmp_path, counts))
    return tmp_path


def compiled(cache: Path) -> dict[str, int]:
    """The compiled kernels and when they were written."""
    return {str(p.relative_to(cache)): p.stat().st_mtime_ns for p in cache.rglob("*.nb?")}


@pytest.mark.timeout(900)
def test_the_second_run_compiles_nothing(place, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "NUMBA_NUM_THREADS": "1"}
    saved = []
    for _ in range(2):
        done = subprocess.run([sys.executable, *FIND], cwd=place, env=environment | {"NUMBA_DEBUG_CACHE": "1"},
                              capture_output=True, text=True, check=True)
        saved.append(done.stdout.count("data saved to"))
        if len(saved) == 1:
            first = compiled(cache)
    assert saved[0] >= 5
    assert saved[1] == 0
    assert compiled(cache) == first


@pytest.fixture
def open_place():
    """A folder that other users can reach, as pytest's own are not, with a small sweep."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "work").mkdir()
        (folder / "temporary").mkdir()
        counts = background(3)
        add_spot(counts, 1, 20, 20)
        write_experiments(folder / "work" / "imported.expt", sweep(folder / "work", counts))
        for path in (folder / "work", folder / "temporary"):
            os.chown(path, NOBODY, NOBODY)
        folder.chmod(0o755)
        yield folder


def read_only_copy(folder: Path) -> Path:
    """A copy of the package, owned by root, which nobody may write to."""
    copy = folder / "lib" / "xdp"
    shutil.copytree(Path(xdp.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [*copy.rglob("*"), copy, copy.parent]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return copy.parent


def as_nobody(*command: str, **keywords) -> subprocess.CompletedProcess:
    """Run Python as a user who owns nothing."""
    return subprocess.run([sys.executable, *command], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True,
                          text=True, check=False, **keywords)


def can_reach_packages() -> bool:
    """Whether that user may read the interpreter and the packages."""
    try:
        return as_nobody("-c", "import numpy, numba, pydantic", env={}, cwd="/").returncode == 0
    except OSError:
        return False


@pytest.mark.timeout(900)
@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="needs root, to become another user")
@pytest.mark.parametrize("can_keep", [True, False])
def test_a_read_only_install_works_without_home(open_place, can_keep):
    """With a folder for temporary files the kernels are kept there; without, there is one warning.

    Where they are kept is decided for all of them at once: a command that compiles one shows it.
    """
    if not can_reach_packages():
        pytest.skip("another user may not read this Python's folders")
    install, temporary = read_only_copy(open_place), open_place / "temporary"
    if not can_keep:  # somebody else's folder under the name of ours
        (temporary / f"xdp-numba-{NOBODY}").mkdir(mode=0o755)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(install), "NUMBA_NUM_THREADS": "1",
                   "TMPDIR": str(temporary), "NUMBA_DEBUG_CACHE": "1"}
    for turn in range(2 if can_keep else 1):
        done = as_nobody(*MASK, cwd=open_place / "work", env=environment)
        assert done.returncode == 0, done.stderr
        assert (done.stdout.count("data saved to") > 0) is (can_keep and turn == 0)
        assert done.stderr.count("no writable folder for compiled kernels") == (not can_keep)
    assert (open_place / "work" / "pixels.mask").stat().st_uid == NOBODY
    assert not list(install.rglob("*.nb?"))


RENAMED = """
from typing import NamedTuple
from xdp.kernels import kernel
class {name}(NamedTuple):
    value: int
@kernel
def add(a, b):
    return a.value + b
print(add({name}(2), 3))
"""


def test_a_cache_that_names_a_class_of_before_is_made_anew(tmp_path):
    """As after an update that renames an argument's class: the function stands in the same line."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}
    for name in ("Before", "After"):
        (tmp_path / "renamed.py").write_text(RENAMED.format(name=name))
        done = subprocess.run([sys.executable, "-c", "import renamed"], env=environment, capture_output=True, text=True)
        assert (done.stdout, done.returncode) == ("5\n", 0), done.stderr
    assert any((tmp_path / "cache").rglob("*.nbi"))


def test_kernels_that_add_in_any_order_are_exact_for_whole_numbers():
    import numpy as np

    from xdp.kernels import sum_kernel

    @sum_kernel
    def add(values):
        total = 0.0
        for k in range(values.size):
            total += values[k]
        return total

    values = np.random.default_rng(1).integers(-2**31, 2**31, 1000).astype(np.float64)
    assert add(values) == values.astype(np.int64).sum()
