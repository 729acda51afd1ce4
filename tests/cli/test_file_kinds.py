"""Files of the wrong kind are told as what they are, with what to do; old tables by other names are read."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from image_files import cbf_file
from refinement_data import observed
from refinement_data import sweep as refinement_sweep
from sweeps import background, sweep

from xdp.cli import file_kinds
from xdp.cli.file_kinds import FileKind, check_kinds, find_kind, is_reflection_file
from xdp.cli.main import main
from xdp.experiment import ExperimentList, read_experiments, write_experiments
from xdp.images.masks.pickles import write_mask_pickle
from xdp.reflections import read_reflections, write_reflections

OTHERS = {"a.mtz": b"MTZ \x15", "XDS_ASCII.HKL": b"!FORMAT=XDS_ASCII", "XDS.INP": b"JOB=ALL\n",
          "a.stream": b"CrystFEL stream format 2.3\n", "x.png": b"\x89PNG\r\n", "a.geom": b"clen = 0.1\n"}
INTENSITIES = dict.fromkeys(("a.mtz", "XDS_ASCII.HKL"), FileKind.INTENSITIES)


@pytest.fixture
def kinds(folder):
    """A file of each kind."""
    write_experiments("imported.expt", sweep(folder, background(3)))
    truth = ExperimentList([refinement_sweep()])
    write_experiments("indexed.expt", truth)
    write_reflections("indexed.refl", observed(truth, n=50))
    cbf_file(Path("a_0001.cbf"))
    write_mask_pickle("pixels.mask", [np.ones((64, 72), bool)])
    for name, content in OTHERS.items():
        Path(name).write_bytes(content)
    Path("notes.txt").write_text("a note")
    return folder


@pytest.mark.parametrize(("name", "kind"), [
    ("imported.expt", FileKind.EXPERIMENTS), ("indexed.refl", FileKind.REFLECTIONS), ("a_0001.cbf", FileKind.IMAGES),
    ("sweep.npy", FileKind.IMAGES), ("a_####.cbf", FileKind.IMAGES), ("a_*.cbf", FileKind.IMAGES),
    (".", FileKind.IMAGES), ("pixels.mask", FileKind.OTHER),
    *((name, INTENSITIES.get(name, FileKind.OTHER)) for name in OTHERS),
    ("notes.txt", FileKind.UNKNOWN), ("gone.cbf", FileKind.UNKNOWN), ("gone_*.cbf", FileKind.UNKNOWN),
])
def test_each_kind_is_told_from_the_others(kinds, name, kind):
    found, description = find_kind(name)
    assert found is kind
    assert bool(description) == (kind is not FileKind.UNKNOWN)


PAIRS = ("index", "refine", "refine_bravais_settings", "integrate", "symmetry", "cosym", "scale", "merge",
         "estimate_resolution", "compute_delta_cchalf",
         "export", "reindex", "find_hot_pixels", "search_beam_position", "find_rotation_axis", "report")


@pytest.mark.parametrize("command", [*PAIRS, "model_background"])
@pytest.mark.parametrize("name", ["a_0001.cbf", "a_####.cbf"])
def test_images_where_experiments_are_wanted_name_import(kinds, capsys, command, name):
    assert main([command, name, "indexed.refl"] if command in PAIRS else [command, name]) == 1
    error = capsys.readouterr().err
    assert f"xdp {command} reads .expt" in error
    assert "begin with xdp import " in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", ["find_spots", "estimate_gain", "generate_mask", "convert", "plan", "process",
                                     "import", "export_images", "show"])
@pytest.mark.parametrize("name", ["a.mtz", "XDS_ASCII.HKL", "XDS.INP", "a.stream"])
def test_other_files_are_called_what_they_are(kinds, capsys, command, name):
    assert main([command, name]) == 1
    error = capsys.readouterr().err
    assert f"{name}: is a" in error
    assert f"xdp {command} reads images" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", ["find_spots", "estimate_gain", "generate_mask", "convert", "plan", "process",
                                     "import"])
def test_a_table_is_no_image(kinds, capsys, command):
    before = (kinds / "indexed.refl").read_bytes()
    assert main([command, "indexed.refl"]) == 1
    assert "indexed.refl: is a table of reflections; " in capsys.readouterr().err
    assert (kinds / "indexed.refl").read_bytes() == before


def test_what_is_imported_already_goes_to_find_spots(kinds, capsys):
    assert main(["import", "imported.expt"]) == 1
    error = capsys.readouterr().err
    assert "go on with xdp find_spots imported.expt" in error
    assert "reference_geometry=imported.expt" in error


def test_a_mask_goes_in_by_a_parameter(kinds, capsys):
    assert main(["find_spots", "imported.expt", "pixels.mask"]) == 1
    assert "lookup.mask=pixels.mask" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["find_spots", "generate_mask", "estimate_gain", "show"])
def test_images_without_geometry_name_import(kinds, capsys, command):
    import imagecodecs

    Path("a.tif").write_bytes(imagecodecs.tiff_encode(np.zeros((40, 50), np.uint16)) if imagecodecs.TIFF.available
                              else b"")
    assert main([command, "a.tif"]) == 1
    assert "run xdp import" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["laue_spots", "laue_import"])
@pytest.mark.parametrize("name", ["imported.expt", "indexed.refl"])
def test_models_are_no_laue_scan(kinds, capsys, command, name):
    assert main([command, name]) == 1
    assert f"{name}: is a " in capsys.readouterr().err


def test_images_for_laue_spots_name_laue_import(kinds, capsys):
    assert main(["laue_spots", "a_0001.cbf"]) == 1
    assert "which xdp laue_import makes of images" in capsys.readouterr().err


def test_tables_named_pickle_are_read(kinds, capsys):
    shutil.copy("indexed.refl", "old.pickle")
    Path("packed.pickle").write_bytes(gzip.compress(Path("indexed.refl").read_bytes()))
    for name in ("old.pickle", "packed.pickle"):
        assert main(["refine", "indexed.expt", name, "scan_varying=False"]) == 0
        assert len(read_reflections("refined.refl")) == 50
        assert main(["show", name]) == 0
        assert "Reflection list contains 50 reflections" in capsys.readouterr().out
    assert not is_reflection_file("pixels.mask")
    Path("true.pickle").write_bytes(b"\x80\x02}q\x00.")
    assert not is_reflection_file("true.pickle")
    assert main(["show", "true.pickle"]) == 1
    assert "is a pickle, such as a mask or an old table" in capsys.readouterr().err


def test_inputs_by_the_names_of_dials(kinds, capsys):
    assert main(["refine", "input.experiments=indexed.expt", "input.reflections=indexed.refl",
                 "scan_varying=False"]) == 0
    first = Path("refined.expt").read_bytes()
    Path("in.phil").write_text("input {\n  experiments = indexed.expt\n  reflections = indexed.refl\n}\n"
                               "refinement.parameterisation.scan_varying = False\n")
    assert main(["refine", "in.phil"]) == 0
    assert Path("refined.expt").read_bytes() == first
    assert main(["find_spots", "input.experiments=imported.expt"]) == 0
    assert main(["show", "input.experiments=imported.expt", "input.experiments=indexed.expt"]) == 0
    assert "Experiment 1:" in capsys.readouterr().out
    assert main(["import", "input.experiments=imported.expt"]) == 1
    assert "go on with xdp find_spots" in capsys.readouterr().err
    assert main(["index", "input.experiments=imported.expt", "output.experiments=imported.expt"]) == 1
    assert read_experiments("imported.expt")[0].imageset is not None


def test_of_many_images_few_are_looked_at(monkeypatch):
    seen = []
    monkeypatch.setattr(file_kinds, "find_kind", lambda name: seen.append(name) or (FileKind.IMAGES, "an image"))
    check_kinds([f"a_{i:05d}.cbf" for i in range(1000)] + [f"b.{i:03d}" for i in range(100)], "import",
                file_kinds.READS_IMAGES)
    assert len(seen) == 2




@pytest.mark.parametrize(("words", "said"), [
    (["find_spots", "imported.expt", "lookup.mask=indexed.refl"],
     "spotfinder.lookup.mask=indexed.refl: is a table of reflections; a file with a mask is wanted"),
    (["generate_mask", "imported.expt", "combine=indexed.expt"], "combine=indexed.expt: is a file of experiments"),
    (["import", "a_0001.cbf", "lookup.gain=imported.expt"], "a file with a map of gains is wanted"),
    (["import", "a_0001.cbf", "reference_geometry=a_0001.cbf"],
     "input.reference_geometry=a_0001.cbf: is an image; the .expt file of another run is wanted"),
    (["import", "a_0001.cbf", "reference_geometry=indexed.refl"], "the .expt file of another run is wanted"),
])
def test_parameters_want_files_of_their_kind(kinds, capsys, words, said):
    assert main([*words, "output.experiments=new.expt"] if words[0] != "find_spots" else words) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not Path("new.expt").exists()
