"""Run twice from the same images, commands write the same bytes but for logs."""

from __future__ import annotations

import json

import pytest

from xdp.cli.main import main
from xdp.logs import stop_log
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan, simulate_rotation
from xdp.simulation.write import write_minicbf_series

pytestmark = pytest.mark.kernels


def run(*words):
    assert main(list(words)) == 0
    stop_log()


def run_all(images, folder, monkeypatch):
    """Each command on its own, then all of them in one."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    run("import", *images)
    run("find_spots", "imported.expt")
    run("index", "imported.expt", "strong.refl")
    run("refine", "indexed.expt", "indexed.refl")
    run("process", *images, "space_group=P43212", "output.directory=processed")
    return {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}


def drop_seconds(path):
    """A report without the times that it took."""
    report = json.loads(path.read_text())
    for facts in report["stages"].values():
        del facts["seconds"]
    return report


def test_two_runs_write_the_same_bytes(tmp_path, monkeypatch):
    models = make_crystal(orientation=1), make_beam(), make_detector((300, 300)), make_goniometer()
    (tmp_path / "images").mkdir()
    simulated = simulate_rotation(*models, make_scan(20, 0.5), seed=1)
    images = [str(path) for path in write_minicbf_series(simulated, tmp_path / "images")]
    first, second = (run_all(images, tmp_path / name, monkeypatch) for name in ("a", "b"))
    assert list(first) == list(second)
    compared = 0
    for name, path in first.items():
        if name.name == "xdp.process.json":
            assert drop_seconds(path) == drop_seconds(second[name])
        elif name.suffix != ".log" and not name.name.startswith("."):  # a hidden file keeps the times of the others
            assert path.read_bytes() == second[name].read_bytes(), name
            compared += 1
    assert compared == 19
