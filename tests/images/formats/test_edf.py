"""EDF images, one or several in a file."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.find import find_format


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


@pytest.mark.parametrize("field", ["Num_Images = 3", "Dim_3 = 3", "Size = {size}"])
def test_images_behind_one_header(tmp_path, image_files, field):
    images = [image_files.pixels(seed=seed).astype(np.uint16) for seed in (1, 2, 3)]
    whole = image_files.edf_bytes(images[0])
    header = whole[:1024].replace(b"Dim_2", field.format(size=3 * images[0].nbytes).encode() + b" ;\nDim_2")
    path = tmp_path / "many_0001.ge5"
    path.write_bytes(header + b"".join(image.tobytes() for image in images))
    opened = find_format(path)
    assert (opened.n_images, opened.is_stack) == (3, True)
    np.testing.assert_array_equal(opened.raw(2)[0], images[2])
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(FormatError, match="truncated"):
        find_format(path).raw(0)
    assert len(whole) == 1024 + images[0].nbytes


def test_padding_is_no_image(tmp_path, image_files):
    image = image_files.pixels().astype(np.uint16)
    data = image_files.edf_bytes(image)
    path = tmp_path / "padded.edf"
    path.write_bytes(data.replace(b"Dim_2", f"Size = {image.nbytes + 256} ;\nDim_2".encode()) + bytes(256))
    assert find_format(path).n_images == 1
