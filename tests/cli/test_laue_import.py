"""The command laue_import: images and their angles into one HDF5 file."""

from __future__ import annotations

import h5py
import imagecodecs
import numpy as np
import pytest

from xdp.cli.main import main


@pytest.fixture
def images(folder):
    """Twelve images of 8 x 10 pixels, the k-th filled with k; run.csv gives angle and laser of each."""
    rows = ["file,angle,laser"]
    for k in range(12):
        image = np.full((8, 10), k, np.uint16)
        (folder / f"i{k:02d}.jp2").write_bytes(imagecodecs.jpeg2k_encode(image, reversible=True, level=0))
        rows.append(f"i{k:02d}.jp2,{2.0 * (k // 2)},{k % 2}")
    (folder / "run.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_frames_and_design_are_stored(images, capsys):
    assert main(["laue_import", "run.csv", "output=scan__mccd.h5"]) == 0
    said = capsys.readouterr().out
    assert "12 frames of 8 x 10 pixels, angles 0 to 10 deg, 6 with laser" in said
    assert "Wrote scan__mccd.h5" in said
    with h5py.File("scan__mccd.h5") as file:
        assert file["lauecollect/angle"][()].tolist() == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10]


def test_a_missing_image_is_named(images, capsys):
    (images / "i03.jp2").unlink()
    assert main(["laue_import", "run.csv"]) == 1
    assert "i03.jp2" in capsys.readouterr().err
    assert not list(images.glob("*.h5"))
