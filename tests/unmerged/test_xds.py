"""XDS' files: the numbers that were written come back, and damaged files are refused."""

from __future__ import annotations

import numpy as np
import pytest
from unmerged_data import as_integrate_hkl, sort_rows

from xdp.errors import FormatError
from xdp.unmerged.xds import compare_polarisations, read_xds_file, read_xds_intensities


def test_what_was_exported_comes_back(files, measured):
    experiments, table = read_xds_intensities(files / "XDS_ASCII.HKL")
    given, found = sort_rows(measured[1]), sort_rows(table)
    np.testing.assert_array_equal(found["miller_index"], given["miller_index"])
    # the file has six decimals
    np.testing.assert_allclose(found["xyzcal.px"], given["xyzcal.px"], atol=1e-6)
    np.testing.assert_allclose(found["lp"], given["lp"] / given["qe"], atol=1e-6)
    np.testing.assert_allclose(found["intensity.scale.value"], given["intensity.sum.value"] * given["lp"] / given["qe"],
                               atol=1e-6)
    np.testing.assert_allclose(np.sqrt(found["intensity.prf.variance"]),
                               np.sqrt(given["intensity.sum.variance"]), rtol=1e-4)
    # axes are written to a thousandth of an Å, which is 2e-5 of the shortest
    ray, other = experiments[0].beam.s0, measured[0][0].beam.s0
    np.testing.assert_allclose(found["s1"] @ ray, given["s1"] @ other, atol=5e-5)
    assert experiments[0].scan.image_range == (1, 20)
    assert experiments[0].detector[0].image_size == measured[0][0].detector[0].image_size


def test_the_records_are_those_that_a_slow_reader_finds(files):
    file = read_xds_file(files / "XDS_ASCII.HKL")
    rows = [[float(word) for word in line.split()] for line in (files / "XDS_ASCII.HKL").read_text().splitlines()
            if not line.startswith("!")]
    np.testing.assert_array_equal(file.records, rows)
    assert file.numbers("UNIT_CELL_CONSTANTS", 6) == (79.34, 79.34, 37.81, 90.0, 90.0, 90.0)


def test_the_error_model_of_xds_is_taken_out_for_scaling(files, tmp_path):
    text = (files / "XDS_ASCII.HKL").read_text().replace("VARIANCE_MODEL= 1.000e+00 0.000e+00",
                                                         "VARIANCE_MODEL= 4.000e+00 1.000e-04")
    (tmp_path / "a.HKL").write_text(text)
    _, before = read_xds_intensities(files / "XDS_ASCII.HKL")
    _, after = read_xds_intensities(tmp_path / "a.HKL")
    value, sigma2, lp2 = before["intensity.scale.value"], before["intensity.scale.variance"], before["lp"]**2
    expected = np.maximum(sigma2 / 4.0 - 1e-4 * value**2, 1e-3 * sigma2 / 4.0)
    np.testing.assert_allclose(after["intensity.prf.variance"], expected / lp2)
    np.testing.assert_array_equal(after["intensity.scale.variance"], sigma2)


def test_integrate_hkl_is_not_scaled_and_takes_the_polarisation(files, tmp_path):
    as_integrate_hkl(files / "XDS_ASCII.HKL", tmp_path / "INTEGRATE.HKL")
    experiments, plain = read_xds_intensities(tmp_path / "INTEGRATE.HKL")
    assert "intensity.scale.value" not in plain
    _, same = read_xds_intensities(tmp_path / "INTEGRATE.HKL", 0.5)
    np.testing.assert_allclose(same["lp"], plain["lp"])
    _, polarised = read_xds_intensities(tmp_path / "INTEGRATE.HKL", 0.99)
    ratio = compare_polarisations(plain["s1"], experiments[0].beam.s0, np.array([0.0, 1.0, 0.0]), 0.99)
    np.testing.assert_allclose(polarised["lp"] / plain["lp"], ratio)
    assert ratio.std() > 0.001


def test_the_polarisation_is_that_of_integration():
    """The formula of xdp's own correction, which is that of Kahn et al."""
    rng = np.random.default_rng(1)
    s1, n, p = rng.normal(size=(50, 3)), np.array([0.0, 1.0, 0.0]), 0.9
    s1 /= np.linalg.norm(s1, axis=1, keepdims=True)
    cos2 = np.square(s1[:, 2])
    polarised = (1.0 - 2.0 * p) * (1.0 - np.square(s1 @ n)) + p * (1.0 + cos2)
    found = compare_polarisations(s1, np.array([0.0, 0.0, 1.0]), n, p)
    np.testing.assert_allclose(found, 0.5 * (1.0 + cos2) / polarised)


def test_misfits_are_left_out(files, tmp_path):
    lines = (files / "XDS_ASCII.HKL").read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if not line.startswith("!"))
    words = lines[first].split()
    lines[first] = " ".join([*words[:4], f"-{words[4]}", *words[5:]])
    (tmp_path / "a.HKL").write_text("\n".join(lines))
    assert len(read_xds_intensities(tmp_path / "a.HKL")[1]) == len(lines) - first - 2


def test_sets_of_xscale_are_experiments(files, tmp_path):
    rows = [line.split() for line in (files / "XDS_ASCII.HKL").read_text().splitlines() if not line.startswith("!")]
    head = ["!FORMAT=XDS_ASCII    MERGE=FALSE    FRIEDEL'S_LAW=FALSE", "!SPACE_GROUP_NUMBER=   96",
            "!UNIT_CELL_CONSTANTS= 79.34 79.34 37.81 90 90 90", "! ISET= 1 INPUT_FILE=a.HKL",
            "! ISET= 1 X-RAY_WAVELENGTH= 0.9795", "! ISET= 2 INPUT_FILE=b.HKL", "! ISET= 2 X-RAY_WAVELENGTH= 0.9600",
            *(f"!ITEM_{name}={i}" for i, name in enumerate(("H", "K", "L", "IOBS", "SIGMA(IOBS)", "XD", "YD", "ZD",
                                                            "PSI", "ISET"), 1)), "!END_OF_HEADER"]
    body = [" ".join([*row[:8], "0.0", str(1 + i % 2)]) for i, row in enumerate(rows)]
    (tmp_path / "x.HKL").write_text("\n".join([*head, *body, "!END_OF_DATA"]))
    experiments, table = read_xds_intensities(tmp_path / "x.HKL")
    assert [e.beam.wavelength for e in experiments] == [0.9795, 0.96]
    assert np.bincount(table["id"]).tolist() == [(len(rows) + 1) // 2, len(rows) // 2]
    assert "s1" not in table


@pytest.mark.parametrize(("old", "new", "message"), [
    ("!END_OF_DATA", "", "cut off"), ("MERGE=FALSE", "MERGE=TRUE", "merged already"),
    ("!FORMAT=XDS_ASCII", "!FORMAT=OTHER", "is no XDS_ASCII"), ("!ITEM_ZD=8\n", "", "has no item ZD"),
    ("!UNIT_CELL_CONSTANTS=", "!CELL=", "needs UNIT_CELL_CONSTANTS= with 6 numbers"),
    ("!X-RAY_WAVELENGTH= 0.979500", "!X-RAY_WAVELENGTH= 0.0", "wavelength is 0"),
    ("!SPACE_GROUP_NUMBER= 96", "!SPACE_GROUP_NUMBER= 333", "no space group number 333"),
    ("!UNIT_CELL_C-AXIS=", "!UNIT_CELL_C-AXIS= 0 0 0 ", "span no cell"),
    ("\n!END_OF_DATA", "\n1 2 x\n!END_OF_DATA", "cannot be read"),
])
def test_a_damaged_file_is_refused_in_a_line(files, tmp_path, old, new, message):
    text = (files / "XDS_ASCII.HKL").read_text()
    assert old in text
    (tmp_path / "a.HKL").write_text(text.replace(old, new))
    with pytest.raises(FormatError, match=message) as caught:
        read_xds_intensities(tmp_path / "a.HKL")
    assert "\n" not in str(caught.value)
