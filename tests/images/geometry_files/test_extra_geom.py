"""European XFEL's HDF5 geometry of LPD and DSSC."""

import h5py
import numpy as np
import pytest

from xdp.cli.main import main
from xdp.errors import FormatError, OptionError
from xdp.images.geometry_files.convert import convert_geometry
from xdp.images.geometry_files.extra_geom import DSSC, LPD, read_extra_geom
from xdp.images.geometry_files.read import read_geometry_file
from xdp.images.geometry_files.read_crystfel import read_crystfel_geometry

QUADRANTS = {"lpd_mar_18": (11.4, 299, -11.5, 8, 254.5, -16, 278.5, 275),
             "dssc_geo_june19": (-130, 5, -130, -125, 5, -125, 5, 5)}


def list_corners(panel):
    """All four corners, mm."""
    first = np.array([panel.corner_x, panel.corner_y])
    size = panel.max_fs - panel.min_fs + 1, panel.max_ss - panel.min_ss + 1
    return np.array([first + a * size[0] * np.array(panel.fs[:2]) + b * size[1] * np.array(panel.ss[:2])
                     for a in (0, 1) for b in (0, 1)]) * 1000.0 / panel.res


@pytest.mark.parametrize(("name", "tiles"), [("lpd_mar_18", LPD), ("dssc_geo_june19", DSSC)])
def test_the_places_of_the_file_are_corners_of_the_tiles(shared_data, name, tiles):
    path = shared_data / "serial/other" / f"{name}.h5"
    quadrants = QUADRANTS[name]
    geometry = read_extra_geom(path, quadrants)
    assert len(geometry.panels) == 16 * tiles.n_tiles
    assert len(geometry.groups) == 21
    with h5py.File(path) as file:
        for number, panel in enumerate(geometry.panels):
            module, tile = divmod(number, tiles.n_tiles)
            folder = f"Q{module // 4 + 1}/M{module % 4 + 1}"
            inner = file[f"{folder}/Position"][:2] + file[f"{folder}/T{tile + 1:02d}/Position"][:2]
            # the file of LPD is one of the first, with the axes the other way round
            wanted = np.array(quadrants[module // 4 * 2:][:2]) + (-inner if tiles is LPD else inner)
            corners = list_corners(panel)
            corner = corners.max(0) if tiles is LPD else corners.min(0)
            np.testing.assert_allclose(corner, wanted, atol=1e-9)


@pytest.mark.parametrize("name", list(QUADRANTS))
def test_tiles_fill_the_modules_and_do_not_overlap(shared_data, name):
    geometry = read_extra_geom(shared_data / "serial/other" / f"{name}.h5", QUADRANTS[name])
    stored = np.zeros((16, 256, 256) if name.startswith("lpd") else (16, 128, 512), int)
    boxes = []
    for panel in geometry.panels:
        stored[panel.dims[1], panel.min_ss:panel.max_ss + 1, panel.min_fs:panel.max_fs + 1] += 1
        corners = list_corners(panel)
        # one module of the LPD was not measured
        if not (name.startswith("lpd") and panel.name.startswith("p5a")):
            boxes.append((corners.min(0), corners.max(0)))
    assert any("Q2M2" in note for note in geometry.notes) == name.startswith("lpd")
    assert np.all(stored == 1)
    for i in range(len(boxes)):
        for j in range(i):
            overlap = np.minimum(boxes[i][1], boxes[j][1]) - np.maximum(boxes[i][0], boxes[j][0])
            assert overlap.min() < 0.01


def test_neighbours_in_a_module_follow_each_other_in_the_stored_image(shared_data):
    """LPD: rows run along y in the whole module, so that tiles that are neighbours in the data are so in space."""
    geometry = read_extra_geom(shared_data / "serial/other/lpd_mar_18.h5", QUADRANTS["lpd_mar_18"])
    module = sorted(geometry.panels[:16], key=lambda panel: (panel.min_fs, panel.min_ss))
    y = np.array([panel.corner_y for panel in module]).reshape(2, 8)
    assert np.all(np.diff(y, axis=1) > 32)
    x = np.array([panel.corner_x for panel in module]).reshape(2, 8)
    assert np.all(x[1] - x[0] > 128)


def test_by_convert_geometry(shared_data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = shared_data / "serial/other/dssc_geo_june19.h5"
    words = ["convert_geometry", str(path), "distance=250", "energy=900", "output.geometry=dssc.geom",
             f"quadrants={','.join(map(str, QUADRANTS['dssc_geo_june19']))}"]
    assert main(words) == 0
    assert "hexagonal" in capsys.readouterr().out
    written, first = read_crystfel_geometry("dssc.geom"), read_extra_geom(path, QUADRANTS["dssc_geo_june19"])
    for a, b in zip(written.panels, first.panels, strict=True):
        np.testing.assert_allclose(list_corners(a), list_corners(b), atol=1e-6)
        assert (a.dims, a.min_fs, a.min_ss) == (b.dims, b.min_fs, b.min_ss)


def test_what_is_missing_is_said(shared_data, tmp_path):
    path = shared_data / "serial/other/lpd_mar_18.h5"
    with pytest.raises(FormatError, match="give quadrants="):
        read_geometry_file(path)
    with pytest.raises(OptionError, match="8 numbers"):
        convert_geometry(path, {"quadrants": (1.0, 2.0), "output.geometry": str(tmp_path / "a.geom")})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(FormatError, match=r"AGIPD's geometry is a \.geom"):
        read_geometry_file(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["Q1/M1/T01/Position"] = [1.0, 2.0]
    with pytest.raises(FormatError, match="1 tiles a module"):
        read_geometry_file(tmp_path / "b.h5")


def test_quadrants_of_the_file_are_used(shared_data, tmp_path):
    source = shared_data / "serial/other/lpd_mar_18.h5"
    (tmp_path / "c.h5").write_bytes(source.read_bytes())
    with h5py.File(tmp_path / "c.h5", "r+") as file:
        for q in range(4):
            file[f"Q{q + 1}/Position"] = -np.array(QUADRANTS["lpd_mar_18"][2 * q:2 * q + 2])
    assert read_geometry_file(tmp_path / "c.h5").panels[7].corner_x == read_extra_geom(
        source, QUADRANTS["lpd_mar_18"]).panels[7].corner_x
