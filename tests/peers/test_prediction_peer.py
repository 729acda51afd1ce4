"""Predicted reflections against dials.predict."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.experiment import Crystal, Experiment, ExperimentList
from xdp.experiment.crystal import b_matrix
from xdp.experiment.io import read_experiments, write_experiments
from xdp.prediction.indices import compute_d_spacings
from xdp.prediction.rays import make_rotation_matrices
from xdp.prediction.reflections import predict_rotation, predict_stills
from xdp.reflections import read_reflections

pytestmark = pytest.mark.peer


def crystal(cell, hall, angle=40.0) -> Crystal:
    a = make_rotation_matrices((0.3, -0.5, 0.8), np.deg2rad(angle)) @ b_matrix(cell)
    return Crystal(*map(tuple, np.linalg.inv(a)), space_group_hall_symbol=hall)


@pytest.fixture(scope="session")
def rotation(dials, shared_data, tmp_path_factory) -> Experiment:
    """rot_dev as DIALS imports it, ten degrees of it."""
    folder = tmp_path_factory.mktemp("imported")
    frames = sorted((shared_data / "rot_dev" / "cbf").glob("*.cbf.gz"))[:20]
    dials.command("dials.import", *frames, cwd=folder)
    return read_experiments(folder / "imported.expt")[0]


def by_passage(table) -> np.ndarray:
    """Row order by index, then by angle."""
    hkl = table["miller_index"]
    return np.lexsort((table["xyzcal.mm"][:, 2], hkl[:, 2], hkl[:, 1], hkl[:, 0]))


@pytest.mark.parametrize(("cell", "hall"), [
    ((79.34, 79.34, 37.81, 90, 90, 90), " P 4nw 2abw"),
    ((30.0, 40.0, 50.0, 80.0, 95.0, 103.0), " P 1"),
    ((60.0, 60.0, 60.0, 90, 90, 90), " F 4 2 3"),
])
def test_rotation_equals_dials_predict(dials, rotation, tmp_path, cell, hall):
    experiment = dataclasses.replace(rotation, crystal=crystal(cell, hall))
    write_experiments(tmp_path / "in.expt", ExperimentList([experiment]))
    dials.command("dials.predict", "in.expt", "d_min=2.2", cwd=tmp_path)
    theirs, ours = read_reflections(tmp_path / "predicted.refl"), predict_rotation(experiment, 2.2)
    # Up to 50 frames DIALS generates indices by the method of Reeke with a margin, and keeps what exceeds d_min.
    theirs = theirs.select(compute_d_spacings(experiment.crystal, theirs["miller_index"]) >= 2.2)
    assert len(ours) > 300
    theirs, ours = theirs.select(by_passage(theirs)), ours.select(by_passage(ours))
    for name in ("miller_index", "panel", "entering", "flags", "id"):
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    # Two orders of double arithmetic; px carry their factor of 6 per mm.
    for name, tolerance in [("s1", 1e-11), ("xyzcal.mm", 1e-8), ("xyzcal.px", 1e-7)]:
        np.testing.assert_allclose(ours[name], theirs[name], atol=tolerance, rtol=0, err_msg=name)


def test_still_rays_equal_those_of_dials(dials, rotation, tmp_path):
    experiment = dataclasses.replace(rotation, crystal=crystal((79.34, 79.34, 37.81, 90, 90, 90), " P 4nw 2abw"),
                                     goniometer=None, scan=None, imageset=None)
    ours = predict_stills(experiment, 2.2, max_delta_psi=np.rad2deg(0.0015))  # The limit that DIALS has built in.
    write_experiments(tmp_path / "in.expt", ExperimentList([experiment]))
    dials.script("""
from dxtbx.model.experiment_list import ExperimentListFactory
from dials.array_family import flex
from dials.algorithms.spot_prediction import StillsReflectionPredictor
experiment = ExperimentListFactory.from_json_file("in.expt", check_format=False)[0]
StillsReflectionPredictor(experiment, dmin=2.2).for_ub(experiment.crystal.get_A()).as_file("predicted.refl")
""", cwd=tmp_path)
    theirs = read_reflections(tmp_path / "predicted.refl")
    assert len(ours) > 100
    ours, theirs = ours.select(by_passage(ours)), theirs.select(by_passage(theirs))
    np.testing.assert_array_equal(ours["miller_index"], theirs["miller_index"])
    # Two orders of double arithmetic, arc tangent against arc cosine.
    np.testing.assert_allclose(ours["s1"], theirs["s1"], atol=1e-11, rtol=0)
    np.testing.assert_allclose(ours["delpsical.rad"], theirs["delpsical.rad"], atol=1e-9, rtol=0)
    np.testing.assert_allclose(ours["xyzcal.px"][:, :2], theirs["xyzcal.px"][:, :2], atol=1e-7, rtol=0)
