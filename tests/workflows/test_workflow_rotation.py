"""The rotation workflow, run as a user runs it: on its own simulated series, and on images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import gemmi
import pytest

from xdp.experiment import read_experiments
from xdp.reflections import Flag, read_reflections

SCRIPT = Path(__file__).parents[2] / "workflows" / "rotation.py"


def run(folder: Path, *words: str) -> str:
    """What the script prints, run in `folder`."""
    done = subprocess.run([sys.executable, SCRIPT, *words], cwd=folder, capture_output=True, text=True, timeout=280,
                          env={**os.environ, "NUMBA_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder in which the script ran on its simulated series, and what it printed."""
    folder = tmp_path_factory.mktemp("rotation")
    return folder, run(folder)


def test_the_simulated_lysozyme_is_found(finished):
    folder, said = finished
    crystal = read_experiments(folder / "integrated.expt")[0].crystal
    # The simulated crystal is tetragonal, 79.34 79.34 37.81; ten degrees of weak data fix it to about 0.02 Å.
    assert sorted(crystal.unit_cell[:3]) == pytest.approx([37.81, 79.34, 79.34], abs=0.1)
    assert "best: tP" in said


def test_the_symmetry_constrains_the_cell(finished):
    crystal = read_experiments(finished[0] / "integrated.expt")[0].crystal
    a, b, _, *angles = crystal.unit_cell
    assert a == pytest.approx(b, abs=1e-6)
    assert angles == pytest.approx([90.0, 90.0, 90.0], abs=1e-6)


def test_intensities_are_integrated_and_exported(finished):
    folder, said = finished
    reflections = read_reflections(folder / "integrated.refl")
    assert reflections.any_flags(Flag.INTEGRATED).all()
    # The small detector sees about 1500 reflections on ten degrees, of which gaps and the ends of the scan cut some.
    assert reflections.flags(Flag.INTEGRATED_SUM).sum() > 1200
    mtz = gemmi.read_mtz_file(str(folder / "integrated.mtz"))
    assert len(mtz.batches) == 20
    assert f"{mtz.nreflections} reflections in integrated.mtz" in said


def test_merged_intensities_are_written(finished):
    folder, said = finished
    mtz = gemmi.read_mtz_file(str(folder / "merged.mtz"))
    assert mtz.nreflections > 500
    assert {"IMEAN", "I(+)", "F", "FreeR_flag"} <= {column.label for column in mtz.columns}
    assert "Completeness (%)" in said


def test_images_of_ones_own_are_taken(finished, tmp_path):
    images = sorted(str(path) for path in (finished[0] / "simulated").glob("*.cbf"))
    assert len(images) == 20
    said = run(tmp_path, *images)
    assert said.splitlines()[-1] == finished[1].splitlines()[-1]
    assert not (tmp_path / "simulated").exists()
