"""cctbx.xfel's .def: read from real headers, and there and back."""

import gzip

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.experiment import Beam, read_experiments
from xdp.images.formats.find import find_format
from xdp.images.geometry_files.convert import convert_geometry, read_geometry_source
from xdp.images.geometry_files.definition import format_definition, read_definition, write_definition
from xdp.images.geometry_files.read import find_geometry_kind, read_geometry_file


def check_same(a, b, tolerance=1e-9):
    assert len(a) == len(b)
    for i in range(len(a)):
        assert np.abs(a.d_matrix(i) - b.d_matrix(i)).max() < tolerance
        assert a[i].image_size == b[i].image_size
        assert a[i].trusted_range == pytest.approx(b[i].trusted_range)


def count_nodes(node):
    """Panels below each body, in order: the shape of a tree."""
    return [1 if "panel" in child else count_nodes(child) for child in node["children"]]


@pytest.fixture
def cspad(shared_data, tmp_path):
    """A real CSPAD image, and the header alone, as cctbx.xfel writes it."""
    data = gzip.decompress((shared_data / "thermolysin_cspad/idx-20130301060858401.cbf.gz").read_bytes())
    (tmp_path / "a.cbf").write_bytes(data)
    (tmp_path / "a.def").write_bytes(data[:data.index(b"_array_data.data")].rsplit(b"loop_", 1)[0])
    return tmp_path


def test_the_header_of_a_real_image_is_a_definition(cspad):
    whole = find_format(str(cspad / "a.cbf"), {}).models(0)
    assert find_geometry_kind(cspad / "a.def") == "definition"
    detector, beam = read_definition(cspad / "a.def")
    check_same(detector, whole.detector, 1e-12)
    assert beam.wavelength == whole.beam.wavelength
    assert count_nodes(detector.hierarchy) == [[[1, 1]] * 8] * 4


def test_there_and_back(cspad):
    detector, beam = read_definition(cspad / "a.def")
    assert write_definition(cspad / "b.def", detector, beam) == []
    again, same = read_definition(cspad / "b.def")
    check_same(again, detector)
    assert same.wavelength == beam.wavelength
    assert count_nodes(again.hierarchy) == count_nodes(detector.hierarchy)


def test_by_convert_geometry(cspad, shared_data):
    source = shared_data / "serial/geom/cspad-cxiformat.geom"
    convert_geometry(source, {"output.geometry": str(cspad / "c.def"), "distance": 120.0, "energy": 9500.0})
    first = read_geometry_source(source, read_options(distance=120.0, energy=9500.0))
    check_same(read_definition(cspad / "c.def")[0], first.detector)
    convert_geometry(cspad / "c.def", {"output.geometry": str(cspad / "d.expt"), "distance": 150.0})
    moved = read_experiments(cspad / "d.expt")[0]
    assert moved.detector[0].distance == pytest.approx(150.0)
    assert moved.beam.wavelength == pytest.approx(12398.4198 / 9500.0, rel=1e-6)


def read_options(**named):
    from xdp.images.geometry_files.convert import ConvertGeometryOptions

    return ConvertGeometryOptions(**named)


def test_without_a_wavelength_there_is_no_beam(cspad):
    detector, _ = read_definition(cspad / "a.def")
    (cspad / "e.def").write_text(format_definition(detector))
    found, beam = read_definition(cspad / "e.def")
    assert beam is None
    check_same(found, detector)
    assert "wavelength" in format_definition(detector, Beam.along_z(1.3))


def test_what_is_lost_and_what_is_wrong_is_said(cspad, tmp_path):
    from xdp.simulation import make_detector

    assert "no sensors" in write_definition(tmp_path / "p.def", make_detector())[0]
    with pytest.raises(FormatError, match="does not say where panels lie"):
        read_geometry_file(cspad / "a.def")
    (tmp_path / "x.def").write_text("###CBF: VERSION 1.5\ndata_x\n_diffrn.id DS1\n")
    with pytest.raises(FormatError):
        read_definition(tmp_path / "x.def")
