"""Which files a user means."""

from __future__ import annotations

import os

import pytest
from importing import write_text_file

from xdp.errors import FormatError
from xdp.images.importing.files import is_stack_folder, list_files, list_template_files, make_absolute
from xdp.images.importing.import_images import import_images


def make_empty_folder(folder):
    (folder / "empty").mkdir()
    return folder / "empty"


def make_folder_without_images(folder):
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("a")
    (folder / "notes" / "b.txt").write_text("b")
    return folder / "notes"


@pytest.mark.parametrize(("make", "message"), [
    (write_text_file, r"text.txt: not an image file of a known format"),
    (make_empty_folder, r"empty: the folder holds no files"),
    (make_folder_without_images, r"notes: none of the 2 files in this folder is an image"),
    (lambda folder: folder / "none_*.cbf", r"none_\*.cbf: the pattern matches no file"),
    (lambda folder: folder / "none_####.cbf", r"none_####.cbf: the template matches no file"),
    (lambda folder: folder / "nowhere" / "none_####.cbf", r"none_####.cbf: folder .*nowhere cannot be listed"),
    (lambda folder: folder / "none.cbf", r"none.cbf: no such file or folder"),
])
def test_what_is_no_image_is_named(tmp_path, make, message):
    with pytest.raises(FormatError, match=message):
        import_images([make(tmp_path)])


def test_files_are_listed_once_and_sorted(tmp_path):
    for name in ("b.cbf", "a.cbf", ".hidden"):
        (tmp_path / name).write_text("")
    (tmp_path / "c.zarr").mkdir()
    found = list_files([str(tmp_path / "b.cbf"), str(tmp_path), str(tmp_path / "*.cbf")])
    assert [(file.path.rpartition("/")[2], file.is_named) for file in found] == [
        ("a.cbf", False), ("b.cbf", False), ("c.zarr", False)]
    assert is_stack_folder(str(tmp_path / "c.zarr"))


def test_template_lists_its_files_by_number(tmp_path):
    for name in ("img_0003.cbf", "img_0001.cbf", "img_00002.cbf", "img_0004.cbf.gz"):
        (tmp_path / name).write_text("")
    template, files = list_template_files(str(tmp_path / "img_%04d.cbf"))
    assert template == str(tmp_path / "img_####.cbf")
    assert files == {1: str(tmp_path / "img_0001.cbf"), 3: str(tmp_path / "img_0003.cbf")}


def test_a_file_counts_once_whatever_it_is_called(tmp_path, monkeypatch):
    (tmp_path / "raw").mkdir()
    for number in (1, 2, 3):
        (tmp_path / "raw" / f"img_{number}.cbf").write_text("")
    (tmp_path / "raw" / "a_link.cbf").symlink_to("img_2.cbf")
    (tmp_path / "other").symlink_to("raw")
    monkeypatch.chdir(tmp_path)
    found = list_files(["raw", "./raw/img_2.cbf", str(tmp_path / "raw" / "img_1.cbf"), "other/img_3.cbf"])
    assert sorted(os.path.basename(file.path) for file in found) == ["img_1.cbf", "img_2.cbf", "img_3.cbf"]


def test_links_that_lead_nowhere_are_told(tmp_path, caplog):
    (tmp_path / "img_1.cbf").write_text("")
    (tmp_path / "img_2.cbf").symlink_to(tmp_path / "gone.cbf")
    assert [file.path for file in list_files([str(tmp_path)])] == [str(tmp_path / "img_1.cbf")]
    assert "img_2.cbf is a link to" in caplog.text
    with pytest.raises(FormatError, match=r"img_2.cbf: is a link to .*gone.cbf, which does not exist"):
        list_files([str(tmp_path / "img_2.cbf")])


def test_absolute_paths_follow_links_before_they_go_up(tmp_path, monkeypatch):
    (tmp_path / "disk" / "run").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "run")
    monkeypatch.chdir(tmp_path)
    assert make_absolute("link/../img_1.cbf") == str(tmp_path / "disk" / "img_1.cbf")
    assert make_absolute("./link/img_1.cbf") == str(tmp_path / "link" / "img_1.cbf")  # a name that users know


def test_templates_of_unpadded_and_long_numbers(tmp_path):
    for name in ("a_1.cbf", "a_9.cbf", "a_10.cbf", "b_98.cbf", "b_99.cbf", "b_100.cbf", "c_98.cbf", "c_100.cbf"):
        (tmp_path / name).write_text("")
    assert list(list_template_files(str(tmp_path / "a_#.cbf"))[1]) == [1, 9, 10]
    assert list(list_template_files(str(tmp_path / "b_##.cbf"))[1]) == [98, 99, 100]
    assert list(list_template_files(str(tmp_path / "c_##.cbf"))[1]) == [98]  # c_100 may be of another series
    for second in (10, 11):
        (tmp_path / f"t_202306271050{second}.cbf").write_text("")
    template, files = list_template_files(str(tmp_path / "t_##############.cbf"))
    assert (template, list(files)) == (str(tmp_path / "t_20230627######.cbf"), [105010, 105011])
    (tmp_path / "t_20240627105010.cbf").write_text("")
    with pytest.raises(FormatError, match=r"nine digits at most; write the first digits out, such as t_20230627######"):
        list_template_files(str(tmp_path / "t_##############.cbf"))


def test_compressed_files_of_a_template_are_suggested(tmp_path):
    (tmp_path / "l_0001.cbf.gz").write_text("")
    with pytest.raises(FormatError, match=r"matches no file; there are compressed ones: l_####.cbf.gz"):
        list_template_files(str(tmp_path / "l_####.cbf"))


def test_compressed_copies_count_no_second_time(tmp_path, caplog):
    for name in ("img_1.cbf", "img_1.cbf.gz", "img_2.cbf", "img_2.cbf.gz", "img_3.cbf.gz"):
        (tmp_path / name).write_text("")
    found = [os.path.basename(file.path) for file in list_files([str(tmp_path)])]
    assert found == ["img_1.cbf", "img_2.cbf", "img_3.cbf.gz"]
    assert "img_1.cbf.gz and 1 others, since the same file is there uncompressed" in caplog.text
