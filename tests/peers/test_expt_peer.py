"""Experiment files between xdp and DIALS, both ways, and what the models in them mean."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from xdp.experiment import Crystal, Experiment, ExperimentList, Goniometer, Scan, read_experiments, write_experiments
from xdp.experiment.trusted import OLD_DIALS

pytestmark = pytest.mark.peer

# patterns of images, unpacked before import: DIALS 3.12 reads compressed files of some formats only
SETS = {
    "rot_dev": "rot_dev/cbf/rot_dev_000[1-3].cbf.gz",
    "nexus": "rot_dev/rot_dev*.h5",
    "stills": "stills_dev/stills_dev.h5",
    "lcysteine": "lcysteine_pilatus2m/l-cyst_0[12]_0000[1-3].cbf.gz",
    "grid": "thaumatin_grid_pilatus6m/*.cbf.bz2",
    "cspad": "thermolysin_cspad/*.cbf.gz",
    "ccd": "snase_stills_ccd/*.img.bz2",
    "eiger": "eiger16m_cbf/*.cbf.gz",
    "barrel": "image_examples/DLS_I23_P12M_thau_00001.cbf.gz",
    "timepix": "image_examples/TIMEPIX_SU_512-stdgoni_0001.img.gz",
}
OLD = ("snase_stills_ccd/refined_experiments.json", "rayonix_still/experiments_000.json")

TO_DICT = """
import json, sys
from dxtbx.model.experiment_list import ExperimentListFactory
for path in sys.argv[1:]:
    experiments = ExperimentListFactory.from_json_file(path, check_format=False)
    with open(path + ".dict", "w") as out:
        json.dump(experiments.to_dict(), out)
"""


def unpack(source: Path, folder: Path) -> Path:
    decompress = {".gz": gzip.decompress, ".bz2": bz2.decompress}.get(source.suffix, bytes)
    target = folder / (source.name if decompress is bytes else source.stem)
    target.write_bytes(decompress(source.read_bytes()))
    return target


def loaded_by_dials(dials, folder: Path, *paths: Path) -> list[dict]:
    dials.script(TO_DICT, *paths, cwd=folder)
    return [json.loads(path.with_name(path.name + ".dict").read_text()) for path in paths]


def assert_same(ours, theirs, tolerance: float, where: str = "") -> None:
    """Equal JSON; numbers to a relative tolerance, since DIALS normalises axes and turns degrees into radians."""
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs), where
        for key in theirs:
            assert_same(ours[key], theirs[key], tolerance, f"{where}/{key}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for i, value in enumerate(theirs):
            assert_same(ours[i], value, tolerance, f"{where}/{i}")
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=tolerance, abs=tolerance), where
    else:
        assert ours == theirs, where


@pytest.fixture(scope="module", params=SETS)
def imported(request, dials, shared_data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    images = [unpack(path, folder) for path in sorted(shared_data.glob(SETS[request.param]))]
    masters = [image for image in images if "_data_" not in image.name]
    dials.command("dials.import", *masters, cwd=folder)
    return folder / "imported.expt"


@pytest.mark.shared
def test_a_file_of_dials_comes_back_the_same(imported, tmp_path):
    # the CSPAD's range of -400 to 90000 does not show the old convention: there the user must say so
    said = OLD_DIALS if imported.parent.name.startswith("cspad") else None
    write_experiments(tmp_path / "ours.expt", read_experiments(imported, said), OLD_DIALS)
    ours, theirs = (json.loads(path.read_text()) for path in (tmp_path / "ours.expt", imported))
    assert ours.pop("xdp") == {"trusted_range": "exclusive"}
    assert ours == theirs


@pytest.mark.shared
def test_a_file_of_ours_loads_in_dials(dials, imported, tmp_path):
    ours = read_experiments(imported)
    paths = tmp_path / "inclusive.expt", tmp_path / "exclusive.expt"
    write_experiments(paths[0], ours)
    write_experiments(paths[1], ours, OLD_DIALS)
    for path, theirs in zip(paths, loaded_by_dials(dials, tmp_path, *paths), strict=True):
        written = json.loads(path.read_text())
        written.pop("xdp", None)
        for image_set in [*written["imageset"], *theirs["imageset"]]:
            image_set.pop("params")  # without reading the images DIALS drops them
        for panel in (panel for detector in written["detector"] for panel in detector["panels"]):
            if panel["mu"] == 0.0:  # DIALS forgets a parallax correction that corrects nothing
                panel["px_mm_strategy"] = {"type": "SimplePxMmStrategy"}
        assert_same(written, theirs, 1e-14)


@pytest.mark.shared
@pytest.mark.parametrize("name", OLD)
def test_old_files_mean_the_same_to_both(dials, shared_data, tmp_path, name):
    source = tmp_path / "old.json"
    source.write_bytes((shared_data / name).read_bytes())
    write_experiments(tmp_path / "ours.expt", read_experiments(source, OLD_DIALS), OLD_DIALS)
    theirs, ours = loaded_by_dials(dials, tmp_path, source, tmp_path / "ours.expt")
    assert_same(ours, theirs, 1e-14)


FULL = """
import numpy as np
from dials.algorithms.profile_model.gaussian_rs import Model
from dxtbx.model import (Beam, Crystal, Detector, Experiment, ExperimentList, GoniometerFactory,
                         MosaicCrystalSauter2014, Panel, Scan, Goniometer, ParallaxCorrectedPxMmStrategy)
from dxtbx.imageset import ImageSetFactory
from scitbx.array_family import flex
beam = Beam((0.001, -0.002, 1), 0.98765432123456789)
beam.set_s0_at_scan_points(flex.vec3_double([(0, 0, -1.01), (0, 0.001, -1.01), (0, 0.002, -1.01), (0, 0, -1.01)]))
detector = Detector()
root = detector.hierarchy()
root.set_name("root")
root.set_frame((1, 0, 0), (0, -1, 0), (0, 0, -100))
for group in range(2):
    node = root.add_group()
    node.set_name("group %d" % group)
    node.set_local_frame((0.8, 0.6, 0), (-0.6, 0.8, 0), (10 * group, 3, -0.5))
    for i in range(2):
        panel = node.add_panel()
        panel.set_name("panel %d %d" % (group, i))
        panel.set_type("SENSOR_PAD")
        panel.set_local_frame((0, 1, 0), (0.6, 0, 0.8), (30 * i + 1.1, 0.3, 0.7))
        panel.set_image_size((100, 80))
        panel.set_pixel_size((0.1, 0.1))
        panel.set_trusted_range((-1, 1000))
        panel.set_thickness(0.45)
        panel.set_mu(3.3)
        panel.set_material("Si")
        panel.set_gain(1.5)
        panel.set_pedestal(2.25)
        panel.add_mask(1, 2, 3, 4)
        panel.set_projection_2d((1, 0, 0, 1), (4, 5))
        panel.set_px_mm_strategy(ParallaxCorrectedPxMmStrategy(3.3, 0.45))
scan = Scan((5, 7), (10.1, 0.3), batch_offset=100)
scan.set_valid_image_ranges("abc", [(5, 6)])
goniometer = GoniometerFactory.make_kappa_goniometer(50.0, 12.5, -33.3, 77.7, "-y", "omega")
crystals = [Crystal((40, 1, 2), (-3, 50, 1), (0, 5, 70), space_group_symbol="P212121")]
crystals.append(MosaicCrystalSauter2014(crystals[0]))
crystals[1].set_half_mosaicity_deg(0.05)
crystals[1].set_domain_size_ang(1234.5)
a = np.array(crystals[0].get_A())
crystals[0].set_A_at_scan_points([tuple(a * (1 + 1e-3 * i)) for i in range(4)])
crystals[0].set_B_covariance(tuple(np.arange(81) * 1e-9))
experiments = ExperimentList()
for i, crystal in enumerate(crystals):
    experiments.append(Experiment(identifier="abc%d" % i, beam=beam, detector=detector, goniometer=goniometer,
                                  scan=scan, crystal=crystal,
                                  profile=Model(None, 3, 0.02, 0.05, deg=True) if i == 0 else None))
experiments.as_file("full.expt")
out = {}
for i, panel in enumerate(detector):
    out["d%d" % i] = panel.get_d_matrix()
out["axis"] = goniometer.get_rotation_axis()
out["fixed"] = goniometer.get_fixed_rotation()
out["setting"] = goniometer.get_setting_rotation()
for i, crystal in enumerate(crystals):
    out["A%d" % i] = crystal.get_A()
    out["U%d" % i] = crystal.get_U()
    out["B%d" % i] = crystal.get_B()
    out["cell%d" % i] = crystal.get_unit_cell().parameters()
out["s0"] = beam.get_s0()
out["angle"] = [scan.get_angle_from_array_index(z) for z in (4, 5.5, 7)]
np.savez("out.npz", **out)
"""


def test_every_kind_of_model_comes_back_the_same(dials, tmp_path):
    meant = dials.script(FULL, cwd=tmp_path)
    experiments = read_experiments(tmp_path / "full.expt")
    write_experiments(tmp_path / "ours.expt", experiments, OLD_DIALS)
    ours, theirs = (json.loads((tmp_path / name).read_text()) for name in ("ours.expt", "full.expt"))
    ours.pop("xdp")
    assert ours == theirs
    first = experiments[0]
    matrices = {f"d{i}": first.detector.d_matrix(i) for i in range(4)}
    matrices |= {"axis": first.goniometer.rotation_axis_lab, "fixed": first.goniometer.F,
                 "setting": first.goniometer.S, "s0": first.beam.s0, "angle": first.scan.angle(np.array([4, 5.5, 7]))}
    for i, experiment in enumerate(experiments):
        crystal = experiment.crystal
        matrices |= {f"A{i}": crystal.A, f"U{i}": crystal.U, f"B{i}": crystal.B, f"cell{i}": crystal.unit_cell}
    assert set(matrices) == set(meant)
    for name, expected in meant.items():
        np.testing.assert_allclose(np.ravel(matrices[name]), expected, rtol=1e-12, atol=1e-13, err_msg=name)


SYMMETRY = """
import numpy as np
from cctbx import sgtbx
from cctbx.array_family import flex
halls, numbers, operations = [], [], []
for symbol in ("P1", "P21", "C2", "P212121", "C2221", "I222", "P43212", "P6122", "R3:H", "R32:R", "F432", "P4132",
               "I2", "P21212", "P-1", "P21/n", "Fd-3m:2"):
    info = sgtbx.space_group_info(symbol)
    halls.append(info.type().hall_symbol())
    numbers.append(info.type().number())
    operations.append(info.group().order_z())
np.savez("out.npz", halls=halls, numbers=numbers, operations=operations)
"""


def test_hall_symbols_of_dials_are_understood(dials, tmp_path):
    theirs = dials.script(SYMMETRY, cwd=tmp_path)
    for hall, number, order in zip(theirs["halls"], theirs["numbers"], theirs["operations"], strict=True):
        group = Crystal((10.0, 0, 0), (0, 10.0, 0), (0, 0, 10.0), str(hall)).space_group
        assert (group.number, len(group.operations())) == (number, order), hall


TRUSTED = """
import sys
import numpy as np
from dxtbx.model.experiment_list import ExperimentListFactory
from scitbx.array_family import flex
counts = np.array([[-2, -1, 0, 1, 65533, 65534, 65535, 65536]], dtype=np.int32)
out = {}
for path in sys.argv[1:]:
    panel = ExperimentListFactory.from_json_file(path, check_format=False)[0].detector[0]
    out[path.split("/")[-1]] = panel.get_trusted_range_mask(flex.int(counts)).as_numpy_array()[0]
np.savez("out.npz", counts=counts[0], **out)
"""


@pytest.mark.parametrize("trusted", [(0.0, 65535.0), (0.0, 65534.0), (1.0, 65534.0), (-1.0, 65535.0)])
@pytest.mark.parametrize("kind", ["SENSOR_PAD", "SENSOR_CCD"])
def test_old_dials_trusts_the_same_counts(dials, tmp_path, trusted, kind):
    """At 0 and at the maximum: our inclusive range in memory, DIALS 3.12's exclusive one in the file."""
    dials.script(FULL, cwd=tmp_path)
    experiment = read_experiments(tmp_path / "full.expt")[0]
    panels = tuple(dataclasses.replace(panel, image_size=(8, 1), trusted_range=trusted, type=kind)
                   for panel in experiment.detector)
    detector = dataclasses.replace(experiment.detector, panels=panels)
    ours = ExperimentList([dataclasses.replace(experiment, detector=detector)])
    write_experiments(tmp_path / "old.expt", ours, OLD_DIALS)
    theirs = dials.script(TRUSTED, tmp_path / "old.expt", cwd=tmp_path)
    counts = theirs["counts"]
    np.testing.assert_array_equal(theirs["old.expt"], (counts >= trusted[0]) & (counts <= trusted[1]))
    # and our own reader takes both of our files for what they mean
    write_experiments(tmp_path / "new.expt", ours)
    for name in ("old.expt", "new.expt"):
        assert read_experiments(tmp_path / name)[0].detector[0].trusted_range == trusted


def test_the_range_of_an_import_by_old_dials_is_recognised(dials, tmp_path):
    """Exclusive (-1, 1000) of the file is inclusive (0, 999) here: the same counts are trusted."""
    dials.script(FULL, cwd=tmp_path)
    detector = read_experiments(tmp_path / "full.expt")[0].detector
    assert {panel.trusted_range for panel in detector} == {(0.0, 999.0)}


def test_models_made_here_load_in_dials(dials, tmp_path):
    """Single-axis and bare experiments, as a script would make them."""
    experiments = ExperimentList([
        Experiment(identifier="a", goniometer=Goniometer((0.0, 1.0, 0.0)), scan=Scan((1, 3), (0.0, 0.5))),
        Experiment(identifier="b"),
    ])
    write_experiments(tmp_path / "bare.expt", experiments)
    (theirs,) = loaded_by_dials(dials, tmp_path, tmp_path / "bare.expt")
    assert [e["identifier"] for e in theirs["experiment"]] == ["a", "b"]
    assert theirs["goniometer"][0]["rotation_axis"] == [0.0, 1.0, 0.0]
    assert theirs["scan"][0]["exposure_time"] == [0.0, 0.0, 0.0]
