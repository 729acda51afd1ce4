"""The files behind what a run is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xdp.errors import XdpError
from xdp.experiment import write_experiments
from xdp.files import atomic_output
from xdp.images.importing.import_images import import_images
from xdp.images.importing.options import ImportOptions
from xdp.images.input_files import (
    find_files_of_experiments,
    find_files_of_options,
    find_files_of_words,
    protect_images,
)


def list_names(inputs) -> list[str]:
    return sorted(item.path.rpartition("/")[2] for item in inputs)


@pytest.fixture
def experiments(tmp_path, image_files):
    return import_images(image_files.cbf_series(tmp_path, 2)).experiments


def test_words_stand_for_images(tmp_path, experiments):
    write_experiments(tmp_path / "a.expt", experiments)
    images = ["img_0001.cbf", "img_0002.cbf"]
    for word in (tmp_path / "img_####.cbf", tmp_path / "img_*.cbf"):
        assert list_names(find_files_of_words([str(word)])) == images
    assert list_names(find_files_of_words([str(tmp_path / "a.expt")])) == ["a.expt", *images]
    assert list_names(find_files_of_words([str(tmp_path)])) == ["a.expt", *images]
    assert list_names(find_files_of_words([str(tmp_path / "nowhere.cbf")])) == []
    assert list_names(find_files_of_experiments(experiments)) == images


def test_master_files_bring_their_data_files(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "m.h5", layout="links")
    found = list(find_files_of_words([str(path)]))
    assert list_names(found) == ["m.h5", "m_data_000001.h5", "m_data_000002.h5"]
    assert found[1].role == f"a data file of {path}"


def test_files_that_parameters_name(tmp_path):
    (tmp_path / "bad.mask").write_text("")
    options = ImportOptions.model_validate({"lookup": {"mask": str(tmp_path / "bad.mask")}})
    (found,) = find_files_of_options(options)
    assert found.path == str(tmp_path / "bad.mask")
    assert found.role == "which lookup.mask names"


def test_images_are_not_written_over(tmp_path, experiments):
    with protect_images(experiments):
        with pytest.raises(XdpError, match=r"img_0001\.cbf"), atomic_output(tmp_path / "img_0001.cbf"):
            pass
        with atomic_output(tmp_path / "other.cbf") as part:
            part.write_bytes(b"x")
    assert (tmp_path / "other.cbf").read_bytes() == b"x"
    assert (tmp_path / "img_0001.cbf").stat().st_size > 1


def test_of_a_folder_only_images_count(tmp_path, monkeypatch, image_files):
    monkeypatch.chdir(tmp_path)
    image_files.cbf_file(Path("a_0001.cbf"))
    Path("xdp.import.log").write_text("xdp 0.1 import\n")
    verdicts = {item.path: item.is_certain(item.path) for item in find_files_of_words(["."])}
    assert verdicts == {"./a_0001.cbf": True, "./xdp.import.log": False}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"imageset": 5}', '{"imageset": [[1]]}', "\xff"])
def test_damaged_experiments_name_nothing(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    Path("a.expt").write_text(text, encoding="latin-1")
    assert list_names(find_files_of_words(["a.expt"])) == ["a.expt"]


def test_a_file_of_many_stills_is_looked_into_once(tmp_path, maker, monkeypatch):
    from xdp.images.formats.hdf5 import links

    asked = []
    monkeypatch.setattr(links, "list_linked_files", lambda path: asked.append(path) or [])
    images = [{"__id__": "ImageSet", "images": ["/data/shots.h5"], "single_file_indices": [i]} for i in range(50)]
    (tmp_path / "shots.expt").write_text(json.dumps({"imageset": images}))
    found = [item.path for item in find_files_of_words([str(tmp_path / "shots.expt")])]
    assert found.count("/data/shots.h5") == 1
    assert asked.count("/data/shots.h5") == 1
