"""A real Grid Engine, and a series of images long enough to be interrupted."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cluster_runs import xdp

HERE = Path(__file__).parent


def answers(*command) -> bool:
    """Whether a command exists and succeeds."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


def set_up(name, script, probe):
    """Have a batch system, or skip the test with the reason.

    Packages are installed only where XDP_TEST_BATCH=1 says that this machine is there to be changed (CI says so).
    """
    if os.environ.get("XDP_TEST_BATCH") != "1":
        if answers(*probe):
            return
        pytest.skip(f"no {name} here (XDP_TEST_BATCH=1 lets root install one on Debian)")
    if os.getuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip(f"{name} can be set up by root on Debian only")
    # also where it answers: a master that lists jobs may have lost the daemon that runs them; the script starts it
    done = subprocess.run([HERE / script], capture_output=True, text=True, timeout=280, check=False)
    if done.returncode != 0:
        pytest.skip(f"{name} could not be set up: {done.stderr[-300:]}")


@pytest.fixture(scope="session")
def sge():
    """A working Grid Engine with a parallel environment "smp"; set up here where that is allowed."""
    set_up("Grid Engine", "setup_sge.sh", ["qstat"])


@pytest.fixture(scope="session")
def slurm():
    """A working Slurm; set up here where that is allowed."""
    set_up("Slurm", "setup_slurm.sh", ["sinfo"])


@pytest.fixture(scope="session")
def series(tmp_path_factory):
    """A folder with imported.expt of 480 frames (24 simulated ones, linked again and again) and the local result."""
    from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan
    from xdp.simulation.rotation import simulate_rotation
    from xdp.simulation.write import write_minicbf_series

    folder = tmp_path_factory.mktemp("series")
    simulation = simulate_rotation(make_crystal(), make_beam(), make_detector(), make_goniometer(), make_scan(24))
    paths = sorted(write_minicbf_series(simulation, folder, "a"))
    for number in range(480):
        os.link(paths[number % 24], folder / f"b_{number + 1:04d}.cbf")
    # the same angles again and again would be separate sweeps
    xdp("import", f"template={folder}/b_####.cbf", "geometry.scan.oscillation=0,0.5", cwd=folder)
    xdp("find_spots", "imported.expt", "output.reflections=local.refl", "chunksize=2", cwd=folder)
    return folder


@pytest.fixture
def run_folder(series, tmp_path):
    """A folder of its own for a run over the series."""
    (tmp_path / "imported.expt").symlink_to(series / "imported.expt")
    return tmp_path
