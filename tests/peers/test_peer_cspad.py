"""Two shots on the 64 panels of a CSPAD, images to intensities, and integrated beside DIALS with the same models."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xdp.experiment.experiment import ExperimentList
from xdp.experiment.io import read_experiments, write_experiments
from xdp.integration.options import IntegrateOptions
from xdp.integration.stills.integrate_stills import integrate_stills
from xdp.options import parse
from xdp.pipeline import ProcessOptions, process
from xdp.reflections.flags import Flag
from xdp.reflections.refl import read_reflections, write_reflections

from .test_peer_stills import GAUSSIAN, pairs

pytestmark = pytest.mark.peer

#: As shared/data/README.md says for these shots; each is indexed on its own.
WORDS = ["space_group=P6122", "unit_cell=92.9,92.9,130.4,90,90,120", "find_spots.min_spot_size=2",
         "find_spots.dispersion.gain=25", "find_spots.global_threshold=100", "index.joint_indexing=False"]


@pytest.fixture(scope="module")
def processed(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images as they are (CBFlib reads no compressed ones) and what xdp process makes of them."""
    folder = tmp_path_factory.mktemp("cspad")
    packed = sorted((shared_data / "thermolysin_cspad").glob("*.cbf.gz"))
    if len(packed) != 2:
        pytest.skip("needs the two shots of thermolysin_cspad")
    for path in packed:
        (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    options, _ = parse(ProcessOptions, [*WORDS, f"output.directory={folder}"])
    process([str(folder / path.stem) for path in packed], options)
    return folder


def test_both_shots_are_integrated(processed):
    experiments = read_experiments(processed / "integrated.expt")
    table = read_reflections(processed / "integrated.refl")
    assert len(experiments) == 2
    # 1154 and 667 are found; earlier indexing led to 2192 in all
    assert np.bincount(table["id"], minlength=2).min() > 500
    assert 1500 < len(table) < 3000
    assert len(np.unique(table["panel"])) > 60
    assert table.flags(Flag.INTEGRATED_SUM).all()
    ratio = table["intensity.sum.value"] / np.sqrt(table["intensity.sum.variance"])
    seen = table.flags(Flag.REFERENCE_SPOT)
    assert np.count_nonzero(seen) > 100
    assert np.mean(ratio[seen] > 3.0) > 0.98  # what was seen as a spot is there
    assert np.median(ratio[~seen]) < 3.0  # and what was not is weak
    assert (processed / "integrated.mtz").stat().st_size > 10_000


def test_shots_are_integrated_as_by_dials(processed, dials):
    experiments, spots = read_experiments(processed / "refined.expt"), read_reflections(processed / "refined.refl")
    mosaic = {"ML_half_mosaicity_deg": 0.08, "ML_domain_size_ang": 1200.0}
    models = ExperimentList([replace(e, crystal=replace(e.crystal, extra=mosaic)) for e in experiments])
    good = spots.select(spots.flags(Flag.INDEXED) & ~spots.any_flags(Flag.BAD_FOR_REFINEMENT))
    write_experiments(processed / "models.expt", models, "dials-3.12")
    write_reflections(processed / "models.refl", good)
    dials.script(GAUSSIAN, cwd=processed)
    theirs = read_reflections(processed / "gaussian.refl")
    their_models = json.loads((processed / "gaussian.expt").read_text())
    # DIALS knows no widths that grow with resolution
    words = ["gaussian_rs.mosaic.enable=False", "background.algorithm=simple", "simple.outlier.algorithm=plane",
             "simple.model.algorithm=linear2d", "min_spots.overall=0"]
    options, _ = parse(IntegrateOptions, words)
    found = integrate_stills(read_experiments(processed / "models.expt"), good, options)
    for experiment, profile in zip(found.experiments, their_models["profile"], strict=True):
        assert experiment.profile["sigma_b"] == pytest.approx(profile["sigma_b"], rel=1e-6)
    a, b = pairs(found.reflections, theirs)
    assert len(found.reflections) == len(a) > 2000
    ours = found.reflections.select(a)
    # where no plane is found for the background both say so, but there DIALS gives sums nevertheless
    failed = theirs.flags(Flag.FAILED_DURING_BACKGROUND_MODELLING)
    assert np.array_equal(np.sort(b), np.flatnonzero(~failed))
    theirs = theirs.select(b)
    np.testing.assert_array_equal(ours["bbox"], theirs["bbox"])
    assert np.mean(ours["num_pixels.foreground"] == theirs["num_pixels.foreground"]) > 0.99
    # what is foreground of a neighbour is no background of ours: in every seventh reflection
    same = ours["num_pixels.background_used"] == theirs["num_pixels.background_used"]
    assert same.mean() > 0.8
    off = np.abs(ours["intensity.sum.value"] - theirs["intensity.sum.value"])[same]
    assert np.all(off < 1e-4 * np.sqrt(theirs["intensity.sum.variance"])[same])  # DIALS sums in single precision
