"""Masks, gains and hot pixels against DIALS' programs: the same pixels, the same numbers."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from xdp.cli.main import main
from xdp.images.masks.pickles import read_maps

pytestmark = [pytest.mark.peer, pytest.mark.shared]

SHAPES = ["untrusted.circle=300,200,50", "untrusted.circle=-10,5,40", "untrusted.rectangle=10,50,300,400",
          "untrusted.polygon=250,250,400,260,410,390,280,380", "untrusted.polygon=5,5,90,5,5,90,90,90",
          "untrusted.pixel=70,10"]
RINGS = ["ice_rings.filter=True", "ice_rings.width=0.006"]
CASES = {
    "border": ["border=7"],
    "shapes": SHAPES,
    "resolution": ["d_min=2.2", "d_max=15", "resolution_range=3,3.3", "resolution_range=5,4.5"],
    "simple": ["d_min=2.2", "disable_parallax_correction=True"],
    "ice": RINGS,
    "salt": [*RINGS, "ice_rings.unit_cell=5.64,5.64,5.64,90,90,90", "ice_rings.space_group=F m -3 m",
             "ice_rings.d_min=1.3"],
    "panel": ["untrusted.panel=0"],
}


@pytest.fixture(scope="module")
def imported(shared_data, dials, tmp_path_factory):
    """DIALS' imported.expt of rot_dev (parallax) and of the P12M (24 panels), by name."""
    made = {}
    for name, pattern in (("rot_dev", "rot_dev/cbf/rot_dev_000[12].cbf.gz"),
                          ("p12m", "image_examples/DLS_I23_P12M_thau_00001.cbf.gz")):
        folder = tmp_path_factory.mktemp(name)
        files = []
        for file in sorted(shared_data.glob(pattern)):
            import gzip

            with gzip.open(file) as packed, open(folder / file.stem, "wb") as plain:
                shutil.copyfileobj(packed, plain)
            files.append(folder / file.stem)
        dials.command("dials.import", *files, cwd=folder)
        made[name] = folder / "imported.expt"
    return made


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["rot_dev", "p12m"])
def test_generated_masks_are_the_same(imported, dials, name, case, tmp_path, monkeypatch):
    words = CASES[case]
    if name == "p12m" and case == "shapes":  # panels of 195 slow, 2463 fast pixels
        words = [w for w in words if "400" not in w]
    monkeypatch.chdir(tmp_path)
    dials.command("dials.generate_mask", imported[name], "output.mask=dials.mask", *words, cwd=tmp_path)
    assert main(["generate_mask", str(imported[name]), "output.mask=ours.mask", *words]) == 0
    theirs, ours = read_maps("dials.mask"), read_maps("ours.mask")
    assert len(theirs) == len(ours)
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not all(mask.all() for mask in ours)


def test_dials_reads_our_masked_experiments(imported, dials, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["generate_mask", str(imported["rot_dev"]), "border=200", "output.experiments=masked.expt",
                 "output.compatibility=dials-3.12"]) == 0
    dials.command("dials.find_spots", "masked.expt", "nproc=1", cwd=tmp_path)
    dials.command("dials.find_spots", imported["rot_dev"], "nproc=1", "border=200", "output.reflections=border.refl",
                  cwd=tmp_path)
    from xdp.reflections.refl import read_reflections

    assert read_reflections("strong.refl")["bbox"].tolist() == read_reflections("border.refl")["bbox"].tolist()


def test_estimated_gain_is_the_same(imported, dials, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    out = dials.command("dials.estimate_gain", imported["rot_dev"], "max_images=2", "output.gain_map=dials.pickle",
                        cwd=tmp_path)
    assert main(["estimate_gain", str(imported["rot_dev"]), "max_images=2", "output.gain_map=ours.pickle"]) == 0
    wanted = ("q1", "Estimated", "Average")
    theirs, ours = ([line for line in text.splitlines() if line.startswith(wanted)]
                    for text in (out, capsys.readouterr().out))
    assert theirs == ours
    # the same quantile of the same list, whose sums are exact: equal up to the order of two divisions
    np.testing.assert_allclose(read_maps("ours.pickle"), read_maps("dials.pickle"), rtol=1e-12)


def test_hot_pixels_are_the_same(imported, dials, tmp_path, monkeypatch):
    """With two images many spots reach through all of them."""
    monkeypatch.chdir(tmp_path)
    dials.command("dials.find_spots", imported["rot_dev"], "nproc=1", cwd=tmp_path)
    dials.command("dials.find_hot_pixels", imported["rot_dev"], "strong.refl", "output.mask=dials.pickle", cwd=tmp_path)
    assert main(["find_hot_pixels", str(imported["rot_dev"]), "strong.refl", "output.mask=ours.pickle"]) == 0
    np.testing.assert_array_equal(read_maps("ours.pickle"), read_maps("dials.pickle"))
    assert not read_maps("ours.pickle")[0].all()
