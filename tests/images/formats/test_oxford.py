"""Oxford Diffraction images."""

from __future__ import annotations

import numpy as np
import pytest
from fabio.OXDimage import OXDimage

from xdp.errors import FormatError
from xdp.images.formats.find import find_format


@pytest.fixture
def path(tmp_path, image_files):
    """An image of 31 x 40 pixels, written by fabio."""
    path = tmp_path / "o_1.img"
    OXDimage(data=image_files.pixels(top=300).astype(np.int32)).write(str(path))
    return path


def test_pixels_are_those_written(path, image_files):
    opened = find_format(path)
    assert opened.name == "Oxford"
    assert opened.models().detector is None
    np.testing.assert_array_equal(opened.raw()[0], image_files.pixels(top=300))


@pytest.mark.parametrize(("old", "new", "message"), [
    (b"NX=", b"XX=", "does not give the size"), (b"NX=  40", b"NX=99999", "is truncated"), ])
def test_damaged_files_are_named(path, old, new, message):
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    with pytest.raises(FormatError, match=f"o_1.img: .*{message}"):
        find_format(path).raw()
