"""PETS files: virtual frames, and what they refuse."""

from __future__ import annotations

import dataclasses

import gemmi
import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.experiment import ExperimentList
from xdp.experiment.goniometer import axis_angle_matrix
from xdp.exporting.export import export, export_files
from xdp.exporting.options import ExportOptions, PetsOptions, PetsVirtualFrame
from xdp.exporting.pets import decompose_turn, make_virtual_frames, write_pets
from xdp.options.reader import parse


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (20.0, -35.0, 110.0), (-80.0, 170.0, -5.0)])
def test_a_turn_comes_back_from_its_angles(angles):
    alpha, beta, omega = angles
    about_z, about_x, about_y = (axis_angle_matrix(axis, angle) for axis, angle in (
        ((0, 0, 1), omega), ((1, 0, 0), alpha), ((0, 1, 0), beta)))
    turn = about_z @ about_x @ about_y
    assert decompose_turn(turn) == pytest.approx(angles)


def test_reflections_are_on_the_frames_where_they_cross_the_ewald_sphere(make_experiments, make_integrated):
    """Against a plain loop: in the middle of each image, each reflection's distance from the sphere."""
    experiment, table = make_experiments()[0], make_integrated()
    frames = make_virtual_frames(experiment, table, PetsOptions())
    assert len(frames) == 10
    for i, frame in enumerate(frames):
        turn = experiment.goniometer.rotation(float(experiment.scan.angle(i + 0.5)))
        wanted = []
        for row, hkl in enumerate(table["miller_index"]):
            s1 = experiment.beam.s0 + turn @ experiment.crystal.A @ hkl
            if abs(1 / experiment.beam.wavelength - np.linalg.norm(s1)) <= 0.04:
                wanted.append((tuple(hkl.tolist()), row))
        assert frame.rows.tolist() == [row for _, row in sorted(wanted)]
        assert np.abs(frame.zone_axis).max() == pytest.approx(1.0)
    # one step of the scan apart, about the axis, which is x in the frame of PETS
    step = frames[1].turn @ frames[0].turn.T
    np.testing.assert_allclose(step, axis_angle_matrix((1, 0, 0), 0.5), atol=1e-9)


@pytest.mark.parametrize(("n_merged", "step", "n"), [(1, 1, 10), (4, 3, 3), (3, 2, 4), (10, 1, 1), (11, 1, 0)])
def test_frames_of_several_images_are_oriented_as_their_middle(make_experiments, make_integrated, n_merged, step, n):
    experiment = make_experiments()[0]
    rules = PetsOptions(virtual_frame=PetsVirtualFrame(n_merged=n_merged, step=step))
    frames = make_virtual_frames(experiment, make_integrated(), rules)
    assert len(frames) == n
    for i, frame in enumerate(frames):
        middle = (i * step + n_merged / 2) * 0.5  # degrees
        np.testing.assert_allclose(frame.turn, axis_angle_matrix((1, 0, 0), middle), atol=1e-9)


def test_the_file_holds_cell_orientation_frames_and_intensities(make_experiments, make_integrated, tmp_path):
    experiments, table = make_experiments(), make_integrated()
    table["partiality"][3] = 0.5  # left out
    n = write_pets(tmp_path / "a.cif_pets", experiments, table, ("profile",))
    block = gemmi.cif.read_file(str(tmp_path / "a.cif_pets")).sole_block()
    assert float(block.find_value("_cell_length_a")) == pytest.approx(79.34)
    ub = np.array([[float(block.find_value(f"_diffrn_orient_matrix_UB_{i}{j}")) for j in (1, 2, 3)] for i in (1, 2, 3)])
    a = experiments[0].crystal.A
    np.testing.assert_allclose(ub.T @ ub, a.T @ a, atol=1e-5)
    assert len(block.find_loop("_diffrn_zone_axis_id")) == 10
    found = block.find("_refln_", ["index_h", "index_k", "index_l", "intensity_meas"])
    rows = [[float(v) for v in row] for row in found]
    assert len(rows) == n > 10
    values = {tuple(h): v for h, v in zip(table["miller_index"].tolist(), table["intensity.prf.value"], strict=True)}
    assert all(values[tuple(int(v) for v in row[:3])] == pytest.approx(row[3], abs=0.006) for row in rows)
    assert tuple(table["miller_index"][3].tolist()) not in {tuple(int(v) for v in row[:3]) for row in rows}


def test_what_cannot_be_written_is_refused(make_experiments, make_integrated, tmp_path):
    one, table = make_experiments()[0], make_integrated()
    still = dataclasses.replace(one, scan=None)
    points = np.array([one.crystal.A * (1 + 0.001 * i) for i in range(11)]).reshape(11, 9)
    varying = dataclasses.replace(one, crystal=dataclasses.replace(one.crystal, A_at_scan_points=tuple(
        tuple(p) for p in points.tolist())))
    for experiments, message in (
            ([one, one], "holds one experiment, got 2: choose one with pets.id"), ([still], "needs a rotation series"),
            ([varying], "refine with crystal.unit_cell.force_static=True")):
        with pytest.raises(XdpError, match=message):
            write_pets(tmp_path / "a", ExperimentList(experiments), table)
    with pytest.raises(XdpError, match=r"pets\.id=2: there are 1 experiments"):
        write_pets(tmp_path / "a", ExperimentList([one]), table, options=PetsOptions(id=2))
    with pytest.raises(XdpError, match="kind sum or profile"):
        write_pets(tmp_path / "a", ExperimentList([one]), table, ("scale",))
    far = PetsOptions(virtual_frame=PetsVirtualFrame(excitation_error_cutoff=0.0))
    with pytest.raises(XdpError, match="excitation_error_cutoff"):
        write_pets(tmp_path / "a", ExperimentList([one]), table, options=far)
    assert not (tmp_path / "a").exists()


def test_the_prefix_names_the_file(make_experiments, make_integrated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options, _ = parse(ExportOptions, ["format=pets", "pets.filename_prefix=ed"])
    written = export(make_experiments(), make_integrated(), options)
    assert written.files == export_files(options) == ("ed.cif_pets",)
    assert [path.name for path in tmp_path.iterdir()] == ["ed.cif_pets"]
    assert written.n_written > 40  # a reflection is on several frames
