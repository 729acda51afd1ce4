"""What real runs leave: outputs in place, pairs, names that come from the data, disks that are full."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import h5py
import numpy as np
import pytest
from image_files import cbf_file, cbf_series
from refinement_data import disturbed, observed, sweep

from xdp.cli.main import main
from xdp.errors import XdpError
from xdp.experiment import ExperimentList, read_experiments, write_experiments
from xdp.images.importing.import_images import import_images
from xdp.images.masks.pickles import write_mask_pickle
from xdp.images.zarr.convert import convert
from xdp.integration.integrate import integrate_to_file
from xdp.integration.options import IntegrateOptions
from xdp.logs import stop_log
from xdp.pipeline.process import process
from xdp.reflections.refl import read_reflections, write_reflections
from xdp.spotfinding.find import find_spots_to_file
from xdp.spotfinding.options import FindSpotsOptions


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    stop_log()


@pytest.fixture
def indexed(folder):
    """Indexed spots of a sweep."""
    truth = ExperimentList([sweep()])
    write_experiments("indexed.expt", disturbed(truth, angle=5e-4, shift=0.05))
    write_reflections("indexed.refl", observed(truth, n=250, d_min=3.5))
    return folder


def everything() -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(Path().rglob("*")) if p.is_file() and not p.name.endswith(".log")}


def refused(capsys, *words: str, said: str = "would replace") -> str:
    """The complaint of a command that changes nothing."""
    before = everything()
    assert main(list(words)) == 1
    error = capsys.readouterr().err
    assert said in error
    assert everything() == before
    return error


# ---- in place, and pairs


def test_a_refinement_in_place_is_that_beside(indexed):
    assert main(["refine", "indexed.expt", "indexed.refl"]) == 0
    words = ["output.experiments=indexed.expt", "output.reflections=indexed.refl"]
    assert main(["refine", "indexed.expt", "indexed.refl", *words]) == 0
    for ending in ("expt", "refl"):
        assert Path(f"indexed.{ending}").read_bytes() == Path(f"refined.{ending}").read_bytes()


def test_reindexing_in_place(indexed):
    before = read_reflections("indexed.refl")["miller_index"]
    assert main(["reindex", "indexed.refl", "change_of_basis_op=b,c,a", "output.reflections=indexed.refl"]) == 0
    assert np.array_equal(read_reflections("indexed.refl")["miller_index"], before[:, [1, 2, 0]])


def test_in_place_is_of_the_same_kind_only(indexed, capsys):
    refused(capsys, "refine", "indexed.expt", "indexed.refl", "output.experiments=indexed.refl")
    refused(capsys, "reindex", "indexed.expt", "output.reflections=indexed.expt")


def test_a_pair_whose_second_file_does_not_fit_on_the_disk(indexed, capsys):
    """The table is larger than the models: it is refused, and the models of before stay."""
    Path("refined.expt").write_text("old")
    assert Path("indexed.refl").stat().st_size > 20_000 > Path("indexed.expt").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        refused(capsys, "refine", "indexed.expt", "indexed.refl", "scan_varying=False",
                said="refined.refl: cannot be written: File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_in_the_way_is_seen_before_the_work(indexed, capsys):
    Path("refined.refl").mkdir()
    Path("refined.expt").write_text("old")
    refused(capsys, "refine", "indexed.expt", "indexed.refl", said="refined.refl: is a folder")


def test_two_outputs_are_two_files(indexed, capsys):
    error = refused(capsys, "refine", "indexed.expt", "indexed.refl", "output.log=./new", "output.reflections=new",
                    said="are one file")
    assert "output.log=./new" in error
    assert "output.reflections=new" in error


def test_a_log_may_go_nowhere(indexed):
    assert main(["refine", "indexed.expt", "indexed.refl", "output.log=/dev/null"]) == 0
    assert not Path("/dev/null").is_file()


# ---- images behind the names


def test_the_log_does_not_empty_an_image(folder, capsys):
    cbf_series(folder, 3)
    for words in (["img_*.cbf"], ["img_####.cbf"], ["template=img_####.cbf"], ["."], ["directory=."]):
        assert "img_0002.cbf" in refused(capsys, "import", *words, "output.log=img_0002.cbf", "output.experiments=new")


def test_a_folder_of_images_may_hold_the_outputs_of_an_earlier_run(folder):
    cbf_series(folder, 3)
    for _ in range(2):
        assert main(["import", "."]) == 0
        assert main(["find_spots", "imported.expt"]) == 0


def test_data_files_of_a_master_file(folder, capsys):
    with h5py.File("x_data_000001.h5", "w") as file:
        file["entry/data/data"] = np.zeros((2, 30, 40), np.uint16)
    with h5py.File("x_master.h5", "w") as file:
        layout = h5py.VirtualLayout((2, 30, 40), np.uint16)
        layout[:] = h5py.VirtualSource("x_data_000001.h5", "entry/data/data", (2, 30, 40))
        file.create_virtual_dataset("entry/data/data", layout)
    assert "x_data_000001.h5" in refused(capsys, "find_spots", "x_master.h5", "output.reflections=x_data_000001.h5")


def imported(folder, n=2) -> ExperimentList:
    """Experiments of a series of images, and their file imported.expt."""
    cbf_series(folder, n)
    assert main(["import", "img_####.cbf"]) == 0
    return read_experiments("imported.expt")


def test_names_that_come_from_the_data(folder, capsys):
    """Names with a number, or that Auto makes, are known only to the function that writes."""
    imported(folder)
    os.symlink("img_0001.cbf", "pixels_1.mask")
    for name in ("a.expt", "b.expt"):
        Path(name).write_bytes(Path("imported.expt").read_bytes())
    refused(capsys, "generate_mask", "a.expt", "b.expt")


def test_masks_that_experiments_name(folder, capsys):
    cbf_series(folder, 2)
    write_mask_pickle("pixels.mask", [np.ones((31, 40), bool)])
    assert main(["import", "img_####.cbf", "lookup.mask=pixels.mask"]) == 0
    assert "the mask of imported.expt" in refused(capsys, "generate_mask", "imported.expt", "border=2")
    assert main(["generate_mask", "imported.expt", "border=2", "output.mask=more.mask",
                 "output.experiments=imported.expt"]) == 0
    assert read_experiments("imported.expt")[0].imageset.mask.endswith("more.mask")


def test_state_files_and_work_folders(folder, capsys):
    imported(folder)
    os.symlink("img_0001.cbf", "xdp-state.json")
    refused(capsys, "find_spots", "imported.expt", "mp.method=multiprocessing")
    Path(".xdp-strong.refl.work").mkdir()
    os.rename("img_0001.cbf", ".xdp-strong.refl.work/a_0001.cbf")
    refused(capsys, "find_spots", ".xdp-strong.refl.work/a_0001.cbf")


def test_a_run_that_goes_on_is_no_conflict(folder):
    """What the stages write is read by the next ones, and again when the run is repeated."""
    imported(folder)
    assert main(["process", "imported.expt"]) == 1  # no spots
    assert main(["process", "imported.expt"]) == 1
    assert Path("strong.refl").exists()


# ---- the functions of Python


def test_functions_that_write_know_what_they_read(folder):
    experiments = import_images(cbf_series(folder, 2)).experiments.experiments
    raw = Path("img_0002.cbf").read_bytes()
    os.link("img_0002.cbf", "hard.refl")
    with pytest.raises(XdpError, match=r"img_0002\.cbf, an image of the experiments"):
        find_spots_to_file(experiments, FindSpotsOptions(output={"reflections": "hard.refl"}))
    with pytest.raises(XdpError, match=r"img_0002\.cbf, an image of the experiments"):
        integrate_to_file(experiments, None, IntegrateOptions(output={"experiments": "img_0002.cbf"}))
    with pytest.raises(XdpError, match=r"img_0002\.cbf, an image of the experiments"):
        write_experiments("hard.refl", experiments)
    with pytest.raises(XdpError, match=r"img_0002\.cbf, an image of the experiments"):
        find_spots_to_file(experiments, FindSpotsOptions(output={"experiments": "hard.refl"}))
    assert Path("img_0002.cbf").read_bytes() == raw


def test_the_pipeline_in_python(folder):
    images = cbf_series(folder, 2)
    for output in ({"find_spots.output.reflections": "img_0002.cbf"}, {"output.summary": "img_0002.cbf"},
                   {"integrate.integration.lookup.mask": "a.mask", "export.mtz.hklout": "a.mask"}):
        Path("a.mask").write_text("a mask")
        with pytest.raises(XdpError, match="would replace"):
            process(images, output)
    assert not Path("imported.expt").exists()


def test_a_store_is_not_converted_into_itself_nor_into_what_holds_it(folder):
    cbf_file(Path("img_0001.cbf"))
    experiments = import_images(["img_0001.cbf"]).experiments.experiments
    convert(experiments, "a.zarr")
    again = import_images(["a.zarr"]).experiments.experiments
    with pytest.raises(XdpError, match=r"a\.zarr, an image of the experiments"):
        convert(again, "a.zarr")
    os.symlink("a.zarr", "b.zarr")
    with pytest.raises(XdpError, match=r"a\.zarr, an image of the experiments"):
        convert(again, "b.zarr")
    convert(again, "c.zarr")
    metadata = json.loads(Path("a.zarr/zarr.json").read_text())
    assert metadata["node_type"] == "group"
