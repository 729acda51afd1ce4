"""Binary sections of CBF files, and bad ones."""

import re

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.cbf.sections import decode_section, find_sections, parse_mime_fields
from xdp.images.formats.find import find_format


def damaged(path, image_files, change):
    """A mini CBF whose bytes were changed."""
    image_files.cbf_file(path)
    path.write_bytes(change(path.read_bytes()))
    return find_format(path)


def test_written_image_comes_back(tmp_path, image_files):
    image = image_files.pixels(seed=5)
    image[0, :3] = [-2, 2**31 - 1, -(2**31)]
    (back,) = find_format(image_files.cbf_file(tmp_path / "a_7.cbf", image)).raw()
    assert back.dtype == np.int32
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_truncated_file_is_named(tmp_path, image_files, part):
    path = image_files.cbf_file(tmp_path / "cut_1.cbf", image_files.pixels(300, 300))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(FormatError, match=r"cut_1.cbf: is truncated: its header promises"):
        find_format(path).raw()


def sub(pattern, text):
    return lambda data: re.sub(pattern, text, data, count=1)


@pytest.mark.parametrize(("change", "message"), [
    (sub(rb"Fastest-Dimension: 40", b"Fastest-Dimension: 39"), "header contradicts itself: 1240 elements"),
    (sub(rb"Elements: 1240", b"Elements: 1209") , "header contradicts itself"),
    (lambda d: sub(rb"Elements: 1240", b"Elements: 1209")(sub(rb"Fastest-Dimension: 40", b"Fastest-Dimension: 39")(d)),
     "hold more pixels than the 39 x 31"),
    (lambda d: sub(rb"Elements: 1240", b"Elements: 1271")(sub(rb"Fastest-Dimension: 40", b"Fastest-Dimension: 41")(d)),
     "damaged or truncated: 1240 of 1271 pixels"),
    (lambda d: sub(rb"Elements: 1240", b"Elements: 30999969")(sub(rb"(Fastest-Dimension): 40", rb"\1: 999999")(d)),
     "which cannot be"),
    (sub(rb"X-Binary-Size: \d+", b"X-Binary-Size: 99999999"), "is truncated: its header promises 99999999 bytes"),
    (sub(rb"X-Binary-Size: \d+", b"X-Binary-Size: -5"), "x-binary-size must be a number above 0, got '-5'"),
    (sub(rb"X-Binary-Size-Second[^\r]*\r\n", b""), "x-binary-size-second-dimension must be a number above 0, got ''"),
    (sub(rb"x-CBF_BYTE_OFFSET", b"x-CBF_PREDICTOR"), "compression .*PREDICTOR.* is not known"),
])
def test_wrong_headers_are_found_before_or_while_decoding(tmp_path, image_files, change, message):
    path = tmp_path / "bad_1.cbf"
    image_files.cbf_file(path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(FormatError, match=f"bad_1.cbf: .*{message}"):
        find_format(path).raw()


@pytest.mark.parametrize(("element", "order", "code"), [
    ("signed 32-bit integer", "LITTLE_ENDIAN", "<i4"), ("unsigned 16-bit integer", "BIG_ENDIAN", ">u2"),
    ("signed 64-bit real IEEE", "LITTLE_ENDIAN", "<f8")])
def test_uncompressed_sections(element, order, code):
    image = np.arange(12).reshape(3, 4).astype(code)
    text = (f'--CIF-BINARY-FORMAT-SECTION--\r\nContent-Type: application/octet-stream;\r\n     conversions="x-CBF_NONE"'
            f'\r\nX-Binary-Size: {image.nbytes}\r\nX-Binary-Element-Type: "{element}"\r\n'
            f"X-Binary-Element-Byte-Order: {order}\r\nX-Binary-Size-Fastest-Dimension: 4\r\n"
            "X-Binary-Size-Second-Dimension: 3\r\n\r\n").encode()
    data = b"###CBF\n" + text + b"\x0c\x1a\x04\xd5" + image.tobytes()
    (section,) = find_sections(data, "file")
    back = decode_section(data, section, "file")[0]
    assert back.dtype == (np.float32 if code == "<f8" else np.dtype(code).newbyteorder("="))
    np.testing.assert_array_equal(back, image)


def test_mime_fields_join_continued_lines():
    assert parse_mime_fields("A-b: one;\r\n    two=3\r\nC: 4") == {"a-b": "one; two=3", "c": "4"}
