"""Tests against an installed DIALS: how to reach it, and to skip where it is not there."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from commands import run_command


@functools.cache
def dials_python() -> str | None:
    """The Python interpreter that imports DIALS (Debian's package puts it into the system's own)."""
    for candidate in (os.environ.get("XDP_DIALS_PYTHON"), "/usr/bin/python3"):
        if candidate and shutil.which(candidate):
            probe = subprocess.run([candidate, "-c", "import dials, dxtbx, cctbx"], capture_output=True, check=False)
            if probe.returncode == 0:
                return candidate
    return None


def dials_environment() -> dict[str, str]:
    """The environment DIALS runs in: its HDF5 finds our compression plugins, our packages stay out of its way."""
    import hdf5plugin

    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment["HDF5_PLUGIN_PATH"] = hdf5plugin.PLUGINS_PATH
    environment["OMP_NUM_THREADS"] = "1"
    return environment


class Dials:
    """An installed DIALS: runs its commands, or Python code inside it."""

    def command(self, *arguments: object, cwd: Path) -> str:
        """Run a command such as ``dials.find_spots``; its output, or a failure with it."""
        return self._run([str(a) for a in arguments], cwd)

    def script(self, code: str, *arguments: object, cwd: Path) -> dict[str, np.ndarray]:
        """Run Python `code` in DIALS' interpreter; what it saves by ``np.savez("out.npz", ...)`` comes back."""
        self._run([dials_python(), "-c", code, *map(str, arguments)], cwd)
        out = Path(cwd) / "out.npz"
        if not out.exists():
            return {}
        with np.load(out) as saved:
            return {name: saved[name] for name in saved.files}

    @staticmethod
    def _run(command: list[str], cwd: Path) -> str:
        done = subprocess.run(command, cwd=cwd, env=dials_environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command[:3]} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout


@pytest.fixture(scope="session")
def dials() -> Dials:
    """The installed DIALS; the test is skipped where there is none."""
    if dials_python() is None:
        pytest.skip("needs DIALS (apt-get install dials python3-dials, or XDP_DIALS_PYTHON)")
    return Dials()


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
