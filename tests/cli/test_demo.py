from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from xdp.cli import demo
from xdp.cli.main import COMMANDS, main
from xdp.errors import XdpError
from xdp.experiment import read_experiments
from xdp.reflections import read_reflections
from xdp.simulation.compare import compute_misorientation, match_truth, measure_agreement


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "with space"


@pytest.fixture(scope="module")
def said(folder):
    """What the demonstration prints, run once on twenty frames (of twelve degrees the lattice is hard to find)."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = main(["demo", f"output.directory={folder}", "n_frames=20", "width=1", "d_min=2.5"])
    assert status == 0
    return out.getvalue()


def test_each_step_is_reported(said, folder):
    for name in ("simulate", *demo.STEPS):
        assert f"\n{name} " in f"\n{said}"
    assert f"{folder / 'spots.png'}" in said
    assert f"xdp find_spots '{folder}'/imported.expt" in said


def test_the_spots_are_those_of_the_truth(said, folder):
    truth, spots = read_reflections(folder / "truth.refl"), read_reflections(folder / "strong.refl")
    rows = match_truth(truth, spots)
    assert (rows >= 0).mean() > 0.97
    # Nearly all strong, whole reflections away from gaps are found.
    strong = (truth["intensity.sum.value"] > 300) & (truth["partiality"] > 0.9)
    assert strong.sum() > 300
    assert np.isin(np.flatnonzero(strong), rows).mean() > 0.85


def test_the_lattice_is_that_of_the_truth(said, folder):
    found = read_experiments(folder / "indexed.expt")[0].crystal
    truth = read_experiments(folder / "truth.expt")[0].crystal
    assert found.unit_cell == pytest.approx(truth.unit_cell, rel=2e-3)
    assert compute_misorientation(found, truth) < 0.1


def test_intensities_are_those_of_the_truth(said, folder):
    found = measure_agreement(read_reflections(folder / "truth.refl"), read_reflections(folder / "integrated.refl"),
                              "sum")
    # Twenty degrees of strong data; the weakest third has a few photons a reflection above some tens of background.
    assert found.n > 300
    assert found.cc > 0.99
    assert found.cc_weak > 0.5
    assert 0.8 < found.pull_width < 1.3
    assert "correlate with the truth by 0.99" in said
    assert (folder / "integrated.mtz").read_bytes()[:4] == b"MTZ "


def test_the_picture_is_a_png(said, folder):
    assert (folder / "spots.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_written_outside_the_folder(tmp_path):
    for name in demo.STEPS:
        outputs = [word for word in demo.build_step_words(name, tmp_path) if word.startswith(("output.", "mtz.hklout"))]
        assert outputs
        assert all(str(tmp_path) in word or word.endswith("=None") for word in outputs)


def test_every_step_is_a_command():
    assert set(demo.STEPS) <= set(COMMANDS)


def test_files_are_refused():
    with pytest.raises(XdpError, match="takes no files"):
        demo.run(["image.cbf"])


def test_images_of_the_user_are_not_replaced(tmp_path):
    image = tmp_path / "images" / "demo_0001.cbf"
    image.parent.mkdir()
    image.write_text("of a real demonstration")
    with pytest.raises(XdpError, match="not of an earlier demo"):
        demo.run([f"output.directory={tmp_path}"])
    assert image.read_text() == "of a real demonstration"
