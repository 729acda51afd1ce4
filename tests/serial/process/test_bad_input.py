"""Bad input of every kind: recorded by reason, and the run goes on."""

import errno
import json

import numpy as np
import pytest
from shot_data import NAMED, draw_shots, write_shots

import xdp
from xdp.errors import XdpError
from xdp.experiment import Detector, ExperimentList
from xdp.serial.process.process import stills_process, stills_process_to_files


@pytest.fixture(scope="module")
def drawn():
    return draw_shots(((1,), (), (4,)))


QUICK = {"integration.partiality.enable": False, **NAMED}


def process(folder, images, model, **named):
    stack, geometry = write_shots(folder, images, model)
    return stills_process(stack, QUICK | {"events.geometry": geometry.partition("=")[2]}, **named)


@pytest.mark.parametrize(("reason", "spoil"), [
    ("blank", lambda image: np.full_like(image, 3)), ("not finite", lambda image: np.where(image == 1, np.nan, image)),
    ("saturated", lambda image: np.full_like(image, 2e6) + np.arange(len(image))[:, None])])
def test_pixels(drawn, tmp_path, reason, spoil):
    images, model = drawn
    images = images.astype(np.float32)
    images[1] = spoil(images[1])
    found = process(tmp_path, images, model)
    assert found.table["verdict"].tolist() == ["integrated", "failed", "integrated"]
    assert found.table["reason"][1] == reason
    assert found.report.facts["failed"] == 1


def test_files(drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, model = drawn
    _, geometry = write_shots(tmp_path, images, model)
    for number, image in enumerate(images):
        np.save(f"shot{number}.npy", image)
    whole = (tmp_path / "shot1.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:len(whole) // 2])
    np.save("other.npy", images[0][:50, :60])
    (tmp_path / "shots.lst").write_text("shot0.npy\nmissing.npy\ncut.npy\nother.npy\nshot2.npy\n")
    found = stills_process("shots.lst", QUICK | {"events.geometry": geometry.partition("=")[2]})
    assert found.table["verdict"].tolist() == ["integrated", "failed", "failed", "failed", "integrated"]
    assert found.table["reason"][[1, 3]].tolist() == ["missing file", "wrong shape"]
    assert found.table["reason"][2] in ("truncated", "damaged")
    assert found.counts.reasons["missing file"] == 1


@pytest.mark.parametrize(("named", "reason"), [({"calibration.mask_path": "small.npy"}, "wrong shape"),
                                               ({"calibration.dark_path": "small.npy"}, "wrong shape")])
def test_maps_of_another_shape(drawn, tmp_path, monkeypatch, named, reason):
    monkeypatch.chdir(tmp_path)
    np.save("small.npy", np.zeros((10, 12)))
    found = process(tmp_path, *drawn, **named)
    assert set(found.table["reason"]) == {reason}
    assert found.counts.n_with_lattice == 0


def test_a_dark_without_its_deviation(drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, model = drawn
    np.save("dark.npy", np.full(images[0].shape, 20.0))
    raised = images + 20
    found = process(tmp_path, raised, model, **{"calibration.dark_path": "dark.npy"})
    assert found.table["verdict"].tolist() == ["integrated", "miss", "integrated"]
    found = process(tmp_path, raised, model, **{"calibration.dark_path": "dark.npy",
                                                "calibration.common_mode_correction": "median"})
    assert set(found.table["verdict"]) == {"failed"}
    assert "has no deviation" in found.table["message"][0]


def test_a_dark_and_a_gain_change_no_intensity(drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, model = drawn
    np.save("dark.npy", np.full(images[0].shape, 20.0))
    np.save("gain.npy", np.full(images[0].shape, 0.5))
    plain = process(tmp_path, images, model)
    found = process(tmp_path, 2 * images + 20, model, **{"calibration.dark_path": "dark.npy",
                                                         "calibration.gain_map_path": "gain.npy"})
    assert found.table["n_peaks"].tolist() == plain.table["n_peaks"].tolist()
    np.testing.assert_allclose(found.reflections["intensity.sum.value"], plain.reflections["intensity.sum.value"],
                               atol=1e-3)


def test_no_energy_and_no_geometry(drawn, tmp_path):
    images, model = drawn
    stack, _ = write_shots(tmp_path, images, model)
    found = stills_process(stack, QUICK)
    # a bare stack has neither; the first that is missed is named
    assert set(found.table["reason"]) <= {"no energy", "no distance", "no geometry"}
    source = json.loads((tmp_path / "geometry.expt").read_text())
    source["beam"] = []
    for experiment in source["experiment"]:
        experiment.pop("beam", None)
    (tmp_path / "dark.expt").write_text(json.dumps(source))
    found = stills_process(stack, QUICK | {"events.geometry": str(tmp_path / "dark.expt")})
    assert set(found.table["reason"]) == {"no energy"}
    found = stills_process(stack, QUICK | {"events.geometry": str(tmp_path / "dark.expt"), "events.energy": 12657.9})
    assert found.table["verdict"][0] == "integrated"


def test_the_geometry_of_another_detector(drawn, tmp_path):
    import dataclasses

    images, model = drawn
    panel = dataclasses.replace(model.detector[0], image_size=(100, 90))
    stack, _ = write_shots(tmp_path, images, model)
    xdp.write_experiments(tmp_path / "other.expt", ExperimentList(
        [dataclasses.replace(model, detector=Detector((panel,)))]))
    found = stills_process(stack, QUICK | {"events.geometry": str(tmp_path / "other.expt")})
    assert set(found.table["reason"]) == {"wrong shape"}
    assert "is it of this detector?" in found.table["message"][0]


def test_a_wrong_cell_gives_no_lattice(drawn, tmp_path):
    wrong = (*(1.06 * v for v in NAMED["unit_cell"][:3]), 90.0, 90.0, 90.0)
    found = process(tmp_path, *drawn, unit_cell=wrong)
    assert found.counts.n_with_lattice == 0
    assert found.table["reason"].tolist() == ["not indexed", "", "not indexed"]
    assert found.explanation.startswith("None of 2 hits has a lattice")


def test_a_full_disk_is_said_and_what_is_done_is_kept(drawn, tmp_path, monkeypatch):
    from xdp.options.named import make_options
    from xdp.serial.process.options import StillsProcessOptions

    monkeypatch.chdir(tmp_path)
    stack, geometry = write_shots(tmp_path, *drawn)
    options = make_options(StillsProcessOptions, QUICK | {"events.geometry": geometry.partition("=")[2]}, {})

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("xdp.reflections.refl.refl_writer", fail)
        patch.setattr("xdp.serial.process.results.outputs.write_reflections", fail)
        with pytest.raises((XdpError, OSError)):
            stills_process_to_files([stack], options)
    # the results of the tasks are there, and nothing is processed again
    monkeypatch.setattr("xdp.serial.process.shot.ShotProcessor.process", fail)
    assert stills_process_to_files([stack], options).counts.n_with_lattice == 2
