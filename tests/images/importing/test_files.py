"""Which files a user means."""

from __future__ import annotations

import pytest
from importing import write_text_file

from xdp.errors import FormatError
from xdp.images.importing.files import is_stack_folder, list_files, list_template_files
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
