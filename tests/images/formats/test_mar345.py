"""mar345 images: header, packed and high counts."""

from __future__ import annotations

import bz2

import numpy as np
import pytest
from mar345_maker import write_mar345

from xdp.errors import FormatError
from xdp.images.formats.find import find_format
from xdp.images.importing.import_images import import_images
from xdp.images.reader import open_reader

pytestmark = pytest.mark.kernels


def make_image(seed: int = 1) -> np.ndarray:
    """Background, counts on both sides of 32768, and some above 65535."""
    rng = np.random.default_rng(seed)
    image = rng.poisson(20.0, (25, 31))
    image[3:6, 4:9] = rng.integers(0, 65536, (3, 5))
    image[10, 11], image[12, 30], image[0, 0] = 65536, 200000, 70000
    return image.astype(np.int32)


@pytest.mark.parametrize(("order", "version", "first_address"), [("<", 1, 1), (">", 1, 1), ("<", 2, 1), ("<", 1, 0)])
def test_counts(tmp_path, order, version, first_address):
    path = write_mar345(tmp_path / "a_001.mar2300", make_image(), order=order, version=version,
                        first_address=first_address)
    opened = find_format(path)
    assert opened.name == "mar345"
    np.testing.assert_array_equal(opened.raw()[0], make_image())


def test_a_series_is_a_sweep(tmp_path):
    for number in (1, 2, 3):
        def turn(numbers, number=number):
            numbers[10:12] = 9000 + 1000 * number, 10000 + 1000 * number

        path = write_mar345(tmp_path / f"a_{number:03d}.mar2300", make_image(number), change=turn)
        (tmp_path / f"b_{number:03d}.mar2300.bz2").write_bytes(bz2.compress(path.read_bytes()))
    for experiment in import_images([tmp_path]).experiments:
        assert (experiment.scan.image_range, experiment.scan.oscillation) == ((1, 3), (10.0, 1.0))
        assert experiment.scan.exposure_time == (60.0,) * 3
        assert experiment.scan.epochs[0] == 1031566272.0  # 2002-09-09, 10:11:12
        assert experiment.beam.wavelength == pytest.approx(0.98)
        panel, = experiment.detector
        np.testing.assert_allclose(panel.origin, (-15.5 * 0.15, 12.5 * 0.15, -150.0))
        assert (panel.image_size, panel.trusted_range) == ((31, 25), (0.0, 249862.0))
        np.testing.assert_array_equal(open_reader(experiment).read(2)[0], make_image(3))


@pytest.mark.parametrize(("place", "value", "complaint"), [
    (1, 7, "775 pixels in rows of 7 cannot be an image"), (3, 2, "is a spiral image"), (2, 9999, "9999 high counts"),
    (9, 0, r"no distance above 0; geometry\.detector\.distance gives it"),
    (8, 0, r"no wavelength above 0; geometry\.beam\.wavelength gives it")])
def test_headers_without_sense_are_errors(tmp_path, place, value, complaint):
    path = write_mar345(tmp_path / "a_001.mar2300", make_image(), change=lambda n: n.__setitem__(place, value))
    opened = find_format(path)
    with pytest.raises(FormatError, match=f"a_001.mar2300: .*{complaint}"):
        (opened.models(), opened.raw())


def test_damaged_files_are_errors(tmp_path):
    path = write_mar345(tmp_path / "a_001.mar2300", make_image())
    data = path.read_bytes()
    for damaged, complaint in [(data[:-50], "its packed counts end at pixel"), (data[:4170], "do not begin"),
                               (data[:100], "is truncated"),
                               (data[:4096] + b"\xff\xff\xff\x7f" + data[4100:], "high count lies outside")]:
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match=complaint):
            find_format(path).raw()


def test_what_is_assumed_is_told(tmp_path):
    path = write_mar345(tmp_path / "a_001.mar2300", make_image(), words="REMARK",
                        change=lambda n: n.__setitem__(15, 90000))
    opened = find_format(path)
    panel, = opened.models().detector
    np.testing.assert_allclose(panel.origin, (-15.5 * 0.15, 150.0, 12.5 * 0.15), atol=1e-12)
    notes = [note.partition(":")[0] for note in opened.notes]
    assert notes == ["its header has no beam centre", "2theta is 90 degrees"]
