"""Tests against an installed DIALS: how to reach it, and to skip where it is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import run_command
from dials_client import Dials, dials_python
from processes import run_folder


@pytest.fixture(scope="session")
def dials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dials]:
    """The installed DIALS; the test is skipped where there is none."""
    if dials_python() is None:
        pytest.skip("needs DIALS (apt-get install dials python3-dials, or XDP_DIALS_PYTHON)")
    installed = Dials(run_folder(tmp_path_factory) / "dials_results")
    yield installed
    installed.stop()


@pytest.fixture(scope="session")
def refined_rot_dev(shared_data: Path, tmp_path_factory: pytest.TempPathFactory, dials: Dials) -> Path:
    """A folder with rot_dev as DIALS imports it, its spots, indexed in its space group and refined by us."""
    folder = tmp_path_factory.mktemp("refined_rot_dev")
    dials.command("dials.import", shared_data / "rot_dev" / "rot_dev_master.h5", cwd=folder)
    run_command(folder, "find_spots", "imported.expt", reflections="strong.refl", log="a.log")
    run_command(folder, "index", "imported.expt", "strong.refl", "space_group=P43212", experiments="indexed.expt",
                reflections="indexed.refl", log="b.log")
    run_command(folder, "refine", "indexed.expt", "indexed.refl", experiments="refined.expt",
                reflections="refined.refl", log="c.log")
    return folder
