"""The whole pipeline on a small simulated series."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import gemmi
import numpy as np
import pytest

from xdp.cli.main import main
from xdp.errors import XdpError
from xdp.experiment import read_experiments, write_experiments
from xdp.images.importing.import_images import import_images
from xdp.images.importing.options import ImportOptions
from xdp.logs import stop_log
from xdp.options import parse
from xdp.pipeline import Hooks, ProcessOptions, process, stages
from xdp.reflections import Flag, read_reflections
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan, simulate_rotation
from xdp.simulation.write import write_minicbf_series

pytestmark = pytest.mark.kernels

STAGES = ("import", "find_spots", "index", "refine", "integrate", "export", "scale", "merge")


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[str]:
    """Twenty frames of half a degree on a small detector."""
    folder = tmp_path_factory.mktemp("images")
    models = make_crystal(orientation=1), make_beam(), make_detector((300, 300)), make_goniometer()
    simulation = simulate_rotation(*models, make_scan(20, 0.5), seed=1)
    return [str(path) for path in write_minicbf_series(simulation, folder)]


@pytest.fixture(scope="module")
def folder(images, tmp_path_factory):
    """The command's output with the space group given; ``said.txt`` is what it printed."""
    folder = tmp_path_factory.mktemp("run")
    assert command(folder, images) == 0
    return folder


def command(folder, images, *words) -> int:
    """Run the command; its exit status."""
    status = main(["process", *images, "space_group=P43212", f"output.directory={folder}", *words])
    stop_log()
    return status


def redone(folder) -> list[str]:
    """The stages that the last run of the command did."""
    stages = json.loads((folder / "xdp.process.json").read_text())["stages"]
    return [name for name, facts in stages.items() if facts["seconds"] is not None]


def test_all_files_of_all_stages_are_there(folder):
    names = {path.name for path in folder.iterdir()}
    stems = ("indexed", "refined", "integrated", "scaled")
    expected = {"imported.expt", "strong.refl", *(f"{stem}.{kind}" for stem in stems for kind in ("expt", "refl")),
                "integrated.mtz", "merged.mtz"}
    logs = {f"xdp.{stage}.log" for stage in (*STAGES, "process")}
    assert expected | logs <= names
    assert not [name for name in names if name.endswith((".part", ".work"))]


def test_intensities_are_those_of_the_summary(folder):
    stages = json.loads((folder / "xdp.process.json").read_text())["stages"]
    assert tuple(stages) == STAGES
    table = read_reflections(folder / "integrated.refl")
    assert stages["integrate"]["integrated"] == np.sum(table.any_flags(Flag.INTEGRATED)) > 800
    mtz = gemmi.read_mtz_file(os.fspath(folder / "integrated.mtz"))
    assert stages["export"]["written"] == mtz.nreflections > 700
    assert stages["import"]["frames"] == len(mtz.batches) == 20
    assert stages["refine"]["unit_cell"] == pytest.approx([79.34, 79.34, 37.81, 90, 90, 90], abs=0.1)


def test_the_log_tells_stages_and_summary(folder):
    log = (folder / "xdp.process.log").read_text()
    assert all(f"\n{stage} " in log for stage in STAGES)
    for item in ("indexed", "space group", "sigma_b, sigma_m", "I/sigma"):
        assert f"  {item}" in log[log.index("Summary:"):]
    assert "RMSDs by experiment" in (folder / "xdp.refine.log").read_text()


def test_what_is_done_is_not_done_again(folder, images):
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.expt")}
    assert command(folder, images) == 0
    assert redone(folder) == []
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.expt")} == before


def test_a_run_begins_with_the_first_changed_stage(folder, images):
    assert command(folder, images, "export.mtz.d_min=4") == 0
    assert redone(folder) == ["export"]
    assert command(folder, images, "export.mtz.d_min=4", "integrate.prediction.d_min=3") == 0
    assert redone(folder) == ["integrate", "export", "scale", "merge"]
    assert command(folder, images, "mp.nproc=2", "export.mtz.d_min=4", "integrate.prediction.d_min=3") == 0
    assert redone(folder) == []


def test_a_lost_file_and_resume_false_make_stages_anew(folder, images):
    assert command(folder, images) == 0
    expected = (folder / "integrated.refl").read_bytes()
    (folder / "refined.refl").unlink()
    assert command(folder, images) == 0
    assert redone(folder) == ["refine"]  # its result is the same, so what follows stays
    assert command(folder, images, "resume=False") == 0
    assert redone(folder) == list(STAGES)
    identifiers = [read_experiments(folder / f"{stem}.expt")[0].identifier for stem in ("indexed", "integrated")]
    assert identifiers[0] == identifiers[1]
    assert len((folder / "integrated.refl").read_bytes()) == len(expected)


def test_a_touched_image_changes_all(folder, images):
    assert command(folder, images) == 0
    os.utime(images[3], ns=(1, 1))
    assert command(folder, images) == 0
    assert redone(folder) == list(STAGES)


def test_a_template_keeps_identifiers_of_the_same_images(images, tmp_path):
    template = images[0].replace("0001.cbf", "####.cbf")
    assert "####" in template
    for expected in (None, []):
        assert command(tmp_path, [template], "integrate.prediction.d_min=3") == 0
        if expected is not None:
            assert redone(tmp_path) == ["import"]


def test_a_killed_run_goes_on_to_the_same_result(images, tmp_path):
    assert main(["import", *images, f"output.experiments={tmp_path / 'imported.expt'}", "output.log=None"]) == 0
    stop_log()
    words = [str(tmp_path / "imported.expt"), "space_group=P43212", "integrate.prediction.d_min=3"]
    run = subprocess.Popen([sys.executable, "-m", "xdp.cli.main", "process", *words,
                            f"output.directory={tmp_path / 'killed'}"], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not (tmp_path / "killed" / "indexed.refl").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    run.kill()
    run.wait()
    assert not (tmp_path / "killed" / "integrated.mtz").exists()
    for name in ("killed", "whole"):
        assert main(["process", *words, f"output.directory={tmp_path / name}"]) == 0
        stop_log()
    assert "find_spots" not in redone(tmp_path / "killed")
    for name in ("integrated.refl", "integrated.mtz"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_from_python_without_a_space_group(images, tmp_path):
    told = []
    options = ProcessOptions.model_validate({"output": {"directory": str(tmp_path)}})
    found = process(images, options, hooks=Hooks(done=lambda name, facts, seconds: told.append(name)))
    assert told == ["import", "find_spots", "index", "refine_bravais_settings", "refine", "integrate", "export",
                    "symmetry", "scale", "merge"]
    assert found.facts["refine_bravais_settings"]["lattice"] == "tP"
    assert found.experiments[0].crystal.unit_cell[0] == pytest.approx(79.34, abs=0.1)
    assert len(found.reflections) == found.facts["integrate"]["integrated"]
    assert found.files["export"] == (str(tmp_path / "integrated.mtz"),)
    again = process(images, options)
    assert again.facts["integrate"]["seconds"] is None
    assert again.reflections == found.reflections


@pytest.mark.parametrize(("words", "message"), [
    ([], "needs images"),
    (["nowhere_####.cbf"], "nowhere"),
    (["images.txt"], "images.txt"),
])
def test_bad_input_is_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images.txt").write_text("no image")
    assert main(["process", *words]) == 1
    stop_log()
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_images_without_spots_stop_with_advice(images, tmp_path):
    options = ProcessOptions.model_validate({
        "output": {"directory": str(tmp_path)}, "find_spots": {"spotfinder": {"filter": {"d_min": 100.0}}}})
    with pytest.raises(XdpError, match="no spots were found"):
        process(images, options)
    assert not (tmp_path / "indexed.expt").exists()


def test_a_changed_reference_geometry_is_imported_again(images, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "STAGES", ())  # import alone
    reference = tmp_path / "reference.expt"
    options = parse(ProcessOptions, [f"import.input.reference_geometry={reference}",
                                     f"output.directory={tmp_path / 'out'}"])[0]

    def run(distance=None):
        if distance is not None:
            moved = parse(ImportOptions, [f"geometry.detector.distance={distance}"])[0]
            write_experiments(reference, import_images(images, moved).experiments)
        found = process(images, options)
        return found.experiments[0], found.facts["import"]["seconds"]

    first, _ = run(90.0)
    changed, _ = run(150.0)
    again, seconds = run()
    assert [e.detector[0].distance for e in (first, changed, again)] == pytest.approx([90.0, 150.0, 150.0])
    assert seconds is None
    os.utime(reference, ns=(1, 1))
    touched, seconds = run()
    assert seconds is not None  # read again, but the models are the same, and so are the identifiers
    assert touched.identifier == changed.identifier
