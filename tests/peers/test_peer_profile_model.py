"""Profile model, bounding boxes and partialities beside those of dials.integrate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dials_client import QUICK_INDEX

from xdp.experiment import Experiment, ExperimentList, read_experiments
from xdp.experiment.io import write_experiments
from xdp.integration.plan.boxes import compute_bounding_boxes, compute_recorded_fraction
from xdp.integration.plan.matching import mark_reference, select_reference
from xdp.integration.profiles.model import GaussianRSModel, estimate_model
from xdp.integration.profiles.mosaic.spread import MosaicSpread
from xdp.integration.profiles.options import GaussianRSOptions
from xdp.prediction.ice_rings import is_in_ice_ring
from xdp.prediction.predict import predict
from xdp.reflections import ReflectionTable, read_reflections

pytestmark = [pytest.mark.peer, pytest.mark.shared, pytest.mark.kernels]

SCRIPT = """
import sys
import numpy as np
from dxtbx import flumpy
from dxtbx.model.experiment_list import ExperimentListFactory
from dials.array_family import flex
from dials.algorithms.integration.filtering import IceRingFilter
from dials.algorithms.profile_model.gaussian_rs import Model
from dials.command_line.integrate import filter_reference_pixels, phil_scope, process_reference
from libtbx.phil import parse
experiments = ExperimentListFactory.from_json_file("refined.expt", check_format=False)
params = phil_scope.fetch(parse(sys.argv[1])).extract()
reference, _ = process_reference(flex.reflection_table.from_file("refined.refl"))
reference = filter_reference_pixels(reference, experiments)
predicted = flex.reflection_table.from_predictions_multi(experiments, padding=1.0)
_, reference, _ = predicted.match_with_reference(reference)
e = experiments[0]
model = Model.create(params.profile, reference, e.crystal, e.beam, e.detector, e.goniometer, e.scan)
predicted.compute_zeta_multi(experiments)
predicted.compute_d(experiments)
e.profile = model
multiplier = float(sys.argv[2])
predicted.compute_bbox(experiments, sigma_b_multiplier=multiplier)
predicted.compute_partiality(experiments)
names = ["xyzcal.px", "partiality", "d"]
np.savez("out.npz", sigma_b=np.array(model.sigma_b()), sigma_m=np.array(model.sigma_m()), n_sigma=model.n_sigma(),
         bbox=np.array([p.as_numpy_array() for p in predicted["bbox"].parts()]).T,
         ice=flumpy.to_numpy(IceRingFilter()(predicted["d"])),
         miller_index=np.array(list(predicted["miller_index"])),
         **{name: flumpy.to_numpy(predicted[name]) for name in names})
"""


READ_MODEL = """
import numpy as np
from dxtbx.model.experiment_list import ExperimentListFactory
import dials.algorithms.profile_model.gaussian_rs
p = ExperimentListFactory.from_json_file("mosaic.expt", check_format=False)[0].profile
np.savez("out.npz", widths=np.array([p.n_sigma(), p.sigma_b(deg=True), p.sigma_m(deg=True)]))
"""


@pytest.fixture(scope="module")
def refined(dials, shared_data, tmp_path_factory) -> Path:
    """Twenty frames of rot_dev, refined by DIALS with a crystal that varies."""
    folder = tmp_path_factory.mktemp("profile_model")
    dials.command("dials.import", *sorted((shared_data / "rot_dev" / "cbf").glob("*.cbf.gz"))[:20], cwd=folder)
    dials.command("dials.find_spots", "imported.expt", "nproc=2", cwd=folder)
    dials.command("dials.index", "imported.expt", "strong.refl", "space_group=P43212", QUICK_INDEX, cwd=folder)
    dials.command("dials.refine", "indexed.expt", "indexed.refl", "scan_varying=True", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def ours(refined) -> tuple[Experiment, ReflectionTable, ReflectionTable]:
    """The experiment, its predictions, and the reference spots matched with them."""
    experiment = read_experiments(refined / "refined.expt")[0]
    predicted = predict(experiment)
    reference, _ = mark_reference(predicted, select_reference(read_reflections(refined / "refined.refl"))[0])
    return experiment, predicted, reference


PHIL = "profile.gaussian_rs.{}"


@pytest.mark.parametrize("options", [{}, {"sigma_m_algorithm": "basic"}, {"centroid_definition": "com"},
                                     {"scan_varying": True}], ids=lambda o: " ".join(map(str, o.values())) or "default")
def test_same_widths_boxes_and_partialities(dials, refined, ours, options):
    experiment, predicted, reference = ours
    words = "\n".join(PHIL.format(f"{name}={value}") for name, value in options.items())
    multiplier = 1.5 if options else 2.0
    theirs = dials.script(SCRIPT, words, multiplier, cwd=refined)
    model = estimate_model(experiment, reference, GaussianRSOptions(**options))
    # angles as chords there as arc cosines here: 1e-9
    np.testing.assert_allclose(np.rad2deg(model.sigma_b), theirs["sigma_b"], rtol=1e-7)
    # their simplex stops at 1e-7 to 1e-3 of the likelihood, whose top is flat
    np.testing.assert_allclose(np.rad2deg(model.sigma_m), theirs["sigma_m"], rtol=2e-3)
    assert model.is_scan_varying == bool(options.get("scan_varying"))
    # boxes of their widths, as a limit may be rounded the other way where sigma_m differs in the sixth digit
    model = GaussianRSModel.from_dict({"__id__": "gaussian_rs", **{k: theirs[k] for k in (
        "n_sigma", "sigma_b", "sigma_m")}})
    a, b = (np.lexsort((t["xyzcal.px"][:, 2], *t["miller_index"].T)) for t in (predicted, theirs))
    boxes = compute_bounding_boxes(model, experiment, predicted, sigma_b_multiplier=multiplier)
    np.testing.assert_array_equal(boxes[a], theirs["bbox"][b])
    part = compute_recorded_fraction(model, experiment, predicted.with_columns(bbox=boxes))
    np.testing.assert_allclose(part[a], theirs["partiality"][b], atol=1e-10)
    np.testing.assert_allclose(predicted["d"][a], theirs["d"][b], rtol=1e-12)
    np.testing.assert_array_equal(is_in_ice_ring(predicted["d"])[a], theirs["ice"][b])


def test_the_model_goes_into_the_file_and_dials_reads_it(dials, refined, ours):
    from dataclasses import replace

    from xdp.experiment import ExperimentList
    from xdp.experiment.io import write_experiments

    experiment, _, reference = ours
    model = estimate_model(experiment, reference)
    write_experiments(refined / "with_profile.expt", ExperimentList([replace(experiment, profile=model.to_dict())]))
    read = dials.script("""
import numpy as np
from dxtbx.model.experiment_list import ExperimentListFactory
profile = ExperimentListFactory.from_json_file("with_profile.expt", check_format=False)[0].profile
np.savez("out.npz", values=[profile.sigma_b(), profile.sigma_m(), profile.n_sigma()])
""", cwd=refined)
    np.testing.assert_allclose(read["values"], [np.rad2deg(model.sigma_b), np.rad2deg(model.sigma_m), 3.0], rtol=1e-12)


def test_dials_reads_the_model_with_terms_of_its_own(dials, refined, ours):
    """DIALS takes sigma_b and sigma_m of our profile, and passes over what it does not know."""
    experiment, _, _ = ours
    spread = MosaicSpread(1e-7, 4e-6 * np.eye(3), 1e-6)
    model = GaussianRSModel(3.0, np.deg2rad(0.05), np.deg2rad(0.1), spread=spread)
    write_experiments(refined / "mosaic.expt", ExperimentList([replace(experiment, profile=model.to_dict())]))
    theirs = dials.script(READ_MODEL, cwd=refined)["widths"]
    np.testing.assert_allclose(theirs, [3.0, 0.05, 0.1])
