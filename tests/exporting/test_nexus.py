"""NeXus files: what a plain reader, written from the definitions of NeXus, finds in them."""

from __future__ import annotations

import dataclasses
import logging

import h5py
import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.experiment import Experiment, ExperimentList, ImageSet
from xdp.experiment.crystal import b_matrix
from xdp.experiment.goniometer import axis_angle_matrix
from xdp.exporting.export import export
from xdp.exporting.nexus import COLUMNS, compute_stokes, find_axis_and_angle, find_turn_to_z, write_nexus
from xdp.exporting.options import NexusOptions
from xdp.reflections.table import ReflectionTable
from xdp.simulation import make_beam, make_crystal, make_detector

TILTED = tuple(np.array([0.02, -0.01, 1.0]) / np.sqrt(1.0005))


def tilted_sweep(make_experiments):
    """A sweep whose beam is off the axis and whose goniometer has fixed and setting rotations."""
    (experiment,) = make_experiments()
    fixed, setting = axis_angle_matrix((0, 0, 1), 90.0), axis_angle_matrix((0.6, 0.8, 0), 25.0)
    goniometer = dataclasses.replace(experiment.goniometer, fixed_rotation=tuple(fixed.ravel().tolist()),
                                     setting_rotation=tuple(setting.ravel().tolist()))
    beam = dataclasses.replace(experiment.beam, direction=TILTED)
    return dataclasses.replace(experiment, goniometer=goniometer, beam=beam)


def follow_chain(sample: h5py.Group, frame: int) -> np.ndarray:
    """The rotation of the sample at a frame, in the order in which DIALS reads it: fixed, about the axis, setting.

    The links (depends_on) name the axis first; for a fixed rotation that is another order.
    """
    group = sample["transformations"]
    assert sample["depends_on"][()].decode() == group["phi"].name
    assert group["phi"].attrs["depends_on"] == group["fixed_rotation"].name
    assert group["fixed_rotation"].attrs["depends_on"] == group["setting_rotation"].name
    assert group["setting_rotation"].attrs["depends_on"] == "."
    turns = []
    for name in ("setting_rotation", "phi", "fixed_rotation"):
        node, angle = group[name], np.atleast_1d(group[name][()])
        degrees = angle[min(frame, len(angle) - 1)] * {"deg": 1.0, "rad": 180.0 / np.pi}[node.attrs["units"]]
        turns.append(axis_angle_matrix(node.attrs["vector"], degrees))
    return turns[0] @ turns[1] @ turns[2]


def read_origin_and_axes(module: h5py.Group) -> np.ndarray:
    """Columns fast, slow and origin of a module, mm."""
    vectors = [module[name].attrs["vector"] for name in ("fast_pixel_direction", "slow_pixel_direction")]
    offset = module["module_offset"]
    return np.stack([*vectors, offset[()] * offset.attrs["vector"]], axis=1)


def read_columns(group: h5py.Group) -> dict[str, np.ndarray]:
    """The data sets of reflections, put together as columns of a table."""
    found = {}
    for key, column in COLUMNS.items():
        if column.names[0] in group:
            parts = [group[name][()] for name in column.names]
            found[key] = parts[0] if len(parts) == 1 else np.stack(parts, axis=1)
    return found


@pytest.fixture
def written(make_experiments, make_integrated, tmp_path):
    """A file of two sweeps, and what was written to it."""
    first, other = tilted_sweep(make_experiments), make_experiments(2)[1]
    experiments = ExperimentList([first, dataclasses.replace(other, detector=first.detector)])
    table = make_integrated(n_experiments=2)
    table["bbox"] = np.tile(np.array([1, 5, 2, 6, 0, 3], np.int32), (len(table), 1))
    table["entering"] = np.arange(len(table)) % 2 == 0
    path = tmp_path / "x.nxs"
    assert write_nexus(path, experiments, table, NexusOptions(instrument_name="I04", source_short_name="DLS")) == 80
    with h5py.File(path, "r") as file:
        yield file, experiments, table


def test_reflections_come_back(written):
    file, _, table = written
    group = file["entry/reflections"]
    assert group.attrs["NX_class"] == "NXreflections"
    found = read_columns(group)
    assert found.keys() == set(table) & COLUMNS.keys()
    for key, values in found.items():
        np.testing.assert_array_equal(values, table[key])
    assert group["observed_px_x"].attrs["units"] == ""
    assert [p.decode() for p in group["experiments"]] == ["/entry/experiment_0", "/entry/experiment_1"]


def test_models_come_back_in_the_frame_of_nexus(written):
    """All models are turned by one rotation, after which the beam travels along +z."""
    file, experiments, _ = written
    for number, experiment in enumerate(experiments):
        group = file[f"entry/experiment_{number}"]
        back = group["dials/transformations/angle"]
        turn = axis_angle_matrix(back.attrs["vector"], -np.degrees(back[()]))
        np.testing.assert_allclose(turn @ experiment.beam.unit_s0, [0, 0, 1], atol=1e-12)
        assert group["sample/beam/incident_wavelength"][()] == experiment.beam.wavelength
        module = read_origin_and_axes(group["instrument/detector/module0"])
        np.testing.assert_allclose(module, turn @ experiment.detector.d_matrix(0), atol=1e-9)
        assert group["instrument/detector/module0/data_size"][()].tolist() == list(experiment.detector[0].image_size)
        assert group["instrument/detector/module0/slow_pixel_direction"][()] == experiment.detector[0].pixel_size[1]
        for frame in (0, 7):
            angle = experiment.scan.angle(frame)
            chain = follow_chain(group["sample"], frame)
            np.testing.assert_allclose(chain, turn @ experiment.goniometer.rotation(angle), atol=1e-9)
        cell, orientation = group["sample/unit_cell"][0], group["sample/orientation_matrix"][0]
        np.testing.assert_allclose(orientation @ b_matrix(cell), turn @ experiment.crystal.A, atol=1e-12)
        np.testing.assert_array_equal(group["sample/average_unit_cell"], cell)
        assert group["sample/unit_cell_group"][()] == b"Hall: P 4nw 2abw"
        assert group["instrument/name"][()] == b"I04"
        assert group["source/name"].attrs["short_name"] == "DLS"


def test_shared_models_have_one_number(written):
    file, _, _ = written
    numbers = [dict(file[f"entry/experiment_{k}/dials/index"].attrs) for k in (0, 1)]
    assert [n["detector"] for n in numbers] == [0, 0]
    assert [n["sample"] for n in numbers] == [0, 1]


def test_varying_crystals_have_a_cell_for_each_scan_point(make_experiments, make_integrated, tmp_path):
    (experiment,) = make_experiments()
    drift = [axis_angle_matrix((0, 1, 0), 0.01 * k) @ experiment.crystal.A * (1.0 + 1e-4 * k) for k in range(11)]
    crystal = dataclasses.replace(experiment.crystal,
                                  A_at_scan_points=tuple(tuple(a.ravel().tolist()) for a in drift))
    write_nexus(tmp_path / "x.nxs", ExperimentList([dataclasses.replace(experiment, crystal=crystal)]),
                make_integrated())
    turn = axis_angle_matrix((1, 0, 0), 180.0)
    with h5py.File(tmp_path / "x.nxs", "r") as file:
        sample = file["entry/experiment_0/sample"]
        for k, setting in enumerate(drift):
            found = sample["orientation_matrix"][k] @ b_matrix(sample["unit_cell"][k])
            np.testing.assert_allclose(found, turn @ setting, atol=1e-9)


def test_stills_of_several_panels(make_integrated, tmp_path, caplog):
    whole = make_detector()
    other = dataclasses.replace(whole[0], origin=(5.0, 6.0, -90.0), trusted_range=(0.0, float("inf")))
    detector = dataclasses.replace(whole, panels=(other, whole[0]), hierarchy=None)
    images = ImageSet("ImageSet", images=("/data/a.cbf",))
    still = Experiment(identifier="t", beam=make_beam(), detector=detector, crystal=make_crystal(), imageset=images)
    with caplog.at_level(logging.INFO, logger="xdp"):
        write_nexus(tmp_path / "x.nxs", ExperimentList([still]), make_integrated())
    assert "one trusted_range for all panels: that of the first one is written" in caplog.text
    assert "no place for these columns: background.sum.value, background.sum.variance, qe" in caplog.text
    with h5py.File(tmp_path / "x.nxs", "r") as file:
        group = file["entry/experiment_0"]
        assert group["sample/depends_on"][()] == b"."
        assert "transformations" not in group["sample"]
        assert "frame_time" not in group["instrument/detector"]
        assert [p.decode() for p in group["dials/template"]] == ["/data/a.cbf"]
        assert group["instrument/detector/saturation_value"][()] == 2**53
        origin = read_origin_and_axes(group["instrument/detector/module0"])[:, 2]
        np.testing.assert_allclose(origin, [5.0, -6.0, 90.0], atol=1e-9)


def test_same_input_gives_same_bytes(make_experiments, make_integrated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        found = export(make_experiments(), make_integrated(), format="nxs", **{"nxs.hklout": f"{folder}/x.nxs"})
        files.append((tmp_path / found.files[0]).read_bytes())
    assert files[0] == files[1]


def test_experiments_without_crystals_are_refused(make_experiments, make_integrated, tmp_path):
    experiments = ExperimentList([dataclasses.replace(make_experiments()[0], crystal=None)])
    with pytest.raises(XdpError, match="experiment 0 has no crystal, beam or detector"):
        write_nexus(tmp_path / "x.nxs", experiments, make_integrated())
    assert not list(tmp_path.iterdir())


def test_tables_without_reflections_are_written(make_experiments, tmp_path):
    empty = ReflectionTable({"miller_index": np.zeros((0, 3), np.int32), "id": np.zeros(0, np.int32)})
    assert write_nexus(tmp_path / "x.nxs", make_experiments(), empty) == 0
    with h5py.File(tmp_path / "x.nxs", "r") as file:
        assert file["entry/reflections/h"].shape == (0,)


def test_turns_and_polarisation_against_their_definitions():
    for direction in ((0.0, 0.0, -1.0), (0.0, 0.0, 1.0), TILTED, (1.0, 0.0, 0.0)):
        beam = dataclasses.replace(make_beam(), direction=direction)
        axis, angle = find_turn_to_z(beam)
        np.testing.assert_allclose(axis_angle_matrix(axis, np.degrees(angle)) @ beam.unit_s0, [0, 0, 1], atol=1e-7)
    for degrees in (0.0, 30.0, 90.0, 200.0):
        normal = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), 0.3])
        stokes = compute_stokes(normal, 0.9)
        # intensity along a direction of the field is (I + Q cos 2a + U sin 2a) / 2, largest across the normal
        angles = np.radians(np.arange(0, 180, 10))
        seen = 0.5 * (stokes[0] + stokes[1] * np.cos(2 * angles) + stokes[2] * np.sin(2 * angles))
        assert np.degrees(angles[np.argmax(seen)]) == pytest.approx((degrees + 90.0) % 180.0)
        assert np.hypot(stokes[1], stokes[2]) == pytest.approx(0.9)
    rotation = axis_angle_matrix((0.6, 0.0, 0.8), 180.0)
    axis, angle = find_axis_and_angle(rotation)
    np.testing.assert_allclose(axis_angle_matrix(axis, np.degrees(angle)), rotation, atol=1e-12)
