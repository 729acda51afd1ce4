"""The command ``xdp import``: files out, errors in one line."""

import json
import shutil

import numpy as np
import pytest

from xdp.cli.main import main
from xdp.experiment import Beam, Detector, Panel, Scan, read_experiments
from xdp.images.formats.base import Models
from xdp.images.formats.cbf.writer import write_minicbf


@pytest.fixture
def series(tmp_path, monkeypatch):
    """Three images in the working folder."""
    monkeypatch.chdir(tmp_path)
    panel = Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-1.0, 1.0, -90.0), (20, 15), (0.1, 0.1), (0.0, 999.0))
    for i in (1, 2, 3):
        scan = Scan((i, i), (0.1 * i, 0.1), (1.0,), (0.0,))
        models = Models(Beam((0.0, 0.0, 1.0), 1.0), Detector((panel,)), None, scan)
        write_minicbf(tmp_path / f"a_{i:03d}.cbf", np.full((15, 20), i, np.int32), models)
    return tmp_path


def test_experiments_and_log_are_written(series, capsys):
    assert main(["import", "a_001.cbf", "a_002.cbf", "a_003.cbf"]) == 0
    (experiment,) = read_experiments(series / "imported.expt")
    assert experiment.scan.image_range == (1, 3)
    assert "sweep:    1" in capsys.readouterr().out
    assert "num images: 3" in (series / "xdp.import.log").read_text()


def test_compact_output_is_one_line_with_the_same_content(series):
    assert main(["import", "a_###.cbf", "output.compact=True"]) == 0
    text = (series / "imported.expt").read_text()
    assert "\n" not in text
    assert json.loads(text)["scan"][0]["image_range"] == [1, 3]


@pytest.mark.parametrize(("words", "message"), [
    (["nothing_*.cbf"], "nothing_*.cbf: the pattern matches no file"),
    (["notes.txt"], "notes.txt: not an image file of a known format"),
    (["a_001.cbf", "geometry.beam.wavelength=-1"], "geometry.beam.wavelength must be a number > 0"),
    (["a_001.cbf", "geometri.beam.wavelength=1"], "geometri.beam.wavelength"),
    (["a_cut_1.cbf"], "a_cut_1.cbf: is truncated"),
    ([], "no images were given"),
])
def test_errors_are_one_line_and_nothing_is_written(series, capsys, words, message):
    (series / "notes.txt").write_text("a note")
    shutil.copy(series / "a_001.cbf", series / "a_cut_1.cbf")
    (series / "a_cut_1.cbf").write_bytes((series / "a_001.cbf").read_bytes()[:800])
    assert main(["import", *words]) == 1
    error = capsys.readouterr().err
    assert error.startswith("xdp import: error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (series / "imported.expt").exists()
