"""Unmerged MTZ files: what was exported comes back, and parts of MOSFLM's reflections are added."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from scaling_data import make_table
from unmerged_data import sort_rows

import xdp
from xdp.errors import FormatError
from xdp.exporting.batches import make_busing_levy
from xdp.unmerged.mtz import read_mtz_intensities


def test_what_was_exported_comes_back(files, measured):
    experiments, table = read_mtz_intensities(files / "sweep.mtz")
    given, found = sort_rows(measured[1]), sort_rows(table)
    np.testing.assert_array_equal(found["miller_index"], given["miller_index"])
    # MTZ files have single precision
    np.testing.assert_allclose(found["xyzcal.px"], given["xyzcal.px"], rtol=2e-7, atol=1e-5)
    for name in ("lp", "qe"):
        np.testing.assert_allclose(found[name], given[name], rtol=2e-7)
    np.testing.assert_allclose(found["intensity.prf.value"], given["intensity.sum.value"], rtol=5e-7)
    np.testing.assert_allclose(found["intensity.prf.variance"], given["intensity.sum.variance"], rtol=1e-6)
    own, other = experiments[0], measured[0][0]
    # in the Cambridge frame: angles between rays, beam and axis are the same
    np.testing.assert_allclose(found["s1"] @ own.beam.s0, given["s1"] @ other.beam.s0, atol=1e-6)
    np.testing.assert_allclose(found["s1"] @ own.goniometer.rotation_axis_lab,
                               given["s1"] @ other.goniometer.rotation_axis_lab, atol=1e-6)
    assert own.scan.image_range == other.scan.image_range


def test_sweeps_are_told_apart(tmp_path):
    experiments, table, _ = make_table(n_frames=5, n_sweeps=2, d_min=4.0)
    xdp.export(experiments, table, {"mtz.hklout": str(tmp_path / "two.mtz")})
    found, rows = read_mtz_intensities(tmp_path / "two.mtz")
    assert len(found) == 2
    assert np.bincount(rows["id"]).tolist() == np.bincount(table["id"]).tolist()
    for a, b in zip(found, experiments, strict=True):
        np.testing.assert_allclose(a.crystal.unit_cell, b.crystal.unit_cell, rtol=1e-6)


def test_scaled_files_are_scaled(measured, tmp_path):
    scaled = xdp.scale(*measured)
    xdp.export(scaled.experiments, scaled.reflections, {"mtz.hklout": str(tmp_path / "scaled.mtz")})
    _, table = read_mtz_intensities(tmp_path / "scaled.mtz")
    used = scaled.reflections.select(~scaled.reflections.any_flags(xdp.Flag.BAD_FOR_SCALING))
    expected = used["intensity.scale.value"] / used["inverse_scale_factor"]
    np.testing.assert_allclose(np.sort(table["intensity.scale.value"]), np.sort(expected), rtol=1e-6, atol=1e-5)
    merged = xdp.merge(*read_mtz_intensities(tmp_path / "scaled.mtz"))
    direct = xdp.merge(scaled.experiments, scaled.reflections)
    np.testing.assert_array_equal(merged.hkl, direct.hkl)
    np.testing.assert_allclose(merged.columns["IMEAN"], direct.columns["IMEAN"], rtol=1e-5, atol=1e-4)


def write_mosflm_like(path, *, orientation=True):
    """Three reflections in P 21: one whole, one on two images, one of which a half is missing."""
    mtz = gemmi.Mtz(with_base=False)
    mtz.spacegroup, mtz.cell = gemmi.SpaceGroup("P 1 21 1"), gemmi.UnitCell(50, 60, 70, 90, 100, 90)
    dataset = mtz.add_dataset("native")
    dataset.wavelength = 1.0
    for name, kind in [*(("H", "H"), ("K", "H"), ("L", "H"), ("M/ISYM", "Y"), ("BATCH", "B"), ("I", "J"),
                         ("SIGI", "Q"), ("IPR", "J"), ("SIGIPR", "Q"), ("FRACTIONCALC", "R"), ("XDET", "R"),
                         ("YDET", "R"), ("ROT", "R"), ("LP", "R"))]:
        mtz.add_column(name, kind)
    mtz.set_data(np.array([
        [1, 2, 3, 1, 7, 100, 5, 110, 4, 1.0, 10, 11, 6.5, 0.5],
        [1, 2, 4, 256 + 1, 7, 30, 3, 33, 3, 0.4, 20, 21, 7.0, 0.5],
        [1, 2, 4, 256 + 1, 8, 50, 4, 55, 4, 0.6, 20, 21, 7.0, 0.5],
        [2, 2, 5, 256 + 2, 8, 20, 2, 21, 2, 0.5, 30, 31, 7.9, 0.5]], np.float32))
    for number in (7, 8):
        batch = gemmi.Mtz.Batch()
        batch.number, batch.dataset_id = number, 1
        floats = {36: number - 1.0, 37: float(number), 38: 0.0, 39: 0.0, 40: 1.0, 47: 1.0, 83: -1.0, 86: 1.0}
        floats |= dict(enumerate(mtz.cell.parameters))
        if orientation:
            floats |= {6 + i: v for i, v in enumerate(np.eye(3).ravel())}
        for at, value in floats.items():
            batch.floats[at] = value
        mtz.batches.append(batch)
    mtz.write_to_file(str(path))


def test_parts_of_mosflm_are_added(tmp_path):
    write_mosflm_like(tmp_path / "a.mtz")
    experiments, table = read_mtz_intensities(tmp_path / "a.mtz")
    table = table.select(np.argsort(table["xyzcal.px"][:, 2]))
    assert table["miller_index"].tolist() == [[1, 2, 3], [1, 2, 4], [-2, -2, -5]]
    np.testing.assert_allclose(table["partiality"], [1.0, 1.0, 0.5], rtol=1e-6)
    # before the correction LP = 0.5; sums are of what was recorded, fits of the whole
    np.testing.assert_allclose(table["intensity.sum.value"], [200.0, 160.0, 40.0], rtol=1e-6)
    np.testing.assert_allclose(table["intensity.prf.value"], [220.0, 176.0, 84.0], rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(table["intensity.sum.variance"]), [10.0, 10.0, 4.0], rtol=1e-6)
    np.testing.assert_allclose(table["xyzcal.px"][:, 2], [6.5, 7.0, 7.9], atol=1e-5)
    np.testing.assert_allclose(experiments[0].crystal.A, make_busing_levy(np.array([[50, 60, 70, 90, 100, 90.0]]))[0],
                               atol=1e-7)


def test_without_orientation_there_are_no_rays(tmp_path):
    write_mosflm_like(tmp_path / "a.mtz", orientation=False)
    assert "s1" not in read_mtz_intensities(tmp_path / "a.mtz")[1]


def test_merged_and_damaged_files_are_refused(measured, tmp_path):
    scaled = xdp.scale(*measured)
    xdp.merge(scaled.experiments, scaled.reflections).write_mtz(tmp_path / "merged.mtz")
    with pytest.raises(FormatError, match="is merged"):
        read_mtz_intensities(tmp_path / "merged.mtz")
    (tmp_path / "cut.mtz").write_bytes(b"MTZ \x15")
    with pytest.raises(FormatError, match="cannot be read as an MTZ file"):
        read_mtz_intensities(tmp_path / "cut.mtz")
