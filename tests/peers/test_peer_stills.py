"""Stills integrated from DIALS' own models: by xdp and by DIALS, both profile models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from xdp.cli.main import main
from xdp.experiment.experiment import ExperimentList
from xdp.experiment.io import read_experiments, write_experiments
from xdp.integration.options import IntegrateOptions
from xdp.integration.profiles.ellipsoid import predict as prediction
from xdp.integration.stills.integrate_stills import integrate_stills
from xdp.options import parse
from xdp.refinement.outliers import chi_square, chi_square_quantile
from xdp.reflections.flags import Flag
from xdp.reflections.refl import read_reflections, write_reflections
from xdp.reflections.table import ReflectionTable

N_SHOTS = 2

GAUSSIAN = """
import sys
from dxtbx.model.experiment_list import ExperimentList
from dials.array_family import flex
from dials.algorithms.integration.integrator import create_integrator
from dials.algorithms.profile_model.factory import ProfileModelFactory
from dials.command_line.stills_process import phil_scope
params = phil_scope.extract()
experiments, indexed = ExperimentList.from_file("models.expt"), flex.reflection_table.from_file("models.refl")
experiments = ProfileModelFactory.create(params, experiments, indexed)
predicted = flex.reflection_table.from_predictions_multi(experiments)
predicted.match_with_reference(indexed)
table = create_integrator(params, experiments, predicted).integrate()
del table["shoebox"]
table.as_file("gaussian.refl")
experiments.as_json("gaussian.expt")
"""

ELLIPSOID = """
import json, sys
import numpy as np
from dxtbx.model.experiment_list import ExperimentList
from dials.array_family import flex
from dials.command_line.ssx_integrate import phil_scope
from dials.algorithms.integration.ssx.ellipsoid_integrate import EllipsoidIntegrator
params = phil_scope.extract()
params.profile.ellipsoid.rlp_mosaicity.model = sys.argv[1]
experiments, indexed = ExperimentList.from_file("models.expt"), flex.reflection_table.from_file("models.refl")
made, tables = [], flex.reflection_table()
for i, (experiment, spots) in enumerate(zip(experiments, indexed.split_by_experiment_id())):
    experiment, table, _ = EllipsoidIntegrator(params).run(experiment, spots)
    crystal = experiment.crystal
    made.append({"sigma": np.array(crystal.mosaicity.sigma()).tolist(), "A": list(crystal.get_A())})
    table["id"] = flex.int(len(table), i)
    for key in list(table.experiment_identifiers().keys()):
        del table.experiment_identifiers()[key]
    if "shoebox" in table:
        del table["shoebox"]
    tables.extend(table)
tables.as_file(sys.argv[1] + ".refl")
json.dump(made, open(sys.argv[1] + ".json", "w"))
"""


@pytest.fixture(scope="module")
def models(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two shots of stills_dev, indexed by xdp, as models.expt and models.refl that DIALS takes too."""
    folder = tmp_path_factory.mktemp("stills_peer")
    images = sorted((shared_data / "stills_dev" / "cbf").glob("*.cbf.gz"))[2:2 + N_SHOTS]
    if len(images) < N_SHOTS:
        pytest.skip("needs the CBF images of stills_dev")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["import", *map(str, images)]) == 0
        assert main(["find_spots", "imported.expt", "min_spot_size=2"]) == 0
        assert main(["index", "imported.expt", "strong.refl", "space_group=P43212", "joint_indexing=False",
                     "unit_cell=79.344,79.344,37.81,90,90,90"]) == 0
        experiments, spots = read_experiments("indexed.expt"), read_reflections("indexed.refl")
        assert len(experiments) == N_SHOTS
        good = spots.flags(Flag.INDEXED) & ~spots.any_flags(Flag.BAD_FOR_REFINEMENT)
        write_reflections("models.refl", _as_stills(spots.select(good)))
        write_experiments("models.expt", ExperimentList([_as_still(e) for e in experiments]), "dials-3.12")
    return folder


def _as_still(experiment):
    """The experiment as DIALS has stills: an image set of one image, no scan, no goniometer, a mosaic crystal."""
    from dataclasses import replace

    from xdp.experiment.imageset import ImageSet
    from xdp.images.reader import list_frame_files

    files, _ = list_frame_files(experiment.imageset, experiment.scan)
    crystal = replace(experiment.crystal, extra={"ML_half_mosaicity_deg": 0.08, "ML_domain_size_ang": 1200.0})
    return replace(experiment, scan=None, goniometer=None, crystal=crystal,
                   imageset=ImageSet("ImageSet", images=files))


def _as_stills(spots: ReflectionTable) -> ReflectionTable:
    """Spots on frame 0 of their own image."""
    from dataclasses import replace

    boxes = spots["shoebox"]
    flat = boxes.bbox.copy()
    flat[:, 4:] = [0, 1]
    position = spots["xyzobs.px.value"].copy()
    position[:, 2] = 0.5
    return spots.with_columns(**{"shoebox": replace(boxes, bbox=flat), "bbox": flat, "xyzobs.px.value": position})


def ours(models: Path, *words: str):
    """What xdp integrates from the same models."""
    # DIALS knows no widths that grow with resolution
    options, _ = parse(IntegrateOptions, ["gaussian_rs.mosaic.enable=False", *words])
    return integrate_stills(read_experiments(models / "models.expt"), read_reflections(models / "models.refl"), options)


def pairs(a: ReflectionTable, b: ReflectionTable) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the same experiment and index."""
    rows = {(i, *h): k for k, (i, h) in enumerate(zip(b["id"].tolist(), b["miller_index"].tolist(), strict=True))}
    same = np.array([rows.get((i, *h), -1) for i, h in zip(a["id"].tolist(), a["miller_index"].tolist(), strict=True)])
    return np.flatnonzero(same >= 0), same[same >= 0]


def test_gaussian_stills_are_those_of_dials(models: Path, dials):
    dials.script(GAUSSIAN, cwd=models)
    theirs = read_reflections(models / "gaussian.refl")
    their_models = json.loads((models / "gaussian.expt").read_text())
    found = ours(models, "background.algorithm=simple", "simple.outlier.algorithm=plane",
                 "simple.model.algorithm=linear2d")
    for experiment, profile in zip(found.experiments, their_models["profile"], strict=True):
        assert experiment.profile["sigma_b"] == pytest.approx(profile["sigma_b"], rel=1e-6)
    a, b = pairs(found.reflections, theirs)
    assert len(b) == len(theirs)  # we have those too that screw axes extinguish
    assert len(found.reflections) - len(a) < 0.02 * len(a)
    np.testing.assert_array_equal(found.reflections["bbox"][a], theirs["bbox"][b])
    same = found.reflections["num_pixels.foreground"][a] == theirs["num_pixels.foreground"][b]
    assert same.mean() > 0.99  # a corner on the very edge: parallax is taken at the reflection, not at each corner
    sigma = np.sqrt(theirs["intensity.sum.variance"][b])
    off = (found.reflections["intensity.sum.value"][a] - theirs["intensity.sum.value"][b])[same] / sigma[same]
    assert np.quantile(np.abs(off), 0.98) < 1e-4  # shared pixels of neighbours are what is left
    ratio = found.reflections["background.mean"][a] / theirs["background.mean"][b]
    assert np.median(np.abs(ratio - 1.0)) < 1e-5


@pytest.mark.parametrize("name", ["angular4", "simple6"])
def test_ellipsoids_are_those_of_dials(models: Path, dials, name, monkeypatch):
    """DIALS' mask compares angles with lengths in 1/Å: its ellipses are 1/wavelength as large, which is imitated."""
    dials.script(ELLIPSOID, name, cwd=models)
    theirs, made = read_reflections(models / f"{name}.refl"), json.loads((models / f"{name}.json").read_text())
    wavelength = read_experiments(models / "models.expt")[0].beam.wavelength
    limit = chi_square_quantile(prediction.FULL_PROBABILITY, 2) / wavelength**2
    drawn = prediction.draw_outlines
    monkeypatch.setattr(prediction, "draw_outlines", lambda *args: drawn(*args, probability=chi_square(limit, 2)))
    found = ours(models, "profile.algorithm=ellipsoid", f"rlp_mosaicity.model={name}")
    for experiment, their in zip(found.experiments, made, strict=True):
        widths, expected = (np.sqrt(np.linalg.eigvalsh(s)) for s in (experiment.profile["sigma"], their["sigma"]))
        np.testing.assert_allclose(widths, expected, rtol=0.02)  # outliers are chosen by another random search
        turn = experiment.crystal.A @ np.linalg.inv(np.reshape(their["A"], (3, 3)))
        np.testing.assert_allclose(turn, np.eye(3), atol=1e-4)
    a, b = pairs(found.reflections, theirs)
    # DIALS also has rays that miss the panel by less than a box
    assert len(a) > 0.95 * min(len(found.reflections), len(theirs))
    both = theirs.flags(Flag.INTEGRATED_SUM)[b]
    a, b = a[both], b[both]
    distance = (found.reflections["xyzcal.px"][a] - theirs["xyzcal.px"][b])[:, :2]
    assert np.abs(distance).max() < 0.05
    assert np.median(np.abs(found.reflections["partiality"][a] - theirs["partiality"][b])) < 0.01
    assert np.mean(np.all(found.reflections["bbox"][a] == theirs["bbox"][b], axis=1)) > 0.9
    sigma = np.sqrt(theirs["intensity.sum.variance"][b])
    off = (found.reflections["intensity.sum.value"][a] - theirs["intensity.sum.value"][b]) / sigma
    assert abs(np.median(off)) < 0.02
    assert np.quantile(np.abs(off), 0.75) < 0.3  # the models differ a little, so do pixels at the edges
