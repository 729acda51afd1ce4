"""Our indexed files in DIALS' commands, and DIALS' files in ours."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from xdp.cli.main import main
from xdp.experiment.io import read_experiments, write_experiments
from xdp.reflections.flags import Flag
from xdp.reflections.refl import read_reflections


@pytest.fixture(scope="module")
def indexed(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 20 images of rot_dev, imported, spots found, and indexed by xdp."""
    folder = tmp_path_factory.mktemp("index_peer")
    images = sorted((shared_data / "rot_dev").rglob("*.cbf.gz"))[:20] or sorted(
        (shared_data / "rot_dev").rglob("*.cbf"))[:20]
    if len(images) < 20:
        pytest.skip("needs the miniCBF images of rot_dev")
    for image in images:
        target = folder / image.name.removesuffix(".gz")
        if image.suffix == ".gz":
            with gzip.open(image) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
        else:
            shutil.copy(image, target)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names = [str(p) for p in sorted(folder.glob("*.cbf"))]
        assert main(["import", *names]) == 0
        assert main(["find_spots", "imported.expt"]) == 0
        assert main(["index", "imported.expt", "strong.refl"]) == 0
        write_experiments("peer.expt", read_experiments("indexed.expt"), compatibility="dials-3.12")
    return folder


def test_dials_refines_what_we_indexed(indexed: Path, dials):
    dials.command("dials.refine", "peer.expt", "indexed.refl", "scan_varying=False", cwd=indexed)
    ours, theirs = read_reflections(indexed / "indexed.refl"), read_reflections(indexed / "refined.refl")
    assert theirs.flags(Flag.USED_IN_REFINEMENT).sum() > 0.3 * len(ours)
    used = theirs.flags(Flag.USED_IN_REFINEMENT)
    off = (theirs["xyzcal.px"] - theirs["xyzobs.px.value"])[used]
    assert np.all(np.sqrt(np.mean(off**2, axis=0)) < [0.2, 0.2, 0.3])  # px, px, frames: as on the whole set


def test_dials_finds_the_bravais_lattice_of_what_we_indexed(indexed: Path, dials):
    text = dials.command("dials.refine_bravais_settings", "peer.expt", "indexed.refl", cwd=indexed)
    assert any(" tP " in line and "*" in line for line in text.splitlines())


def test_dials_integrates_what_we_indexed(indexed: Path, dials):
    dials.command("dials.integrate", "peer.expt", "indexed.refl", "nproc=1", "prediction.d_min=2.5",
                  "output.reflections=integrated.refl", cwd=indexed)
    assert read_reflections(indexed / "integrated.refl").flags(Flag.INTEGRATED_SUM).sum() > 500


def test_we_take_what_dials_indexed(indexed: Path, dials, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    dials.command("dials.index", indexed / "imported.expt", indexed / "strong.refl", cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    theirs, ours = read_reflections("indexed.refl"), read_reflections(indexed / "indexed.refl")
    assert (ours["id"] >= 0).sum() >= 0.999 * (theirs["id"] >= 0).sum()
    missing = set(theirs) - set(ours)
    assert not missing
    assert main(["refine_bravais_settings", "indexed.expt", "indexed.refl"]) == 0
    assert main(["index", "indexed.expt", "indexed.refl", "output.reflections=again.refl",
                 "output.experiments=again.expt"]) == 0
    assert (read_reflections("again.refl")["id"] >= 0).sum() >= 0.999 * (theirs["id"] >= 0).sum()
