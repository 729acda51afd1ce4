"""Geometry files converted to each other: panels stay where they are."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.cli.main import main
from xdp.errors import FormatError, OptionError
from xdp.experiment import read_experiments
from xdp.images.geometry_files.convert import convert_geometry, read_geometry_source
from xdp.images.geometry_files.read_crystfel import read_crystfel_geometry


def check_same(a, b):
    for i in range(len(a)):
        assert np.abs(a.d_matrix(i) - b.d_matrix(i)).max() < 1e-7


def test_there_and_back(shared_data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    source = shared_data / "serial/geom/cspad-cxiformat.geom"
    assert main(["convert_geometry", str(source), "distance=123.224", "energy=9500", "output.geometry=a.expt"]) == 0
    assert "not written" in capsys.readouterr().out
    assert main(["convert_geometry", "a.expt", "output.geometry=b.geom"]) == 0
    assert main(["convert_geometry", "b.geom", "output.geometry=c.data"]) == 0
    assert main(["convert_geometry", "c.data", "output.geometry=d.expt", "energy=9500"]) == 0
    first, last = read_experiments("a.expt")[0], read_experiments("d.expt")[0]
    check_same(first.detector, last.detector)
    assert first.detector.d_matrix(0)[2, 2] == pytest.approx(-123.224)
    assert first.beam.wavelength == pytest.approx(last.beam.wavelength)
    # Groups of sensors and quadrants are in the .expt, and in the .geom that is made of it.
    assert set(read_crystfel_geometry("b.geom").groups) >= {"q0", "q1", "q2", "q3", "a0", "a31"}


def test_the_geometry_file_of_an_import_gives_layout_and_masks(shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = shared_data / "stills_dev"
    assert main(["import", str(folder / "stills_dev.h5"), f"geometry_file={folder / 'stills_dev.geom'}"]) == 0
    convert_geometry("imported.expt", {"output.geometry": "again.geom"})
    again, first = read_crystfel_geometry("again.geom"), read_crystfel_geometry(folder / "stills_dev.geom")
    assert again.panels[0].masks == first.panels[0].masks
    assert again.panels[0].dims == ("%", "ss", "fs")
    check_same(read_geometry_source("again.geom").detector, read_geometry_source(folder / "stills_dev.geom").detector)


def test_what_is_wrong_is_said(shared_data, tmp_path):
    source = shared_data / "serial/geom/cspad-cxiformat.geom"
    with pytest.raises(OptionError, match=r"\.geom, \.data, \.expt"):
        convert_geometry(source, {"output.geometry": str(tmp_path / "a.txt")})
    with pytest.raises(FormatError, match="EncoderValue"):
        convert_geometry(source, {"output.geometry": str(tmp_path / "a.expt")})
    skewed = shared_data / "serial/geom/epix10k2M_lcls_mfx.geom"
    with pytest.raises(FormatError, match="right angle"):
        convert_geometry(skewed, {"output.geometry": str(tmp_path / "a.data"), "distance": 100.0})
