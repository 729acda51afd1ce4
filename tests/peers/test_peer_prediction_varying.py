"""Reflections of models that vary over the scan, beside DIALS' ScanVaryingReflectionPredictor."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.experiment import Crystal, Experiment, ExperimentList
from xdp.experiment.crystal import b_matrix
from xdp.experiment.io import read_experiments, write_experiments
from xdp.prediction.options import PredictionOptions
from xdp.prediction.predict import predict
from xdp.prediction.rays import make_rotation_matrices

pytestmark = [pytest.mark.peer, pytest.mark.shared]

N_FRAMES = 20
SCRIPT = """
import sys
import numpy as np
from dxtbx import flumpy
from dxtbx.model.experiment_list import ExperimentListFactory
from dials.array_family import flex
experiments = ExperimentListFactory.from_json_file("in.expt", check_format=False)
d_min, d_max, padding, static = (float(v) for v in sys.argv[1:5])
table = flex.reflection_table.from_predictions_multi(
    experiments, dmin=d_min, dmax=d_max, padding=padding, force_static=bool(static))
table.compute_zeta_multi(experiments)
names = ["s1", "xyzcal.px", "xyzcal.mm", "entering", "panel", "zeta", "id", "flags"]
np.savez("out.npz", miller_index=np.array(list(table["miller_index"])),
         **{name: flumpy.to_numpy(table[name]) for name in names})
"""


@pytest.fixture(scope="module")
def imported(dials, shared_data, tmp_path_factory) -> Experiment:
    """Twenty frames of rot_dev as DIALS imports them."""
    folder = tmp_path_factory.mktemp("imported")
    dials.command("dials.import", *sorted((shared_data / "rot_dev" / "cbf").glob("*.cbf.gz"))[:N_FRAMES], cwd=folder)
    return read_experiments(folder / "imported.expt")[0]


def drifting(experiment: Experiment, cell=(79.34, 79.34, 37.81, 90, 90, 90), hall=" P 4nw 2abw", beam=False,
             setting=False) -> Experiment:
    """The experiment with a crystal that slips by half a degree and grows by 0.3 %, and more that moves."""
    a = make_rotation_matrices((0.3, -0.5, 0.8), 0.7) @ b_matrix(cell)
    share = np.linspace(-0.5, 0.5, N_FRAMES + 1)
    points = make_rotation_matrices((1, 2, 3), np.deg2rad(0.5) * share) @ a / (1.0 + 0.003 * share)[:, None, None]
    crystal = Crystal(*map(tuple, np.linalg.inv(a)), space_group_hall_symbol=hall,
                      A_at_scan_points=tuple(map(tuple, points.reshape(-1, 9).tolist())))
    models = {"crystal": crystal}
    if beam:
        path = experiment.beam.s0 + 0.002 * share[:, None] * np.array([0.6, 0.8, 0.05])
        models["beam"] = dataclasses.replace(experiment.beam, extra={"s0_at_scan_points": path.tolist()})
    if setting:
        turns = make_rotation_matrices((0.1, 1.0, 0.3), np.deg2rad(0.2) * share).reshape(-1, 9)
        extra = {"setting_rotation_at_scan_points": turns.tolist()}
        models["goniometer"] = dataclasses.replace(experiment.goniometer, extra=extra)
    return dataclasses.replace(experiment, **models)


def by_passage(columns) -> np.ndarray:
    """Row order by index, then by frame."""
    return np.lexsort((columns["xyzcal.px"][:, 2], *columns["miller_index"].T))


@pytest.mark.parametrize("options", [
    PredictionOptions(d_min=2.01, d_max=40.0), PredictionOptions(d_min=2.01, d_max=40.0, padding=0.0),
    PredictionOptions(d_min=2.5, d_max=5.0, padding=3.0),
    PredictionOptions(d_min=2.01, d_max=40.0, force_static=True)],
    ids=["default", "no padding", "limits", "static"])
@pytest.mark.parametrize("what", [{}, {"cell": (60, 60, 60, 90, 90, 90), "hall": " F 4 2 3"},
                                  {"cell": (30, 40, 50, 80, 95, 103), "hall": " P 1"}, {"beam": True},
                                  {"setting": True}, {"beam": True, "setting": True}],
                         ids=["crystal", "centred", "triclinic", "beam", "goniometer", "all"])
def test_same_reflections_at_the_same_places(dials, imported, tmp_path, what, options):
    experiment = drifting(imported, **what)
    write_experiments(tmp_path / "in.expt", ExperimentList([experiment]))
    theirs = dials.script(SCRIPT, options.d_min, options.d_max, options.padding, 1.0 * options.force_static or "0",
                          cwd=tmp_path)
    if options.force_static:
        # its generator of indices goes beyond d_min by its margin, and the static predictor keeps what it gives
        d = 1.0 / np.linalg.norm(theirs["miller_index"] @ experiment.crystal.A.T, axis=1)
        theirs = {name: column[d >= options.d_min] for name, column in theirs.items()}
    ours = dict(predict(experiment, options).items())
    assert len(ours["id"]) == len(theirs["id"]) > 300
    a, b = by_passage(ours), by_passage(theirs)
    for name in ("miller_index", "panel", "entering", "id", "flags"):
        np.testing.assert_array_equal(ours[name][a], theirs[name][b], err_msg=name)
    # the same formulae in another order of double arithmetic: 1e-15 of s1, times 1e4 for pixels
    for name, tolerance in [("s1", 1e-12), ("xyzcal.mm", 1e-9), ("xyzcal.px", 1e-8), ("zeta", 1e-12)]:
        np.testing.assert_allclose(ours[name][a], theirs[name][b], atol=tolerance, rtol=0, err_msg=name)
