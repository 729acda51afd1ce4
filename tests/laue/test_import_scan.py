"""Images and logs to one file."""

from __future__ import annotations

import h5py
import imagecodecs
import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.laue import import_scan as importer
from xdp.laue.import_scan import import_laue, read_image
from xdp.laue.options import LaueImportOptions
from xdp.laue.stack import ImageStack, read_design

IMAGES = np.random.default_rng(0).integers(0, 4000, (6, 40, 30)).astype(np.uint16)


@pytest.fixture
def series(tmp_path):
    """Six JPEG 2000 images (readable without geometry) and their log beside them."""
    (tmp_path / "xray_images").mkdir()
    rows = ["# made by a test", "#date time\tfile\tdelay\tangle[deg]"]
    for i, counts in enumerate(IMAGES):
        name = f"s_{i:03d}.jp2"
        (tmp_path / "xray_images" / name).write_bytes(imagecodecs.jpeg2k_encode(counts, reversible=True, level=0))
        rows.append(f"now\t{name}\t{'-' if i % 2 == 0 else '1ns'}\t{i // 2}")
    (tmp_path / "s.log").write_text("\n".join(rows) + "\n")
    return tmp_path


def options(folder, **changes) -> LaueImportOptions:
    return LaueImportOptions(output=str(folder / "s__mccd.h5"), **changes)


@pytest.mark.parametrize(("compression", "rows"), [("gzip", 128), ("gzip", 16), ("none", 7), ("lzf", 40), ("zstd", 9)])
def test_log_and_its_images(series, compression, rows):
    done = import_laue([str(series / "s.log")], options(series, compression=compression, rows=rows))
    assert done.shape == (40, 30)
    with h5py.File(done.output) as file:  # as HDF5 itself reads it
        assert np.array_equal(file["images"][()], IMAGES)
        assert file["images"].chunks == (1, min(rows, 40), 30)
        assert file["lauecollect/file"][1] == b"s_001.jp2"
    stack = ImageStack(done.output)
    assert np.array_equal(stack.read_rows(3, 20), IMAGES[:, 3:20])
    design = read_design(done.output, 6)
    assert design.angle.tolist() == [0, 0, 1, 1, 2, 2]
    assert design.laser.tolist() == [False, True] * 3
    assert design.delay[1] == 1e-9
    assert design.repeat.tolist() == [1] * 6


def test_some_images_of_the_log_in_its_order(series):
    names = [str(series / "xray_images" / f"s_{i:03d}.jp2") for i in (4, 1)]
    done = import_laue([*names, str(series / "s.log")], options(series))
    assert np.array_equal(ImageStack(done.output).read_frame(0), IMAGES[1])
    assert done.design.angle.tolist() == [0, 2]


def test_angles_from_parameters(series):
    names = [str(series / "xray_images" / f"s_{i:03d}.jp2") for i in range(6)]
    done = import_laue(names, options(series, start=10.0, step=2.0, frames_per_angle=3, laser=(0, 1)))
    assert done.design.angle.tolist() == [10, 10, 10, 12, 12, 12]
    assert done.design.laser.tolist() == [False, True] * 3
    done = import_laue(names, options(series, angle=(1, 2, 3, 4, 5, 6), overwrite=True))
    assert done.design.angle.tolist() == [1, 2, 3, 4, 5, 6]
    assert done.design.laser is None


def test_formats_of_xdp(tmp_path):
    """A TIFF goes through the same readers as everywhere in xdp."""
    fabio = pytest.importorskip("fabio")
    fabio.tifimage.TifImage(data=IMAGES[0]).write(str(tmp_path / "a.tif"))
    assert np.array_equal(read_image(str(tmp_path / "a.tif")), IMAGES[0])


@pytest.mark.shared
@pytest.mark.parametrize("name", ["somedata_0001.mccd.bz2", "oPPA_5grains_0001.tif.gz", "run2_1_00148.cbf.bz2"])
def test_real_marccd_tiff_and_cbf(shared_data, tmp_path, name):
    path = shared_data / "image_formats" / name
    if not path.exists():
        pytest.skip(f"needs image_formats/{name}")
    image = read_image(str(path))
    done = import_laue([str(path)] * 2, LaueImportOptions(output=str(tmp_path / "a.h5"), start=0.0, step=1.0))
    assert np.array_equal(ImageStack(done.output).read_frame(1), image)


def left(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_frames_of_two_sizes(series):
    odd = series / "xray_images" / "s_003.jp2"
    odd.write_bytes(imagecodecs.jpeg2k_encode(IMAGES[3][:20], reversible=True, level=0))
    with pytest.raises(XdpError, match=r"s_003\.jp2: 20 x 30 pixels, but .*s_000\.jp2 has 40 x 30"):
        import_laue([str(series / "s.log")], options(series))
    assert left(series) == {"xray_images", "s.log"}


def test_counts_of_two_types(series):
    odd = series / "xray_images" / "s_003.jp2"
    odd.write_bytes(imagecodecs.jpeg2k_encode((IMAGES[3] % 256).astype(np.uint8), reversible=True, level=0))
    with pytest.raises(XdpError, match="its counts are uint8"):
        import_laue([str(series / "s.log")], options(series))


def test_damaged_image(series):
    (series / "xray_images" / "s_005.jp2").write_bytes(b"no image")
    with pytest.raises(XdpError, match=r"s_005\.jp2: not a readable JPEG 2000"):
        import_laue([str(series / "s.log")], options(series))
    assert left(series) == {"xray_images", "s.log"}


def test_missing_image_and_unknown_image(series):
    stranger = series / "stranger.jp2"
    stranger.write_bytes((series / "xray_images" / "s_000.jp2").read_bytes())
    with pytest.raises(XdpError, match=r"stranger\.jp2: not in .*s\.log"):
        import_laue([str(stranger), str(series / "s.log")], options(series))
    (series / "xray_images" / "s_002.jp2").unlink()
    with pytest.raises(XdpError, match=r"its image s_002\.jp2 is neither beside it"):
        import_laue([str(series / "s.log")], options(series))
    with pytest.raises(XdpError, match=r"none\.jp2: no such image"):
        import_laue(["none.jp2"], options(series))


@pytest.mark.parametrize(("changes", "message"), [({}, "angles are not known"),
                                                  ({"angle": (1.0,)}, "1 values for 2 images")])
def test_unknown_angles(series, changes, message):
    names = [str(series / "xray_images" / f"s_{i:03d}.jp2") for i in range(2)]
    with pytest.raises(XdpError, match=message):
        import_laue(names, options(series, **changes))


def test_existing_output_and_two_logs(series):
    (series / "s__mccd.h5").write_text("precious")
    with pytest.raises(XdpError, match="exists already"):
        import_laue([str(series / "s.log")], options(series))
    assert (series / "s__mccd.h5").read_text() == "precious"
    with pytest.raises(XdpError, match="one log or table is wanted"):
        import_laue([str(series / "s.log"), "other.csv"], options(series))
    with pytest.raises(XdpError, match="no images"):
        import_laue([], options(series, start=0.0, step=1.0))


def test_name_of_the_output():
    assert str(importer._choose_output("x/scan1.log", LaueImportOptions())) == "scan1__mccd.h5"
    assert str(importer._choose_output("x/lyso_0001.mccd", LaueImportOptions())) == "lyso__mccd.h5"


@pytest.mark.shared
def test_a_real_white_beam_frame(shared_data, tmp_path):
    """The Ge wafer at BM32, JPEG 2000, comes through as it is."""
    path = shared_data / "laue_ge_bm32" / "ge.jp2"
    if not path.exists():
        pytest.skip("needs laue_ge_bm32")
    image = read_image(str(path))
    assert image.ndim == 2
    done = import_laue([str(path)], LaueImportOptions(output=str(tmp_path / "ge.h5"), start=0.0, step=1.0))
    assert np.array_equal(ImageStack(done.output).read_frame(0), image)
