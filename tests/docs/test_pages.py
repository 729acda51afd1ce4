"""The pages of docs/ run as they are pasted: each page's shell lines, then its Python blocks, from top to bottom.

The pages of the first steps are run by test_readme.py, the recipes by test_recipes.py. Here are those that go on from
files of an earlier step, which a sample folder holds, made of a simulated series.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from doc_pages import ROOT, list_blocks, run_line, write_laue_log
from nexus_maker import write_nxmx

import xdp
from xdp.cli.main import main
from xdp.logs import stop_log
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan, simulate_stills
from xdp.simulation.options import SimulationOptions
from xdp.simulation.write import write_minicbf_series

pytestmark = pytest.mark.kernels

DOCS = ROOT / "docs"
#: Pages that go on from the files of a series.
SERIES_PAGES = ["background", "hot_pixels", "integration", "profile_model", "refinement", "corrections", "symmetry",
                "scaling", "merging", "report"]
CLUSTER_PAGES = ["cluster", "cluster_lsf", "cluster_pbs", "cluster_sge", "cluster_slurm"]
#: Pages that other tests run.
ELSEWHERE = {"getting_started", "import", "options", "python", "spotfinding", "process", "export", "recipes", "serial"}


def run_page(name: str, capsys) -> None:
    """Run the shell lines of a page, then its Python blocks in one namespace."""
    page = DOCS / f"{name}.md"
    for _, text in list_blocks(page, "sh"):
        for line in text.splitlines():
            run_line(line)
    names: dict = {"__name__": "example"}
    for _, text in list_blocks(page, "python"):
        exec(compile(text, page.name, "exec"), names)
    assert "error" not in capsys.readouterr().err


def simulate(folder: Path, seed: int) -> Path:
    """Twenty images of half a degree in a folder."""
    folder.mkdir()
    models = make_crystal(orientation=seed), make_beam(), make_detector((300, 300)), make_goniometer()
    write_minicbf_series(xdp.simulate_rotation(*models, make_scan(20, 0.5), seed=seed), folder)
    return folder


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> Path:
    """A folder with the files of all stages of a series, and with indexed spots of two more, a and b."""
    folder = tmp_path_factory.mktemp("series")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["process", str(simulate(folder / "images", 1)), "space_group=P43212"]) == 0
        stop_log()
        for seed, name in ((2, "a"), (3, "b")):
            simulate(folder / f"images_{name}", seed)
            for words in (["import", f"images_{name}", f"output.experiments=imported_{name}.expt"],
                          ["find_spots", f"imported_{name}.expt", f"output.reflections=strong_{name}.refl"],
                          ["index", f"imported_{name}.expt", f"strong_{name}.refl", "space_group=P43212",
                           f"output.experiments={name}.expt", f"output.reflections={name}.refl"]):
                assert main(words) == 0
                stop_log()
    return folder


@pytest.fixture
def here(series, tmp_path, monkeypatch) -> Path:
    """The files of the series in a folder of the test's own, the current one; the images stay where they are."""
    for path in series.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path / path.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize("name", SERIES_PAGES)
def test_a_page_runs_from_top_to_bottom(name, here, capsys):
    run_page(name, capsys)


@pytest.mark.parametrize("name", CLUSTER_PAGES)
def test_a_page_about_batch_systems_runs_as_far_as_there_is_one(name, here, capsys):
    for site, label in (("psana", "cxi123"), ("psana", "cxi12345")):
        (here / "data" / label).mkdir(parents=True)
        shutil.copy("imported.expt", here / "data" / label / "r69.expt")
        shutil.copy(ROOT / "cluster_configs" / "lsf.yaml", here / f"{site}.yaml")
    run_page(name, capsys)


def write_shots(path: Path) -> None:
    """Three stills of lysozyme in an NXmx file whose detector is 70 mm from the sample, 0.172 mm pixels."""
    blank = np.zeros((3, 400, 420), np.uint32)
    write_nxmx(path, blank, rotation=False)
    with h5py.File(path, "r+") as file:
        detector = file["entry/instrument/detector"]
        detector["transformations/distance"][...] = 70.0
        detector["transformations/tilt"][...] = 0.0
        detector["module_0/module_offset"].attrs["vector"] = np.array([36.1, 34.4, 0.0])
        for name in ("fast", "slow"):
            detector[f"module_0/{name}_pixel_direction"][...] = 1.72e-4
    models = xdp.import_images(str(path)).experiments[0]
    options = SimulationOptions(photons=4000.0, hot_pixels=0, dead_pixels=0, d_min=1.9, sigma_m=0.15)
    shots = simulate_stills([make_crystal(orientation=seed) for seed in range(1, 4)], models.beam, models.detector,
                            options=options, seed=5)
    with h5py.File(path, "r+") as file:
        file["entry/data/data"][...] = shots.stack()[:, 0]


def test_the_page_about_stills_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_shots(tmp_path / "shots.h5")
    run_page("stills", capsys)
    assert len(xdp.read_reflections("integrated.refl")) > 100


def test_the_page_about_laue_data_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scan1").mkdir()
    write_laue_log(tmp_path / "scan1")
    (tmp_path / "scan1" / "scan.log").rename(tmp_path / "scan1" / "scan1.log")
    run_page("laue", capsys)
    assert (tmp_path / "spots.csv").exists()


def test_the_page_about_metrology_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_page("metrology", capsys)


def test_no_page_is_forgotten():
    """Each page with examples is run by a test, and each block says what it is: what is not run is text."""
    run = {*SERIES_PAGES, *CLUSTER_PAGES, *ELSEWHERE, "stills", "laue", "metrology"}
    for page in DOCS.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        openings = re.findall(r"^```(\w*)\n(?:.*?)^```$", text, re.DOTALL | re.MULTILINE)
        assert "" not in openings, f"{page.name}: a block without a language"
        assert page.stem in run or not {"sh", "python"} & set(openings), f"{page.name}: no test runs its examples"
