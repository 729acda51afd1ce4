"""xdp export_images."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from PIL import Image

from xdp.cli.main import main


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """Three stills in a CXI file, in the current folder."""
    monkeypatch.chdir(tmp_path)
    with h5py.File("a.cxi", "w") as handle:
        handle["entry_1/data_1/data"] = np.ones((3, 40, 50), "u2")
        handle["entry_1/instrument_1/source_1/energy"] = 9500.0
        for name, value in (("distance", 0.1), ("x_pixel_size", 1e-4), ("y_pixel_size", 1e-4)):
            handle[f"entry_1/instrument_1/detector_1/{name}"] = value
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.glob("*.png"))


def test_all_images(stack):
    assert main(["export_images", "a.cxi"]) == 0
    assert names(stack) == ["image0001.png", "image0002.png", "image0003.png"]
    assert Image.open(stack / "image0002.png").size == (50, 40)


def test_some_images_elsewhere(stack):
    assert main(["export_images", "a.cxi", "imageset_index=2,3", "binning=2", "prefix=p_", "padding=2",
                 "directory=pictures"]) == 0
    assert names(stack / "pictures") == ["p_02.png", "p_03.png"]
    assert Image.open(stack / "pictures" / "p_02.png").size == (25, 20)


@pytest.mark.parametrize(("words", "complaint"), [
    (["imageset_index=4"], "imageset_index must be"), (["output.file=x.png"], "names one picture"),
    (["binning=100", "imageset_index=1"], "binning must be at most 40"), (["a.refl", "b.refl"], "at most one .refl"),
    (["none.refl"], "none.refl"),
])  # fmt: skip
def test_complaints(stack, capsys, words, complaint):
    assert main(["export_images", "a.cxi", *words]) == 1
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
    assert names(stack) == []
