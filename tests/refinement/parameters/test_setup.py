"""Which parameters a problem has: groups of panels, models that are shared, what is fixed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from refinement_data import DETECTOR, collect, disturbed, observed, quarters, sweep

from xdp.errors import XdpError
from xdp.experiment.detector import Detector, move_panels
from xdp.experiment.experiment import ExperimentList
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.setup import build_problem, group_panels
from xdp.refinement.refine import refine_models

STATIC = Refinement.model_validate({"parameterisation": {"scan_varying": False}})
# a misplaced group is no outlier, but the method would take it for one
ALL = {"outlier": {"algorithm": "null"}}
RIGID = Refinement.model_validate({"parameterisation": {"scan_varying": False}, "reflections": ALL})
GROUPS = Refinement.model_validate({"parameterisation": {
    "scan_varying": False, "detector": {"panels": "hierarchical", "hierarchy_level": 1}}, "reflections": ALL})


def test_groups_of_panels_find_their_places():
    """The lower group of two is 0.1 mm away from where it is believed to be; only groups can mend that."""
    true = quarters()
    frames = [true.d_matrix(k).copy() for k in range(4)]
    for k in (2, 3):
        frames[k][:, 2] += [0.1, 0.06, 0.0]
    truth = ExperimentList([replace(sweep(), detector=move_panels(true, frames))])
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
        assert len(group_panels(detector, "automatic", 0)) == 1
        groups = group_panels(detector, "automatic", 1)
        assert len(groups) == n_groups
        assert np.array_equal(np.sort(np.concatenate(groups)), np.arange(n_panels))


def test_beam_keeps_to_the_plane_of_the_spindle():
    """The name says what is fixed: by default the beam may turn within the plane of beam and spindle only."""
    truth = ExperimentList([sweep()])
    result = refine_models(disturbed(truth, angle=5e-4, shift=0.05), observed(truth, n=250, d_min=3.5), STATIC)
    refined = result.experiments[0].beam.unit_s0
    out_of_plane = np.cross([1.0, 0.0, 0.0], truth[0].beam.unit_s0)
    assert abs(refined @ out_of_plane) < 1e-12
    assert abs(refined[0]) > 1e-7


def test_groups_that_a_detector_does_not_have_are_refused():
    two = Detector((DETECTOR[0], DETECTOR[0]))
    with pytest.raises(XdpError, match="has 2 panels"):
        group_panels(two, "single", 0)
    with pytest.raises(XdpError, match="no hierarchy"):
        group_panels(two, "hierarchical", 0)
    assert [g.tolist() for g in group_panels(two, "multiple", 3)] == [[0, 1]]


def test_crystal_that_two_sweeps_share_stays_static():
    e = sweep()
    pair = ExperimentList([e, replace(e, scan=replace(e.scan), identifier="other")])
    table = observed(pair, n=60, d_min=4.0)
    problem = build_problem(pair, collect(pair, table), Refinement().parameterisation, scan_varying=True)
    assert all(slot.smoother is None for slot in problem.slots.values())
