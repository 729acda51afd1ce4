"""Detectors whose panels move in groups, normal equations made elsewhere, smoothers, and what is written back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clients import InlineClient
from refinement_data import DETECTOR, Simulated, observed, still, sweep

from xdp.experiment.detector import Detector
from xdp.experiment.experiment import ExperimentList
from xdp.experiment.moved import moved_detector
from xdp.refinement.equations.engine import covariance
from xdp.refinement.equations.parallel import Equations, bag_equations, bags
from xdp.refinement.equations.problem import Normal, normal_equations
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.setup import build_problem, panel_groups
from xdp.refinement.parameters.smoother import Smoother
from xdp.refinement.refine import _observations, refine_models
from xdp.refinement.selection import with_mm

STATIC = Refinement.model_validate({"parameterisation": {"scan_varying": False}})
# a misplaced group is no outlier, but the method would take it for one
ALL = {"outlier": {"algorithm": "null"}}
RIGID = Refinement.model_validate({"parameterisation": {"scan_varying": False}, "reflections": ALL})
GROUPS = Refinement.model_validate({"parameterisation": {
    "scan_varying": False, "detector": {"panels": "hierarchical", "hierarchy_level": 1}}, "reflections": ALL})

FRAME = {"fast_axis": [1.0, 0.0, 0.0], "slow_axis": [0.0, 1.0, 0.0], "origin": [0.0, 0.0, 0.0]}


def quarters() -> Detector:
    """The small detector cut into four panels, two in each of two groups."""
    whole = DETECTOR[0]
    size = (whole.image_size[0] // 2, whole.image_size[1] // 2)
    fast, slow, origin = (np.asarray(v) for v in (whole.fast_axis, whole.slow_axis, whole.origin))
    panels = []
    for j in range(2):
        for i in range(2):
            corner = origin + fast * i * size[0] * 0.172 + slow * j * size[1] * 0.172
            panels.append(replace(whole, origin=tuple(map(float, corner)), image_size=size, name=f"{j}{i}", mask=()))
    leaf = [{"panel": k} for k in range(4)]
    tree = {**FRAME, "name": "root", "children": [
        {**FRAME, "name": "upper", "children": leaf[:2]}, {**FRAME, "name": "lower", "children": leaf[2:]}]}
    return Detector(tuple(panels), tree)


def test_groups_of_panels_find_their_places():
    """The lower group of two is 0.1 mm away from where it is believed to be; only groups can mend that."""
    true = quarters()
    frames = [true.d_matrix(k).copy() for k in range(4)]
    for k in (2, 3):
        frames[k][:, 2] += [0.1, 0.06, 0.0]
    truth = ExperimentList([replace(sweep(), detector=moved_detector(true, frames))])
    table = observed(truth, n=600, d_min=2.5)
    start = ExperimentList([replace(truth[0], detector=true)])
    grouped, rigid = refine_models(start, table, GROUPS), refine_models(start, table, RIGID)
    # errors of 0.1 px; as one body the halves, 0.1 mm apart, are both off, in spite of what the crystal takes up
    assert np.all(grouped.rmsds[0, :2] < 0.0172 * 1.15)
    assert rigid.rmsds[0, 0] > 0.022
    found = grouped.experiments[0].detector
    between = found.d_matrix(2)[:, 2] - found.d_matrix(0)[:, 2] - (frames[2][:, 2] - frames[0][:, 2])
    np.testing.assert_allclose(between[:2], 0.0, atol=0.02)  # 300 spots a group: 0.001 mm, tilts correlated with it
    assert found.hierarchy == true.hierarchy
    inside = found.d_matrix(3)[:, 2] - found.d_matrix(2)[:, 2]
    assert np.linalg.norm(inside) == pytest.approx(np.linalg.norm(frames[3][:, 2] - frames[2][:, 2]), abs=1e-9)


@pytest.mark.shared
def test_hierarchy_of_real_detectors(shared_data):
    """CSPAD: quadrants of eight sensors of two panels; the P12M barrel: 24 banks of five modules."""
    from xdp.images.importing.import_images import import_images

    for name, n_panels, n_groups in (("thermolysin_cspad/idx-20130301060858401.cbf.gz", 64, 4),
                                     ("image_examples/DLS_I23_P12M_thau_00001.cbf.gz", 24, 24)):
        detector = import_images([str(shared_data / name)]).experiments[0].detector
        assert len(detector) == n_panels
        assert len(panel_groups(detector, "automatic", 0)) == 1
        groups = panel_groups(detector, "automatic", 1)
        assert len(groups) == n_groups
        assert np.array_equal(np.sort(np.concatenate(groups)), np.arange(n_panels))


@pytest.fixture(scope="module")
def stills() -> Simulated:
    truth = ExperimentList([still(seed) for seed in range(6)])
    return Simulated(truth, observed(truth, n=60, d_min=3.5))


def test_workers_give_the_same_numbers(stills: Simulated):
    client = InlineClient()
    here, there = (refine_models(stills.truth, stills.table, STATIC, client=workers) for workers in (None, client))
    n_sent = sum(key.startswith("plan-") for key in client.keys)
    assert n_sent == 1 + (len(client.keys) - n_sent)  # the observations once, then the parameters for each step's task
    for a, b in zip(here.experiments, there.experiments, strict=True):
        assert a == b


def test_bags_keep_the_order_and_are_worth_a_task(stills: Simulated):
    data, _ = _observations(stills.truth, with_mm(stills.truth, stills.table), STATIC)
    problem = build_problem(stills.truth, data, STATIC.parameterisation)
    many = problem.parts * 200
    packed = bags(many)
    assert [id(p) for bag in packed for p in bag] == [id(p) for p in many]
    assert all(sum(len(p.data) for p in bag) >= 20_000 for bag in packed[:-1])
    p = np.zeros(problem.size)
    with Equations(problem.parts) as equations:
        for a, b in zip(equations(p), bag_equations(p, problem.parts), strict=True):
            assert np.array_equal(a.matrix, b.matrix)


def test_covariance_by_blocks_is_the_inverse_of_the_whole(stills: Simulated):
    options = Refinement.model_validate({"parameterisation": {
        "scan_varying": False, "beam": {"fix": ["all"]}}}).parameterisation
    data, _ = _observations(stills.truth, with_mm(stills.truth, stills.table), STATIC)
    problem = build_problem(stills.truth, data, options)
    normals = [normal_equations(part, np.zeros(problem.size)) for part in problem.parts]
    whole = np.zeros((problem.size, problem.size))
    for normal in normals:
        whole[np.ix_(normal.columns, normal.columns)] += normal.matrix
    scale = 2.0 * sum(n.loss for n in normals) / (1080 - problem.size)
    # a common turn of detector and crystals changes nothing: a small ridge makes both sides regular
    ridge = 1e-6 * np.diag(np.diag(whole))
    for normal in normals:
        own = ridge[np.ix_(normal.columns, normal.columns)]
        uses = sum(np.isin(normal.columns, n.columns).astype(int) for n in normals)
        normal.matrix[...] += own / uses
    want = np.sqrt(np.diag(np.linalg.inv(whole + ridge)) * scale)
    np.testing.assert_allclose(covariance(normals, problem.size, 1080).esds(problem.size), want, rtol=1e-4)


def test_covariance_of_nothing_known_is_not_infinite():
    empty = Normal(np.array([0, 1]), np.diag([4.0, 0.0]), np.zeros(2), 2.0, count=2)
    assert covariance([empty], 2, 6).esds(2).tolist() == [0.5, 0.0]  # 2 * 2 / (6 - 2) = 1 times 1/4


def test_smoother_is_that_of_three_gaussian_weights():
    """Five intervals over 50 frames: nodes at -5, 5, ..., 55; at frame 25 three weights, by the formula."""
    smoother = Smoother(0.0, 50.0, 5)
    assert smoother.positions.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    raw = np.exp(-(np.array([1.0, 0.0, 1.0]) / 0.7) ** 2)
    np.testing.assert_allclose(smoother.weights(np.array([25.0]))[0], [0, 0, *(raw / raw.sum()), 0, 0], atol=1e-12)
    with pytest.raises(ValueError, match="at least one interval"):
        Smoother(0.0, 50.0, 0)


def test_varying_beam_is_written_at_scan_points():
    truth = ExperimentList([sweep()])
    options = Refinement.model_validate({"parameterisation": {"scan_varying": True, "beam": {"force_static": False}}})
    beam = refine_models(truth, observed(truth, n=250, d_min=3.5), options).experiments[0].beam
    points = np.asarray(beam.extra["s0_at_scan_points"])
    assert points.shape == (41, 3)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1 / beam.wavelength, rtol=1e-9)
    np.testing.assert_allclose(points.mean(axis=0), beam.s0, atol=1e-5)
