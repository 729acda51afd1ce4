"""Images that a geometry file cuts into panels: layouts of several kinds, masks, energies, distances."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import xdp
from xdp.errors import FormatError
from xdp.images.formats.find import find_format
from xdp.images.reader import open_reader

HEAD = """photon_energy = {energy}
clen = {clen}
coffset = 0.5
res = 10000
{more}
"""


def write_geometry(path, panels, energy="9500", clen="0.1", more=""):
    """A geometry of panels of 4 x 3 pixels: name to further lines."""
    lines = [HEAD.format(energy=energy, clen=clen, more=more)]
    for i, (name, own) in enumerate(panels.items()):
        lines += [f"{name}/min_fs = {own.get('fs', 0)}", f"{name}/max_fs = {own.get('fs', 0) + 3}",
                  f"{name}/min_ss = {own.get('ss', 0)}", f"{name}/max_ss = {own.get('ss', 0) + 2}",
                  f"{name}/corner_x = {10 * i}", f"{name}/corner_y = 0"]
        lines += [f"{name}/{key} = {value}" for key, value in own.get("more", {}).items()]
    path.write_text("\n".join(lines))
    return str(path)


@pytest.fixture
def pixels():
    return np.arange(5 * 2 * 6 * 8).reshape(5, 2, 6, 8).astype(np.uint16)


def test_panels_of_a_slab(tmp_path, pixels):
    geometry = write_geometry(tmp_path / "a.geom", {"a": {}, "b": {"fs": 4, "ss": 3}},
                              more="data = /data\ndim0 = %\ndim1 = ss\ndim2 = fs")
    with h5py.File(tmp_path / "x.h5", "w") as handle:
        handle["data"] = pixels[:, 0]
    opened = find_format(tmp_path / "x.h5", {"geometry_file": geometry})
    assert opened.n_images == 5
    a, b = opened.raw(3)
    assert np.array_equal(a, pixels[3, 0, :3, :4])
    assert np.array_equal(b, pixels[3, 0, 3:, 4:])
    assert opened.models(0).detector[1].d_matrix[:, 2].tolist() == pytest.approx([-1.0, 0.0, -600.0])


@pytest.mark.parametrize(("dims", "order"), [
    (("%", "{i}", "ss", "fs"), (0, 1, 2, 3)), (("{i}", "%", "ss", "fs"), (1, 0, 2, 3)),
    (("%", "{i}", "fs", "ss"), (0, 1, 3, 2)), (("ss", "fs", "{i}", "%"), (2, 3, 1, 0))])
def test_panels_along_a_dimension(tmp_path, pixels, dims, order):
    panels = {name: {"more": {f"dim{k}": dim.format(i=i) for k, dim in enumerate(dims)}}
              for i, name in enumerate("ab")}
    geometry = write_geometry(tmp_path / "a.geom", panels, more="data = /data")
    with h5py.File(tmp_path / "x.h5", "w") as handle:
        handle["data"] = pixels.transpose(order)
    opened = find_format(tmp_path / "x.h5", {"geometry_file": geometry})
    assert opened.n_images == 5
    for i, panel in enumerate(opened.raw(2)):
        assert np.array_equal(panel, pixels[2, i, :3, :4])


def test_events_of_paths_and_of_two_dimensions(tmp_path, pixels):
    geometry = write_geometry(tmp_path / "a.geom", {"a": {}},
                              more="data = /run/%/det/array\ndim0 = %\ndim1 = %\ndim2 = ss\ndim3 = fs")
    with h5py.File(tmp_path / "x.h5", "w") as handle:
        handle["run/e2/det/array"] = pixels[:2]
        handle["run/e1/det/array"] = pixels[:1]
        handle["run/e3/det/other"] = pixels
    opened = find_format(tmp_path / "x.h5", {"geometry_file": geometry})
    assert [event.name for event in opened.events] == ["e1//0/0", "e1//0/1", "e2//0/0", "e2//0/1", "e2//1/0",
                                                       "e2//1/1"]
    assert np.array_equal(opened.raw(4)[0], pixels[1, 0, :3, :4])


def test_an_event_must_be_in_the_data_sets_of_all_panels(tmp_path, pixels):
    geometry = write_geometry(tmp_path / "a.geom", {"a": {"more": {"data": "/%/a"}}, "b": {"more": {"data": "/%/b"}}})
    with h5py.File(tmp_path / "x.h5", "w") as handle:
        handle["tag1/a"] = pixels[0, 0]
        handle["tag2/a"], handle["tag2/b"] = pixels[1, 0], pixels[1, 1]
    opened = find_format(tmp_path / "x.h5", {"geometry_file": geometry})
    assert [event.name for event in opened.events] == ["tag2//"]
    assert np.array_equal(opened.raw(0)[1], pixels[1, 1, :3, :4])


def test_several_masks_their_bits_and_bad_regions(tmp_path, pixels):
    more = """data = /data
dim0 = %
dim1 = ss
dim2 = fs
mask0_data = /mask
mask0_badbits = 0x2
mask1_data = /masks
mask1_goodbits = 0x1
mask2_data = /extra
mask2_file = extra.h5
mask2_badbits = 0xff
bad_one/min_fs = 3
bad_one/max_fs = 3
bad_one/min_ss = 0
bad_one/max_ss = 0
flag_equal = 49
flag_lessthan = 5
flag_morethan = 90"""
    geometry = write_geometry(tmp_path / "a.geom", {"a": {}}, more=more)
    static, own, extra = np.zeros((6, 8), np.uint8), np.ones((5, 6, 8), np.uint8), np.zeros((6, 8), np.uint8)
    static[0, 0], static[0, 1] = 2, 1
    own[1, 1, 1] = 2
    extra[2, 2] = 4
    with h5py.File(tmp_path / "x.h5", "w") as handle:
        handle["data"], handle["mask"], handle["masks"] = pixels[:, 0] - pixels[1, 0, 0, 0] + 48, static, own
    with h5py.File(tmp_path / "extra.h5", "w") as handle:
        handle["extra"] = extra
    opened = find_format(tmp_path / "x.h5", {"geometry_file": geometry})
    assert np.argwhere(~opened.static_mask()[0]).tolist() == [[0, 0], [0, 3], [2, 2]]
    assert np.argwhere(~opened.frame_mask(1)[0]).tolist() == [[0, 1], [1, 1]]
    assert opened.models(0).detector[0].trusted_range == (5.0, 90.0)


def test_energy_and_distance_come_from_each_image(tmp_path, pixels):
    geometry = write_geometry(tmp_path / "a.geom", {"a": {}}, "/LCLS/energy keV", "/LCLS/encoder",
                              "data = /data\ndim0 = %\ndim1 = ss\ndim2 = fs")
    with h5py.File(tmp_path / "x.h5", "w") as handle:
        handle["data"] = pixels[:, 0]
        handle["LCLS/energy"] = np.array([9.5, 9.6, 0.0, np.nan, 9.5])
        handle["LCLS/encoder"] = np.array([-450.0, -440.0, -450.0, -450.0, -450.0])
    imported = find_format(tmp_path / "x.h5", {"geometry_file": geometry})
    assert imported.read_energy(1) == pytest.approx(9600.0)
    assert imported.models(2).beam is None
    assert imported.models(3).beam is None
    assert imported.models(1).detector[0].d_matrix[2, 2] == pytest.approx(-60.0)
    assert imported.models(0).detector is imported.models(4).detector


def test_the_pipeline_reads_what_was_imported(tmp_path, pixels, shared_data):
    source = shared_data / "stills_dev/stills_dev.h5"
    imported = xdp.import_images(source, geometry_file=str(shared_data / "stills_dev/stills_dev.geom"))
    assert len(imported.experiments) == 60
    xdp.write_experiments(tmp_path / "a.expt", imported.experiments)
    experiment = xdp.read_experiments(tmp_path / "a.expt")[7]
    assert np.array_equal(open_reader(experiment).read(0)[0], find_format(source).raw(7)[0])
    assert not open_reader(experiment).static_mask()[0].all()


def test_other_images_of_one_panel_are_cut_too(tmp_path, pixels):
    geometry = write_geometry(tmp_path / "a.geom", {"a": {}, "b": {"fs": 4, "ss": 3}})
    np.save(tmp_path / "x.npy", pixels[:, 0])
    opened = find_format(tmp_path / "x.npy", {"geometry_file": geometry})
    assert opened.n_images == 5
    assert np.array_equal(opened.raw(4)[1], pixels[4, 0, 3:, 4:])


@pytest.mark.parametrize(("more", "message"), [
    ("data = /absent\ndim0 = %\ndim1 = ss\ndim2 = fs", "has no data set /absent"),
    ("data = /data\ndim0 = ss\ndim1 = fs", "has 3 dimensions, the geometry file has 2"), ("", "has no data")])
def test_what_does_not_fit_is_said(tmp_path, pixels, more, message):
    geometry = write_geometry(tmp_path / "a.geom", {"a": {}}, more=more)
    with h5py.File(tmp_path / "x.h5", "w") as handle:
        handle["data"] = pixels[:, 0]
    with pytest.raises(FormatError, match=message):
        find_format(tmp_path / "x.h5", {"geometry_file": geometry}).raw(0)


def test_an_image_that_is_too_small_has_the_wrong_shape(tmp_path, pixels):
    geometry = write_geometry(tmp_path / "a.geom", {"a": {"fs": 100}}, more="data=/data\ndim0=%\ndim1=ss\ndim2=fs")
    with h5py.File(tmp_path / "x.h5", "w") as handle:
        handle["data"] = pixels[:, 0]
    with pytest.raises(FormatError, match=r"panel a does not lie \(fs to 103"):
        find_format(tmp_path / "x.h5", {"geometry_file": geometry}).raw(0)
