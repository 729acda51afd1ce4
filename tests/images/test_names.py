"""Templates of file names."""

import pytest

from xdp.images import names


@pytest.mark.parametrize(("path", "template", "number"), [
    ("/d1/rot_dev_0001.cbf.gz", "/d1/rot_dev_####.cbf.gz", 1), ("img.0815", "img.####", 815),
    ("img.0815.cbf", "img.####.cbf", 815), ("img0815", "img####", 815), ("a_1_0012.img.bz2", "a_1_####.img.bz2", 12),
    ("NO2_0100.sequence.18keV", "NO2_####.sequence.18keV", 100), ("x7.mar2300", "x#.mar2300", 7),
    ("/d12/plain.cbf", "/d12/plain.cbf", None)])
def test_last_digits_before_the_ending_number_an_image(path, template, number):
    assert names.split_name(path) == (template, number)
    if number is not None:
        assert names.fill_template(template, number) == path


def test_printf_templates():
    assert names.replace_printf("a_%04d.cbf") == "a_####.cbf"
    assert names.has_placeholder("a_%04d.cbf")
    assert names.has_placeholder("a_##.cbf")
    assert not names.has_placeholder("a_100%.cbf")


def test_pattern_takes_the_whole_name():
    pattern = names.compile_number_pattern("a.##_x")
    assert pattern.match("a.07_x")[1] == "07"
    assert pattern.match("ab07_x") is None
    assert pattern.match("a.07_xy") is None
