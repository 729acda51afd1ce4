"""The command refine: what it writes and says, and what it does not write when it fails."""

from __future__ import annotations

import numpy as np
import pytest
from refinement_data import write_indexed_sweep

from xdp.cli.main import main
from xdp.experiment import read_experiments, write_experiments
from xdp.experiment.cell_errors import cell_uncertainties
from xdp.experiment.experiment import ExperimentList
from xdp.logs import stop_log
from xdp.reflections.flags import Flag
from xdp.reflections.refl import read_reflections, write_reflections


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with indexed.expt and indexed.refl of a sweep."""
    monkeypatch.chdir(tmp_path)
    write_indexed_sweep()
    yield tmp_path
    stop_log()


def test_refined_files_and_the_log(place):
    assert main(["refine", "indexed.expt", "indexed.refl"]) == 0
    crystal = read_experiments("refined.expt")[0].crystal
    assert np.all(cell_uncertainties(crystal)[:3] > 0)
    table = read_reflections("refined.refl")
    assert len(table) == len(read_reflections("indexed.refl"))
    log = (place / "xdp.refine.log").read_text()
    assert "RMSDs by experiment" in log
    a, error = crystal.unit_cell[0], cell_uncertainties(crystal)[0]
    assert f"Unit cell: {a:.3f}"[:15] in log
    assert "(" in log.split("Unit cell:")[1].splitlines()[0]
    assert abs(a - 79.34) < 5 * error
    assert "Mu2" in log


def test_cores_and_engines_of_dials_have_a_line_in_the_log(place):
    assert main(["refine", "indexed.expt", "indexed.refl", "scan_varying=False"]) == 0
    first = (place / "refined.refl").read_bytes()
    for words in (["nproc=4"], ["mp.nproc=4"], ["refinement.mp.nproc=Auto"]):
        assert main(["refine", "indexed.expt", "indexed.refl", "scan_varying=False", *words,
                     "engine=SparseLevMar"]) == 0
        log = (place / "xdp.refine.log").read_text()
        assert f"refinement.mp.nproc={words[0].split('=')[1]} is not used: one thread is faster" in log
        assert "refinery.engine=SparseLevMar: LevMar is used" in log
        assert (place / "refined.refl").read_bytes() == first


def test_drift_and_used_reflections_alone(place):
    assert main(["refine", "indexed.expt", "indexed.refl", "scan_varying=True", "include_unused_reflections=False",
                 "n_static_macrocycles=2"]) == 0
    assert len(read_experiments("refined.expt")[0].crystal.A_at_scan_points) == 41
    table = read_reflections("refined.refl")
    assert 0 < len(table) < 250
    assert table.flags(Flag.USED_IN_REFINEMENT).all()
    assert "over the scan:" in (place / "xdp.refine.log").read_text()


@pytest.mark.parametrize(("change", "message"), [
    (lambda t: t.select(np.arange(0)), "none of 0 reflections is indexed"),
    (lambda t: t.select(np.arange(3)), "fewer than"),
    (lambda t: t.with_columns(id=np.full(len(t), 5, np.int32)), "experiment 5"),
    (lambda t: t.with_columns(miller_index=-t["miller_index"][:, [2, 0, 1]].copy()), "do not belong"),
])
def test_bad_reflections_end_in_one_line_and_no_file(place, capsys, change, message: str):
    write_reflections("bad.refl", change(read_reflections("indexed.refl")))
    assert main(["refine", "indexed.expt", "bad.refl", "beam.fix=all"]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (place / "refined.expt").exists()
    assert not (place / "refined.refl").exists()


def test_models_without_crystal_and_wrong_parameters(place, capsys):
    from dataclasses import replace

    models = read_experiments("indexed.expt")
    write_experiments("imported.expt", ExperimentList([replace(models[0], crystal=None)]))
    assert main(["refine", "imported.expt", "indexed.refl"]) == 1
    assert "needs a crystal" in capsys.readouterr().err
    assert main(["refine", "indexed.expt"]) == 1
    assert "a .refl for each .expt" in capsys.readouterr().err
    assert main(["refine", "indexed.expt", "indexed.refl", "detector.fix=nonsense"]) == 1
    assert "fix" in capsys.readouterr().err
    assert not list(place.glob("refined.*"))
