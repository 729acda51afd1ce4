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


def test_placeholders_count_in_the_file_name_alone():
    assert not names.has_placeholder("crystal#1/img_0001.cbf")
    assert not names.has_placeholder("run%04d/img_0001.cbf")
    assert names.replace_printf("run%02d/img_%04d.cbf") == "run%02d/img_####.cbf"
    assert names.fill_template("crystal#1/img_####.cbf", 7) == "crystal#1/img_0007.cbf"
    assert names.fill_template("crystal#1/dark.cbf", 7) == "crystal#1/dark.cbf"
    assert names.fill_template("c/run#2_###.cbf", 7) == "c/run#2_007.cbf"


def test_long_numbers_keep_their_last_digits():
    assert names.split_name("a_20230627105010.cbf") == ("a_20230627######.cbf", 105010)
    assert names.split_name("a_0000000012.cbf") == ("a_##########.cbf", 12)  # ten digits, two that count


@pytest.mark.parametrize(("paths", "templates"), [
    (["a_1.cbf", "a_9.cbf", "a_12.cbf"], {"a_#.cbf"}),
    (["a_10.cbf", "a_12.cbf"], {"a_##.cbf"}),
    (["a_0999.cbf", "a_1000.cbf", "a_10000.cbf"], {"a_####.cbf"}),
    (["a_1.cbf", "a_2.cbf", "a_001.cbf"], {"a_#.cbf", "a_###.cbf"}),
    (["a_#1.cbf"], {None}), (["dark.cbf"], {None}),
])
def test_templates_of_files_that_are_seen_together(paths, templates):
    found = names.assign_templates(paths)
    assert {template for template, _ in found.values()} == templates
    for path, (template, number) in found.items():
        assert template is None or names.fill_template(template, number) == path
