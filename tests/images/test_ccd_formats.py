"""SMV, MarCCD, Timepix, TIFF and EDF."""

import bz2
import gzip

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats import timepix
from xdp.images.formats.find import find_format
from xdp.images.formats.tiff import TIFFStack


@pytest.mark.parametrize("order", ["little_endian", "big_endian"])
def test_smv_pixels_and_models(tmp_path, image_files, order):
    image = image_files.pixels()
    opened = find_format(image_files.smv_file(tmp_path / "a_004.img", image, order))
    (back,) = opened.raw()
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, image)
    models = opened.models()
    panel = models.detector[0]
    # ADSC's beam x is down the slow axis, y along the fast one.
    assert panel.origin == (-1.5, 2.0, -150.0)
    assert panel.type == "SENSOR_CCD"
    # Serial 925 is a Q315, binned by hardware.
    assert panel.gain == 2.4
    assert panel.trusted_range == (0.0, 65534.0)
    assert models.goniometer.rotation_axis == (1.0, 0.0, 0.0)
    assert models.scan.oscillation == (12.0, 1.0)
    assert models.scan.epochs == (1210857462.0,)


def test_smv_of_a_still_or_a_reversed_beamline_turns_back(tmp_path, image_files):
    path = image_files.smv_file(tmp_path / "a_1.img", serial="928")
    assert find_format(path).models().goniometer.rotation_axis == (-1.0, 0.0, 0.0)
    path.write_bytes(path.read_bytes().replace(b"OSC_RANGE=1.0", b"OSC_RANGE=0.0").replace(b"928", b"925"))
    models = find_format(path).models()
    assert models.goniometer.rotation_axis == (-1.0, 0.0, 0.0)
    assert models.scan.is_still


@pytest.mark.parametrize(("old", "new", "message"), [
    (b"SIZE1=40", b"SIZE1=4000", "is truncated: its header promises 4000 x 31 pixels"),
    (b"SIZE1=40", b"SIZE1=-4", "header fields SIZE1 and SIZE2 must be numbers of pixels"),
    (b"SIZE1=40", b"SIZE1=99999999", "header fields SIZE1 and SIZE2 must be numbers of pixels"),
    (b"HEADER_BYTES= 1024", b"HEADER_BYTES= 9999999999", "HEADER_BYTES must be 16 to"),
    (b"HEADER_BYTES= 1024", b"HEADER_BYTES= 500000", "is truncated: its header promises 500000 bytes of header"),
    (b"unsigned_short", b"complex_number", "pixels of type 'complex_number' are not known"),
])
def test_bad_smv_is_named(tmp_path, image_files, old, new, message):
    path = image_files.smv_file(tmp_path / "bad_1.img")
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(FormatError, match=f"bad_1.img: {message}"):
        find_format(path).raw()


@pytest.mark.parametrize("value", [b"nan", b"inf", b"one"])
def test_smv_geometry_must_be_finite(tmp_path, image_files, value):
    path = image_files.smv_file(tmp_path / "bad_1.img")
    path.write_bytes(path.read_bytes().replace(b"DISTANCE=150.0", b"DISTANCE=" + value))
    with pytest.raises(FormatError, match=r"bad_1.img: header field DISTANCE must be a finite number"):
        find_format(path).models()


def test_timepix_edges_are_three_times_as_wide():
    total = timepix.millimetres(512, 0.055)
    assert total == pytest.approx((4 * 3 + 4 * 127) * 0.055)
    assert timepix.millimetres(256, 0.055) == pytest.approx(total / 2)
    assert timepix.millimetres(0.5, 0.055) == pytest.approx(1.5 * 0.055)


@pytest.mark.parametrize("bias", [0, 10])
def test_marccd_pixels_and_models(tmp_path, image_files, bias):
    image = image_files.pixels(32, 32)
    opened = find_format(image_files.marccd_file(tmp_path / "m_2.mccd", image, bias))
    (back,) = opened.raw()
    np.testing.assert_array_equal(back, image - bias)
    panel = opened.models().detector[0]
    np.testing.assert_allclose(panel.origin, (-15 * 0.079346, 16.5 * 0.079346, -150.0), rtol=1e-12)
    assert panel.trusted_range == (1.0 - bias, 65534.0 - bias)
    scan = opened.models().scan
    assert scan.oscillation == (30.0, 1.0)
    assert scan.exposure_time == (2.0,)
    assert scan.epochs == (1195219479.0 + 0.0,)


def test_marccd_without_distance_has_no_detector(tmp_path, image_files):
    path = image_files.marccd_file(tmp_path / "m_2.mccd", distance=0.0)
    assert find_format(path).models().detector is None


@pytest.mark.parametrize("cut", [2000, 4096, 5000])
def test_truncated_marccd_is_named(tmp_path, image_files, cut):
    path = image_files.marccd_file(tmp_path / "m_2.mccd")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(FormatError, match=r"m_2.mccd: .*truncated"):
        find_format(path).raw()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4"])
def test_tiff_pixels(tmp_path, image_files, order, dtype):
    image = image_files.pixels(top=200).astype(dtype)
    path = tmp_path / "t_1.tif"
    path.write_bytes(image_files.tiff_bytes(image, order))
    opened = find_format(path)
    assert opened.name == "TIFF"
    assert opened.models().detector is None
    (back,) = opened.raw()
    assert back.dtype == image.dtype
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "none"])
def test_tiff_blocks_written_by_others(tmp_path, image_files, compression):
    pil = pytest.importorskip("PIL.Image")
    image = image_files.pixels(64, 50).astype(np.uint16)
    path = tmp_path / "t_1.tif"
    names = {"lzw": "tiff_lzw", "zlib": "tiff_adobe_deflate", "packbits": "packbits", "none": None}
    pil.fromarray(image).save(path, compression=names[compression])
    np.testing.assert_array_equal(find_format(path).raw()[0], image)


def test_tiff_pages_are_a_stack(tmp_path, image_files):
    first, second = (image_files.pixels(seed=seed).astype(np.uint16) for seed in (1, 2))
    data = bytearray(image_files.tiff_bytes(first, start=4096, next_page=8192))
    data = data.ljust(8192, b"\0")
    other = bytearray(image_files.tiff_bytes(second, start=8192 + 1024 - 8))
    data += other[8:1024].ljust(1016, b"\0") + second.tobytes()
    path = tmp_path / "pages.tif"
    path.write_bytes(bytes(data))
    opened = find_format(path)
    assert isinstance(opened, TIFFStack)
    assert opened.n_images == 2
    np.testing.assert_array_equal(opened.raw(0)[0], first)
    np.testing.assert_array_equal(opened.raw(1)[0], second)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_edf_pixels(tmp_path, image_files, dtype):
    image = image_files.pixels().astype(dtype)
    path = tmp_path / "e_1.edf"
    path.write_bytes(image_files.edf_bytes(image))
    opened = find_format(path)
    assert opened.name == "EDF"
    np.testing.assert_array_equal(opened.raw()[0], image)


def test_edf_blocks_are_a_stack_and_truncation_is_named(tmp_path, image_files):
    images = [image_files.pixels(seed=seed).astype(np.uint16) for seed in (1, 2, 3)]
    path = tmp_path / "e_1.edf"
    path.write_bytes(b"".join(image_files.edf_bytes(image) for image in images))
    opened = find_format(path)
    assert opened.n_images == 3
    np.testing.assert_array_equal(opened.raw(2)[0], images[2])
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(FormatError, match=r"e_1.edf: is truncated"):
        find_format(path).raw()


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_compressed_images_open_like_plain_ones(tmp_path, image_files, suffix, pack):
    image = image_files.pixels(32, 32)
    written = [image_files.cbf_file(tmp_path / "a_0001.cbf", image), image_files.smv_file(tmp_path / "a_1.img", image),
               image_files.marccd_file(tmp_path / "a_1.mccd", image)]
    for path in written:
        packed = path.with_name(path.name + suffix)
        packed.write_bytes(pack(path.read_bytes()))
        plain, opened = find_format(path), find_format(packed)
        np.testing.assert_array_equal(opened.raw()[0], plain.raw()[0])
        assert opened.models() == plain.models()
