"""The command xdp find_spots: what it takes, and one line for what it cannot take."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sweeps import SHAPE, add_spot, background, crossing_spots, stills, sweep

from xdp.cli.main import main
from xdp.experiment import ExperimentList, read_experiments, write_experiments
from xdp.images.masks.pickles import write_mask_pickle
from xdp.logs import stop_log
from xdp.reflections.refl import read_reflections


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with imported.expt of a sweep, the current one."""
    monkeypatch.chdir(tmp_path)
    counts = background(6)
    add_spot(counts, 2, 20, 20)
    add_spot(counts, 3, 40, 50)
    write_experiments("imported.expt", sweep(tmp_path, counts))
    yield tmp_path
    stop_log()


def fails(capsys, *words) -> str:
    """The one line that the command says; nothing is left behind."""
    before = set(Path().iterdir())
    assert main(["find_spots", *map(str, words)]) == 1
    err = capsys.readouterr().err.strip()
    assert err.startswith("xdp find_spots: error: ")
    assert "\n" not in err
    assert "Traceback" not in err
    left = {p.name for p in set(Path().iterdir()) - before}
    assert not any(name.endswith((".refl", ".pickle", ".part")) for name in left)
    assert not any(name.endswith(".work") for name in left)
    return err


def test_spots_are_written_with_identifiers_and_a_log(place, capsys):
    assert main(["find_spots", "imported.expt"]) == 0
    table = read_reflections("strong.refl")
    assert len(table) == 2
    assert table.identifiers == {0: "sweep-0"}
    screen = capsys.readouterr().out
    assert "strong pixels on image 3" in screen
    assert "2 spots found on 6 images" in screen
    assert "Saved 2 reflections to strong.refl" in screen
    assert Path("xdp.find_spots.log").read_text() == screen
    assert not [p for p in place.iterdir() if p.name.startswith(".xdp")]


def test_several_files_of_experiments_are_one_table(place):
    write_experiments("stills.expt", stills(place, crossing_spots(3, 1)))
    assert main(["find_spots", "imported.expt", "stills.expt"]) == 0
    table = read_reflections("strong.refl")
    assert set(table["id"].tolist()) == {0, 1, 2, 3}
    assert table.identifiers == {0: "sweep-0", 1: "still-0", 2: "still-1", 3: "still-2"}


def test_no_input_and_mixed_input(place, capsys):
    assert "needs images" in fails(capsys)
    assert "not both" in fails(capsys, "imported.expt", "sweep.npy")


@pytest.mark.parametrize(("words", "said"), [
    (["spotfinder.treshold.algorithm=dispersion"], "threshold"),
    (["min_spot_size=0"], "min_spot_size"),
    (["min_spot_size=three"], "min_spot_size"),
    (["max_strong_pixel_fraction=2"], "max_strong_pixel_fraction"),
    (["scan_range=0,3"], "scan_range"),
    (["region_of_interest=10,5,0,9"], "region_of_interest"),
    (["untrusted.circle=1,2"], "untrusted.circle"),
    (["untrusted.polygon=1,2,3"], "polygon"),
    (["ice_rings.filter=True", "ice_rings.space_group=P9"], "space_group"),
    (["gain=0"], "gain"),
    (["kernel_size=0,3"], "kernel_size"),
    (["min_local=1"], "min_local"),
    (["global_threshold=__import__('os').system('touch pwned')"], "global_threshold"),
    (["output.reflections=no/such/folder/strong.refl"], "no/such/folder"),
    (["output.log=no/such/folder/log"], "no/such/folder"),
    (["lookup.mask=gone.mask"], "gone.mask"),
])
def test_bad_parameters_say_which_in_one_line(place, capsys, words, said):
    assert said in fails(capsys, "imported.expt", *words)
    assert not Path("pwned").exists()


def test_bad_images_are_named(place, capsys):
    Path("text.cbf").write_text("Dear diary,\n")
    Path("empty").mkdir()
    assert "text.cbf" in fails(capsys, "text.cbf")
    assert "gone.cbf" in fails(capsys, "gone.cbf")
    assert "empty" in fails(capsys, "empty")
    assert "nothing_*.cbf" in fails(capsys, "nothing_*.cbf")
    assert "####" in fails(capsys, "series_####.cbf")
    assert "text.expt" in fails(capsys, "text.expt")
    data = Path("sweep.npy").read_bytes()
    Path("sweep.npy").write_bytes(data[:len(data) // 2])
    assert "sweep.npy" in fails(capsys, "imported.expt")
    Path("sweep.npy").unlink()
    assert "sweep.npy" in fails(capsys, "imported.expt")


def test_image_of_another_size_than_the_detector(place, capsys):
    np.save("sweep.npy", background(6, shape=(64, 80)))
    err = fails(capsys, "imported.expt")
    assert "sweep.npy" in err
    assert "72 x 64" in err
    assert "80 x 64" in err


def test_geometry_that_is_not_a_number(place, capsys):
    text = Path("imported.expt").read_text()
    data = json.loads(text)
    data["detector"][0]["panels"][0]["pixel_size"] = [float("nan"), 0.2]
    Path("nan.expt").write_text(json.dumps(data))
    assert "nan.expt" in fails(capsys, "nan.expt", "d_min=2")


class Bomb:
    """A pickle that would run a command."""

    def __reduce__(self):
        return os.system, ("touch pwned",)


def test_masks_of_wrong_shape_or_malicious_are_refused(place, capsys):
    write_mask_pickle("wide.mask", [np.ones((64, 80), bool)])
    err = fails(capsys, "imported.expt", "lookup.mask=wide.mask")
    assert "wide.mask" in err
    assert "(64, 72)" in err
    Path("bomb.mask").write_bytes(pickle.dumps((Bomb(),)))
    assert "bomb.mask" in fails(capsys, "imported.expt", "lookup.mask=bomb.mask")
    experiment, = read_experiments("imported.expt")
    masked = dataclasses.replace(experiment.imageset, mask=str(place / "bomb.mask"))
    write_experiments("bomb.expt", ExperimentList([dataclasses.replace(experiment, imageset=masked)]))
    assert "bomb.mask" in fails(capsys, "bomb.expt")
    assert not Path("pwned").exists()


def test_too_many_strong_pixels_name_the_image(place, capsys):
    assert "image 3" in fails(capsys, "imported.expt", "max_strong_pixel_fraction=0.001")


def test_an_old_table_stays_whole_when_the_run_fails(place, capsys):
    assert main(["find_spots", "imported.expt"]) == 0
    before = Path("strong.refl").read_bytes()
    assert main(["find_spots", "imported.expt", "max_strong_pixel_fraction=0.001"]) == 1
    assert Path("strong.refl").read_bytes() == before


def test_heavy_libraries_are_not_imported(place):
    code = ("import sys; from xdp.cli.main import main; main(['find_spots', 'imported.expt']);"
            "heavy = {'dask', 'distributed', 'xarray', 'fabio', 'rich', 'matplotlib', 'gemmi', 'zarr'};"
            "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)")
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_explains_with_examples(capsys):
    assert main(["find_spots", "-h"]) == 0
    out = capsys.readouterr().out
    assert "xdp find_spots imported.expt" in out
    assert main(["find_spots", "-c", "-e", "2"]) == 0
    assert "gradient_cutoff = 4" in capsys.readouterr().out


def test_panels_have_the_size_the_tests_assume():
    assert SHAPE == (64, 72)
