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
