"""From models and spots to the reflections that are integrated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from integration_data import options

from xdp.errors import OptionError, XdpError
from xdp.integration.plan.prepare import check_options, draw_sample, prepare
from xdp.reflections.flags import Flag

pytestmark = pytest.mark.kernels


def test_all_predictions_have_boxes_and_most_spots_are_reference(series):
    prepared = prepare(series.experiments, series.reference, options())
    table = prepared.table
    assert {"bbox", "partiality", "zeta", "flags"} <= set(table)
    assert prepared.chosen is None
    assert len(prepared.models) == 1
    assert prepared.experiments[0].profile is not None
    n_reference = np.count_nonzero(table.flags(Flag.REFERENCE_SPOT))
    assert 0.8 * len(series.reference) < n_reference <= len(series.reference)
    centre, bbox = table["xyzcal.px"], table["bbox"]
    within_scan = (centre[:, 2] >= 0) & (centre[:, 2] <= 12)
    assert np.all((bbox[:, ::2] <= centre) & (centre <= bbox[:, 1::2]), where=within_scan[:, None])


def test_reflections_of_a_sample_alone_are_chosen(series):
    words = ["integrate_all_reflections=False", "reflections_per_degree=None", "minimum_sample_size=50",
             "maximum_sample_size=50"]
    prepared = prepare(series.experiments, series.reference, options(*words))
    assert np.count_nonzero(prepared.chosen) == 50
    assert not prepared.table.flags(Flag.REFERENCE_SPOT)[~prepared.chosen].any()
    chosen = options(*words).sampling
    rows = draw_sample(series.experiments, prepared.table, chosen)
    assert np.array_equal(rows, np.flatnonzero(prepared.chosen))
    other = draw_sample(series.experiments, prepared.table, chosen.model_copy(update={"random_seed": 7}))
    assert not np.array_equal(rows, other)


def test_frames_one_by_one_share_out_the_partiality(series):
    whole = prepare(series.experiments, series.reference, options()).table
    parts = prepare(series.experiments, series.reference, options("integrator=2d")).table
    depth = whole["bbox"][:, 5] - whole["bbox"][:, 4]
    assert len(parts) == depth.sum()
    total = np.bincount(parts["partial_id"].astype(np.int64), parts["partiality"])
    np.testing.assert_allclose(total, whole["partiality"], atol=1e-12)


def test_contradictions_are_refused(series):
    with pytest.raises(XdpError, match="no experiments"):
        check_options(options(), [])
    still = replace(series.experiments[0], scan=None, goniometer=None)
    with pytest.raises(OptionError, match="experiment 0 is a still"):
        check_options(options("integrator=3d"), [still])
    with pytest.raises(OptionError, match="experiment 0 rotates"):
        check_options(options("integrator=stills"), [series.experiments[0]])
    with pytest.raises(XdpError, match="split the experiments"):
        check_options(options(), [still, series.experiments[0]])
