"""Models and tables after refinement: only shots that were used, numbered anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from metrology_data import make_shots

from xdp.reflections.flags import Flag
from xdp.serial.metrology.fit import Workers
from xdp.serial.metrology.options import RefineMetrologyOptions
from xdp.serial.metrology.refine_metrology import begin_state, store_shots
from xdp.serial.metrology.writeback import collect_models, update_shot_table

pytestmark = pytest.mark.kernels


def test_shots_that_were_not_used_are_left_out():
    _, experiments, table = make_shots(5, {}, n_spots=15)
    detector = experiments[0].known.detector
    source = store_shots(experiments, table, detector, RefineMetrologyOptions())
    state = begin_state(source, detector)
    ids = np.repeat(np.arange(5), 15)
    state = replace(state, use=[(ids != 2) & (np.arange(75) % 15 > 1)], scale=1.01)
    models, kept = collect_models(experiments, source, state)
    assert kept.tolist() == [0, 1, 3, 4]
    before, after = experiments[3].known, models[2].known
    assert after.beam.wavelength == pytest.approx(before.beam.wavelength / 1.01)
    np.testing.assert_allclose(after.crystal.A, before.crystal.A, rtol=1e-6, atol=1e-9)
    updated = update_shot_table(table, models, kept, source, replace(state, scale=1.0), Workers(), 5)
    assert np.bincount(updated["id"]).tolist() == [15] * 4
    used = updated.flags(Flag.USED_IN_REFINEMENT)
    assert used.sum() == 4 * 13
    assert np.all(used | updated.flags(Flag.EXCLUDED_FOR_REFINEMENT))
    # drawn without moving the panels: predictions are within errors of 0.2 px
    assert np.abs(updated["xyzcal.px"] - updated["xyzobs.px.value"])[:, :2].max() < 1.0
