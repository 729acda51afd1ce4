"""Scales and B of lattices: exact where observations are, fixed where that is wished."""

from __future__ import annotations

import numpy as np
from still_data import draw_stills, get_metric, make_known

from xdp.merging.stills.error_model import StillsErrorModel
from xdp.merging.stills.observations import gather_stills
from xdp.merging.stills.scale_lattices import compute_full_intensities, scale_lattices


def _gather():
    drawn = draw_stills(60)
    metric = get_metric(drawn.experiments)
    return drawn, gather_stills(drawn.experiments, make_known(drawn), metric), metric


def test_scales_and_b_come_back():
    drawn, seen, metric = _gather()
    found = scale_lattices(seen, drawn.true[0].space_group, metric, 60)
    assert np.corrcoef(found.log_scale, drawn.log_scale)[0, 1] > 0.97
    assert np.corrcoef(found.b_factor, drawn.b_factor)[0, 1] > 0.5
    assert abs(found.log_scale.mean()) < 1e-9


def test_scales_may_be_left_alone():
    drawn, seen, metric = _gather()
    found = scale_lattices(seen, drawn.true[0].space_group, metric, 60, scale=False)
    assert not found.log_scale.any()
    found = scale_lattices(seen, drawn.true[0].space_group, metric, 60, use_b=False)
    assert not found.b_factor.any()
    assert found.log_scale.any()


def test_full_intensities_are_over_partiality_and_scale():
    _, seen, _ = _gather()
    log_scale, b = np.linspace(-1, 1, 60), np.linspace(-5, 5, 60)
    full, counting, relative = compute_full_intensities(seen, log_scale, b, np.ones(len(seen)),
                                                        StillsErrorModel(1.0, 0.0, 0.1))
    i = 17
    k = seen.lattice[i]
    factor = seen.partiality[i] * np.exp(log_scale[k] - 0.5 * b[k] * seen.square[i])
    assert np.isclose(full[i], seen.value[i] / factor)
    assert np.isclose(counting[i], seen.background[i] / factor**2 + seen.counting[i] / factor)
    assert np.isclose(relative[i], seen.relative[i] + 0.01)
