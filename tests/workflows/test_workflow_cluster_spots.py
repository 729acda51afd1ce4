"""The workflow that finds spots on a cluster, edited as its text says, for processes of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from xdp.cli import main
from xdp.logs import stop_log
from xdp.reflections import read_reflections
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan
from xdp.simulation.rotation import simulate_rotation
from xdp.simulation.write import write_minicbf_series

SCRIPT = Path(__file__).parents[2] / "workflows" / "cluster_spots.py"
ON_A_CLUSTER = 'MpOptions(method="sge", njobs=4, nproc=2)'
SITE = 'config="cluster_configs/sge.yaml"'


@pytest.fixture
def series(tmp_path, monkeypatch):
    """The folder of a short simulated series with its models, and the spots that the command finds."""
    monkeypatch.chdir(tmp_path)
    frames = simulate_rotation(make_crystal(), make_beam(), make_detector(), make_goniometer(), make_scan(4))
    write_minicbf_series(frames, tmp_path, "a")
    assert main.main(["import", f"template={tmp_path}/a_####.cbf"]) == 0
    assert main.main(["find_spots", "imported.expt", "output.reflections=here.refl"]) == 0
    stop_log()
    return tmp_path


def test_the_spots_are_those_of_the_command(series):
    text = SCRIPT.read_text(encoding="utf-8")
    assert ON_A_CLUSTER in text
    assert SITE in text
    local = text.replace(ON_A_CLUSTER, 'MpOptions(method="multiprocessing", nproc=2)')
    (series / "cluster_spots.py").write_text(local, encoding="utf-8")
    done = subprocess.run([sys.executable, "cluster_spots.py", "imported.expt"], cwd=series, capture_output=True,
                          text=True, timeout=280, env={**os.environ, "NUMBA_NUM_THREADS": "1"}, check=False)
    assert done.returncode == 0, done.stderr
    found, wanted = read_reflections("strong.refl"), read_reflections("here.refl")
    assert len(found) == len(wanted) > 100
    for name in ("xyzobs.px.value", "intensity.sum.value", "bbox", "panel"):
        np.testing.assert_array_equal(found[name], wanted[name])


def test_the_site_that_it_names_is_there():
    from xdp.cluster.batch.site import read_site

    assert read_site(SCRIPT.parents[1] / "cluster_configs" / "sge.yaml").scheduler == "sge"
