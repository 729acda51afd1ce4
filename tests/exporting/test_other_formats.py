"""XDS_ASCII, SHELX, mmCIF and JSON."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import json
import lzma
import os

import gemmi
import numpy as np
import pytest

from xdp.errors import OptionError, XdpError
from xdp.experiment import ExperimentList, ImageSet
from xdp.exporting.export import export, export_files
from xdp.exporting.options import ExportOptions, JsonOptions, ShelxOptions
from xdp.exporting.other_formats import write_mmcif, write_rlp_json
from xdp.exporting.shelx import scale_into, symmetry_cards, write_shelx
from xdp.exporting.xds_ascii import write_xds_ascii
from xdp.options.reader import parse


def test_xds_records_are_sorted_by_unique_indices(make_experiments, make_integrated, tmp_path):
    table = make_integrated()
    n, paths = write_xds_ascii(tmp_path / "a.HKL", make_experiments(), table)
    lines = paths[0].read_text().splitlines()
    assert (lines[0], lines[-1]) == ("!FORMAT=XDS_ASCII    MERGE=FALSE    FRIEDEL'S_LAW=TRUE", "!END_OF_DATA")
    assert "!SPACE_GROUP_NUMBER= 96" in lines
    rows = np.array([[float(v) for v in line.split()] for line in lines if line[0] != "!"])
    assert rows.shape == (40, 12) == (n, 12)
    group = make_experiments()[0].crystal.space_group
    asu = gemmi.ReciprocalAsu(group)
    unique = [tuple(asu.to_asu([int(v) for v in row[:3]], group.operations())[0]) for row in rows]
    assert unique == sorted(unique)
    row = rows[0]
    i = np.flatnonzero((table["miller_index"] == row[:3]).all(axis=1))[0]
    factor = table["lp"][i] / table["qe"][i]
    assert row[3] == pytest.approx(table["intensity.sum.value"][i] * factor, rel=1e-6)
    assert row[5:8] == pytest.approx(table["xyzcal.px"][i], abs=1e-6)
    assert row[8] == pytest.approx(factor, abs=1e-6)


def test_several_experiments_get_a_file_each(make_experiments, make_integrated, tmp_path):
    n, paths = write_xds_ascii(tmp_path / "a.HKL", make_experiments(2), make_integrated(n_experiments=2))
    assert [path.name for path in paths] == ["a_0.HKL", "a_1.HKL"]
    assert n == 80


def test_shelx_rows_have_fixed_columns(make_experiments, make_integrated, tmp_path):
    table = make_integrated()
    names = ShelxOptions(hklout=str(tmp_path / "a.hkl"), ins=str(tmp_path / "a.ins"))
    assert write_shelx(make_experiments(), table, ("profile",), names) == 40
    lines = (tmp_path / "a.hkl").read_text().splitlines()
    assert {len(line) for line in lines} == {28}
    assert lines[-1].split() == ["0", "0", "0", "0.00", "0.00"]
    rows = np.array([[int(line[4 * i:4 * i + 4]) for i in range(3)] + [float(line[12:20])] for line in lines[:-1]])
    np.testing.assert_array_equal(rows[:, :3], table["miller_index"])
    expected = table["intensity.prf.value"] * table["lp"] / table["qe"]
    np.testing.assert_allclose(rows[:, 3], expected * 9999.0 / expected.max(), rtol=1e-3, atol=0.006)
    ins = (tmp_path / "a.ins").read_text()
    assert ins.startswith("TITL 96 in P43212\nCELL  0.97950  79.3400  79.3400  37.8100   90.000")


def test_shelx_scale_can_be_left_alone(make_experiments, make_integrated, tmp_path):
    table = make_integrated()
    names = {"hklout": str(tmp_path / "a.hkl"), "ins": str(tmp_path / "a.ins")}
    write_shelx(make_experiments(), table, ("sum",), ShelxOptions(scale=False, **names))
    first = float((tmp_path / "a.hkl").read_text()[12:20])
    assert first == pytest.approx(table["intensity.sum.value"][0] * table["lp"][0] / table["qe"][0], abs=0.006)
    assert scale_into(np.array([-10.0, 5.0]), np.array([1.0, 1.0]), (-99.0, 9999.0)) == pytest.approx(9.9)
    table["intensity.sum.value"] *= 1e9
    with pytest.raises(XdpError, match="eight columns"):
        write_shelx(make_experiments(), table, ("sum",), ShelxOptions(scale=False, **names))


def test_two_kinds_are_too_many_for_shelx(make_experiments, make_integrated):
    with pytest.raises(XdpError, match="one kind"):
        write_shelx(make_experiments(), make_integrated(), ("sum", "profile"))


@pytest.mark.parametrize(("name", "latt", "n_symm"), [
    ("P 1", -1, 0), ("P -1", 1, 0), ("C 1 2 1", -7, 1), ("P 1 21/c 1", 1, 1), ("F m -3 m", 4, 23), ("R 3:H", -3, 2),
    ("R 3:R", -1, 2), ("I 41", -2, 3), ("P 43 21 2", -1, 7)])
def test_symmetry_cards_say_what_shelx_does_not_imply(name, latt, n_symm):
    cards = symmetry_cards(gemmi.SpaceGroup(name))
    assert cards[0] == f"LATT {latt}"
    assert len(cards) == 1 + n_symm


@pytest.mark.parametrize(("compress", "read"), [(None, bytes), ("gz", gzip.decompress), ("bz2", bz2.decompress),
                                                ("xz", lzma.decompress)])
def test_mmcif_holds_unmerged_intensities(make_experiments, make_integrated, tmp_path, compress, read):
    path = tmp_path / "a.cif"
    assert write_mmcif(path, make_experiments(), make_integrated(), compress=compress) == 40
    block = gemmi.cif.read_string(read(path.read_bytes()).decode()).sole_block()
    assert len(block.find_loop("_diffrn_refln.index_h")) == 40
    assert b"/tmp" not in read(path.read_bytes())


def test_points_of_the_lattice_are_those_of_the_crystal(make_experiments, tmp_path):
    from xdp.prediction.reflections import predict_rotation

    experiments = make_experiments()
    truth = predict_rotation(experiments[0], 4.0)
    truth = truth.with_columns(**{"xyzobs.px.value": truth["xyzcal.px"], "id": np.zeros(len(truth), np.int32)})
    options = JsonOptions(filename=str(tmp_path / "rlp.json"), n_digits=4)
    assert write_rlp_json(experiments, truth, options) == len(truth) > 50
    content = json.loads((tmp_path / "rlp.json").read_text())
    points = np.reshape(content["rlp"], (-1, 3))
    np.testing.assert_allclose(points, truth["miller_index"] @ experiments[0].crystal.A.T, atol=1e-4)
    assert "\n" not in (tmp_path / "rlp.json").read_text()
    write_rlp_json(experiments, truth, JsonOptions(filename=str(tmp_path / "b.json"), compact=False))
    assert (tmp_path / "b.json").read_text().count("\n") > len(truth)


def test_json_needs_centroids(make_experiments, make_integrated):
    table = make_integrated()
    del table["xyzobs.px.value"]
    with pytest.raises(XdpError, match="centroids"):
        write_rlp_json(make_experiments(), table)
    with pytest.raises(XdpError, match="experiment 1"):
        write_rlp_json(make_experiments(), make_integrated(n_experiments=2))


@pytest.mark.parametrize(("words", "names"), [
    (["format=mtz"], ("integrated.mtz",)), (["mtz.hklout=x.mtz"], ("x.mtz",)), (["format=mmcif"], ("integrated.cif",)),
    (["format=mmcif", "mmcif.compress=gz", "mmcif.hklout=x.cif"], ("x.cif.gz",)),
    (["format=shelx"], ("dials.hkl", "dials.ins")), (["format=json"], ("rlp.json",)),
    (["format=xds_ascii", "xds_ascii.hklout=X.HKL"], ("X.HKL",))])
def test_the_format_chooses_the_files(words, names, make_experiments, make_integrated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options, _ = parse(ExportOptions, words)
    assert export_files(options) == names
    written = export(make_experiments(), make_integrated(), options)
    assert (written.n_written, written.files) == (40, names)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize(("words", "name"), [
    ([], "integrated.mtz"), (["format=mmcif", "mmcif.compress=gz"], "integrated.cif.gz"),
    (["format=shelx"], "dials.ins"), (["format=json"], "rlp.json"), (["format=xds_ascii"], "DIALS_1.HKL")])
def test_no_file_replaces_an_image(words, name, make_experiments, make_integrated, tmp_path, monkeypatch):
    """Also where only the data tell the file's name; of several files none is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "img_0003.cbf").write_text("counts")
    os.link("img_0003.cbf", name)
    imageset = ImageSet("ImageSequence", str(tmp_path / "img_####.cbf"))
    experiments = ExperimentList([dataclasses.replace(e, imageset=imageset) for e in make_experiments(2)])
    with pytest.raises(XdpError, match=r"would replace .*img_0003\.cbf, an image of the experiments"):
        export(experiments, make_integrated(n_experiments=2), parse(ExportOptions, words)[0])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["img_0003.cbf", name])


def test_several_kinds_are_joined_by_plus():
    assert parse(ExportOptions, ["intensity=sum+profile"])[0].intensity in (("sum", "profile"), ("profile", "sum"))
    with pytest.raises(OptionError):
        parse(ExportOptions, ["intensity=best"])
