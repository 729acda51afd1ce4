"""Bad input through every command that reads images: one line that names the file, status 1, nothing half-written."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from image_files import cbf_file, cbf_series, pixels

from xdp.cli.main import main
from xdp.experiment import write_experiments
from xdp.images.importing.import_images import import_images
from xdp.images.masks.pickles import write_mask_pickle
from xdp.logs import stop_log

READERS = ("find_spots", "convert", "export_images", "estimate_gain")
"""Commands that read pixels."""
COMMANDS = ("import", "show", "generate_mask", *READERS)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    stop_log()


def everything() -> set[str]:
    return {p.name for p in Path().iterdir() if not p.name.endswith(".log")}


def complaint(capsys, *words: str) -> str:
    """The one line that a command ends with; it leaves nothing but a log."""
    before = everything()
    assert main(list(words)) == 1, words
    err = capsys.readouterr().err
    assert err.startswith(f"xdp {words[0]}: error: ")
    assert err.count("\n") == 1
    assert everything() == before
    return err


def truncated(_: Path) -> str:
    data = cbf_file(Path("cut_0001.cbf")).read_bytes()
    Path("cut_0001.cbf").write_bytes(data[: data.index(b"\x0c\x1a\x04\xd5") + 300])
    return "cut_0001.cbf"


def cut_header(_: Path) -> str:
    data = cbf_file(Path("cut_0001.cbf")).read_bytes()
    Path("cut_0001.cbf").write_bytes(data[:300])
    return "cut_0001.cbf"


def wrong_size(_: Path) -> str:
    data = cbf_file(Path("size_0001.cbf")).read_bytes()
    Path("size_0001.cbf").write_bytes(data.replace(b"Fastest-Dimension: 40", b"Fastest-Dimension: 41"))
    return "size_0001.cbf"


def no_data_file(_: Path) -> str:
    with h5py.File("missing_master.h5", "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = np.bytes_("NXentry")
        data = entry.create_group("data")
        data.attrs["NX_class"] = np.bytes_("NXdata")
        data["data_000001"] = h5py.ExternalLink("missing_data_000001.h5", "/entry/data/data")
        instrument = entry.create_group("instrument")
        instrument.attrs["NX_class"] = np.bytes_("NXinstrument")
        detector = instrument.create_group("detector")
        detector.attrs["NX_class"] = np.bytes_("NXdetector")
        detector["description"] = np.bytes_("Dectris Eiger 4M")
    return "missing_master.h5"


def two_sizes(_: Path) -> str:
    cbf_file(Path("two_0001.cbf"))
    cbf_file(Path("two_0002.cbf"), pixels(slow=20), 2)
    return "two_000*.cbf"


def a_folder(_: Path) -> str:
    Path("holds_nothing").mkdir()
    return "holds_nothing"


def no_match(_: Path) -> str:
    return "nothing_*.cbf"


def no_template(_: Path) -> str:
    return "nothing_####.cbf"


def a_text(_: Path) -> str:
    Path("diary.cbf").write_text("Dear diary,\n" * 100)
    return "diary.cbf"


def nothing(_: Path) -> str:
    Path("void.cbf").touch()
    return "void.cbf"


def nan_header(_: Path) -> str:
    data = cbf_file(Path("nan_0001.cbf")).read_bytes()
    Path("nan_0001.cbf").write_bytes(data.replace(b"# Wavelength ", b"# Wavelength nan "))
    return "nan_0001.cbf"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("make", [truncated, cut_header, wrong_size, no_data_file, two_sizes, a_folder, no_match,
                                  no_template, a_text, nothing, nan_header])
def test_images_that_cannot_be_read(folder, capsys, make, command):
    name = make(folder)
    assert name.split("_000*")[0] in complaint(capsys, command, name)


@pytest.mark.parametrize("command", ["find_spots", "convert", "export_images"])
def test_images_of_two_sizes_in_a_template(folder, capsys, command):
    two_sizes(folder)
    words = ["sum_images=2"] if command == "export_images" else []
    assert "two_0002.cbf" in complaint(capsys, command, "two_####.cbf", *words)


@pytest.mark.parametrize("command", READERS)
def test_compressed_files_cut_short(folder, capsys, command):
    import gzip

    data = gzip.compress(cbf_file(Path("whole_0001.cbf")).read_bytes())
    Path("cut_0001.cbf.gz").write_bytes(data[: len(data) // 2])
    assert "cut_0001.cbf.gz" in complaint(capsys, command, "cut_0001.cbf.gz")


def broken(change) -> str:
    """An .expt file of a sound series with something changed; a dict is given to `change`."""
    files = cbf_series(Path(), 2)
    write_experiments("good.expt", import_images([*map(str, files)]).experiments)
    data = json.loads(Path("good.expt").read_text())
    change(data)
    Path("bad.expt").write_text(json.dumps(data))
    return "bad.expt"


def set_panel(name, value):
    return lambda data: data["detector"][0]["panels"][0].update({name: value})


NAN = float("nan")
CHANGES = {
    "nan origin": set_panel("origin", [NAN, 0.0, -100.0]),
    "nan pixel": set_panel("pixel_size", [NAN, 0.1]),
    "nan trusted range": set_panel("trusted_range", [0.0, NAN]),
    "short axis": set_panel("fast_axis", [1.0]),
    "nan wavelength": lambda data: data["beam"][0].update(wavelength=NAN),
    "no direction": lambda data: data["beam"][0].update(direction=[0.0, 0.0, 0.0]),
    "nan oscillation": lambda data: data["scan"][0].update(oscillation=[0.0, NAN]),
    "no such detector": lambda data: data["experiment"][0].update(detector=3),
    "no list": lambda data: data.update(experiment=5),
    "no imageset kind": lambda data: data["imageset"][0].update(__id__="Slide"),
}


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "import"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_experiments_that_make_no_sense(folder, capsys, change, command):
    name = broken(change)
    assert name in complaint(capsys, command, name)


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("change", [
    lambda data: data["imageset"][0].update(template=str(Path("gone_####.cbf").absolute())),
    lambda data: data["imageset"][0].update(mask=str(Path("gone.mask").absolute())),
])
def test_images_and_masks_that_are_gone(folder, capsys, change, command):
    assert "gone" in complaint(capsys, command, broken(change))


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ("import", "show")])
def test_no_experiments(folder, capsys, command):
    name = broken(lambda data: data.update(experiment=[]))
    assert name in complaint(capsys, command, name)


class Bomb:
    """A pickle that would run a command."""

    def __reduce__(self):
        return os.system, ("touch pwned",)


@pytest.mark.parametrize("command", READERS)
def test_masks_of_the_wrong_shape_and_malicious_ones(folder, capsys, command):
    write_mask_pickle("wide.mask", [np.ones((31, 41), bool)])
    Path("bomb.mask").write_bytes(pickle.dumps((Bomb(),)))
    for mask, said in (("wide.mask", "(31, 40)"), ("bomb.mask", "nothing is executed")):
        name = broken(lambda data, mask=mask: data["imageset"][0].update(mask=str(Path(mask).absolute())))
        err = complaint(capsys, command, name)
        assert mask in err
        assert said in err
    assert not Path("pwned").exists()


def test_import_looks_at_the_maps_it_is_given(folder, capsys):
    cbf_series(folder, 2)
    write_mask_pickle("wide.mask", [np.ones((31, 41), bool)])
    Path("bomb.mask").write_bytes(pickle.dumps((Bomb(),)))
    for mask in ("wide.mask", "bomb.mask", "gone.mask"):
        assert mask in complaint(capsys, "import", "img_####.cbf", f"lookup.mask={mask}")
    assert not Path("pwned").exists()


@pytest.mark.parametrize(("words", "said"), [
    (("find_spots", "good.expt", "spotfinder.treshold.algorithm=dispersion"), "did you mean spotfinder.threshold"),
    (("find_spots", "good.expt", "size=3"), "ambiguous"),
    (("find_spots", "good.expt", "d_min=3", "d_max=2"), "d_min must be below d_max"),
    (("find_spots", "good.expt", "ice_rings.unit_cell=__import__('os').system('touch pwned')"), "unit_cell"),
    (("find_spots", "good.expt", "output.reflections=."), "is a folder"),
    (("import", "img_####.cbf", "geometry.beam.wavelength=__import__('os').system('touch pwned')"), "wavelength"),
    (("import", "img_####.cbf", "output.experiments=."), "is a folder"),
    (("import", "img_####.cbf", "image_range=5,1"), "image_range"),
    (("generate_mask", "good.expt", "untrusted.circle=1,2"), "untrusted.circle"),
    (("convert", "good.expt", "output.zarr=x"), "output.store"),
    (("export_images", "good.expt", "imageset_index=9"), "imageset_index"),
    (("estimate_gain", "good.expt", "max_images=0"), "max_images"),
])
def test_parameters(folder, capsys, words, said):
    broken(lambda data: None)
    assert said in complaint(capsys, *words)
    assert not Path("pwned").exists()


def test_an_operating_system_that_refuses_is_one_line(folder, capsys, monkeypatch):
    broken(lambda data: None)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", "strong.refl")

    monkeypatch.setattr("xdp.spotfinding.find.refl_writer", full)
    assert main(["find_spots", "good.expt"]) == 1
    assert capsys.readouterr().err == "xdp find_spots: error: strong.refl: No space left on device\n"
