"""Streams of processed shots, read back."""

import numpy as np
import pytest
from shot_data import NAMED, draw_shots, write_shots

from xdp.options.named import make_options
from xdp.reflections.table import ReflectionTable
from xdp.serial.process.options import StillsProcessOptions
from xdp.serial.process.process import stills_process_to_files
from xdp.serial.process.results.stream import measure_peaks, name_lattice
from xdp.serial.streams import read_stream
from xdp.simulation.models import make_crystal


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream")
    stack, geometry = write_shots(folder, *draw_shots(((), (1,), (4,))))
    options = make_options(StillsProcessOptions, None, {
        **NAMED, "events.geometry": geometry.partition("=")[2], "output_dir": str(folder),
        "output.table": str(folder / "shots.zarr"), "output.stream": str(folder / "run.stream")})
    result = stills_process_to_files([stack], options)
    return result, read_stream(folder / "run.stream")


def test_hits_are_images_of_the_stream(found):
    result, stream = found
    assert [chunk.event for chunk in stream.chunks] == ["//1", "//2"]
    assert [len(chunk.crystals) for chunk in stream.chunks] == [1, 1]
    assert [len(chunk.peaks["fs"]) for chunk in stream.chunks] == result.table["n_peaks"][1:].tolist()
    assert stream.cell is not None
    assert "a = 79.1000 A" in stream.cell
    assert "p0/" in stream.geometry or "corner_x" in stream.geometry
    assert stream.chunks[0].camera_length == pytest.approx(70.0, abs=0.01)


def test_intensities_and_axes_are_those_of_the_tables(found):
    result, stream = found
    table = result.reflections
    for k, chunk in enumerate(stream.chunks):
        crystal, own = chunk.crystals[0], table.select(table["id"] == k)
        hkl = np.column_stack([crystal.reflections[name] for name in "hkl"])
        np.testing.assert_array_equal(hkl, own["miller_index"])
        # a stream has two digits of an intensity, and one of a position
        np.testing.assert_allclose(crystal.reflections["intensity"], own["intensity.sum.value"], atol=0.0051)
        np.testing.assert_allclose(crystal.reflections["fs"], own["xyzcal.px"][:, 0], atol=0.051)
        assert np.all(crystal.reflections["peak"] >= 0)
        # the laboratory of CrystFEL is that of DIALS turned about y
        axes = result.experiments[k].crystal.A.T * [-1.0, 1.0, -1.0]
        np.testing.assert_allclose(crystal.reciprocal_axes, axes, atol=1e-7)
        np.testing.assert_allclose(crystal.cell, result.experiments[k].crystal.unit_cell, atol=1e-3)


def test_lattice_types():
    assert name_lattice(make_crystal()) == ("tetragonal", "c")
    assert name_lattice(make_crystal((50, 65, 90, 90, 105, 90), " P 2yb")) == ("monoclinic", "b")
    assert name_lattice(make_crystal((92, 92, 130, 90, 90, 120), " P 61 2 (0 0 5)")) == ("hexagonal", "c")
    assert name_lattice(make_crystal((50, 60, 70, 90, 90, 90), " P 2ac 2ab")) == ("orthorhombic", "")


def test_the_highest_count_is_sought_near_a_prediction():
    image = np.zeros((6, 6))
    image[2, 3], image[5, 5] = 9.0, 100.0
    positions = np.array([[2.5, 1.5, 0.5], [0.2, 0.1, 0.5]])
    table = ReflectionTable({"panel": np.zeros(2, np.uint64), "xyzcal.px": positions})
    assert measure_peaks([image], table).tolist() == [9.0, 0.0]
