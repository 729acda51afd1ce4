"""Lattices that do not belong: delta CC1/2 against a slow twin, odd cells, reasons."""

from __future__ import annotations

import numpy as np
import pytest
from still_data import draw_stills, get_metric, make_known

from xdp.merging.stills.observations import gather_stills
from xdp.merging.stills.outlier_lattices import (
    LatticeAgreement,
    compute_delta_cc_half,
    find_odd_cells,
    judge_lattices,
    list_reasons,
)
from xdp.merging.stills.scale_lattices import scale_lattices


@pytest.fixture(scope="module")
def scaled():
    drawn = draw_stills(60)
    metric = get_metric(drawn.experiments)
    seen = gather_stills(drawn.experiments, make_known(drawn), metric)
    return seen, scale_lattices(seen, drawn.true[0].space_group, metric, 60)


def _cc_half(row, x):
    means, errors = [], []
    for r in np.unique(row):
        own = x[row == r]
        if len(own) > 1:
            means.append(own.mean())
            errors.append(own.var(ddof=1) / (len(own) / 2.0))
    spread, half = np.var(means, ddof=1), 0.5 * np.mean(errors)
    return (spread - half) / (spread + half)


def test_delta_cc_half_is_that_of_leaving_out(scaled):
    seen, scales = scaled
    found = compute_delta_cc_half(scales, seen.lattice, 60)
    x, row = scales.full / scales.shell, scales.groups.row
    whole = _cc_half(row, x)
    for k in (0, 7, 31):
        kept = seen.lattice != k
        assert found[k] == pytest.approx(whole - _cc_half(row[kept], x[kept]), abs=1e-10)


def test_lattices_that_belong_agree(scaled):
    seen, scales = scaled
    found = judge_lattices(scales, seen.lattice, 60)
    assert np.all(found.agreement > 0.0)
    assert np.nanmedian(found.correlation) > 0.8


def test_odd_cells_are_those_that_differ():
    cells = np.tile([50.0, 60.0, 70.0, 90.0, 100.0, 90.0], (5, 1))
    cells[1, 0], cells[3, 4] = 53.0, 104.0
    odd, median = find_odd_cells(cells, 0.03, 2.0)
    assert odd.tolist() == [False, True, False, True, False]
    assert median.tolist() == [50.0, 60.0, 70.0, 90.0, 100.0, 90.0]


def test_reasons():
    correlation = np.array([0.9] * 12 + [0.1])
    found = LatticeAgreement(correlation, np.r_[np.ones(12), -5.0], np.r_[-0.01, np.zeros(12)], np.full(13, 50))
    there = np.ones(13, bool)
    keep = {"min_correlation": None, "min_delta_cc_half": None}
    assert list(list_reasons(found, there, by_likelihood=True, **keep)) == [12]
    assert list(list_reasons(found, there, by_likelihood=False, **keep)) == [12]
    worse = list_reasons(found, there, by_likelihood=True, min_correlation=None, min_delta_cc_half=-0.001)
    assert list(worse) == [0, 12]
    assert len(list_reasons(found, there, by_likelihood=True, min_correlation=0.95, min_delta_cc_half=None)) == 13
