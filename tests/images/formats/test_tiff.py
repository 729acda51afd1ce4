"""Plain TIFF images, of one page and of several."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.find import find_format
from xdp.images.formats.tiff import TIFFStack, decode_page, read_page


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


def test_pixels_of_unknown_kinds_are_refused(image_files):
    data = image_files.tiff_bytes(image_files.pixels().astype(np.uint16))
    page = read_page(data, "t.tif")
    # Tags by their numbers: 258 bits, 259 compression, 277 values a pixel, 317 differences along rows.
    for tag, value, message in ((258, 12, "12 bits"), (259, 7, "compression 7"), (277, 3, "3 values a pixel"),
                                (317, 3, "predictor 3")):
        changed = type(page)(page.tags | {tag: (value,)}, 0)
        with pytest.raises(FormatError, match=f"t.tif: .*{message}"):
            decode_page(data, changed, "t.tif")
