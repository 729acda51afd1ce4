"""Rsplit and the number of lattices by shell, against slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from still_data import draw_stills, make_known

import xdp
from xdp.merging.average import average
from xdp.merging.stills.shell_statistics import compute_r_split, make_stills_table


@pytest.fixture(scope="module")
def merged():
    drawn = draw_stills(60)
    return xdp.merge(drawn.experiments, make_known(drawn), stills={"postrefine": False}, merging={"n_bins": 5})


def test_r_split_is_the_formula():
    rng = np.random.default_rng(1)
    a, b = rng.exponential(10.0, 50), rng.exponential(10.0, 50)
    a[3] = np.nan
    both = np.arange(50) != 3
    slow = sum(abs(x - y) for x, y in zip(a[both], b[both], strict=True)) / sum(
        0.5 * (x + y) for x, y in zip(a[both], b[both], strict=True)) / 2**0.5
    assert compute_r_split(a, b) == pytest.approx(slow, rel=1e-12)
    assert np.isnan(compute_r_split(a[:0], b[:0]))


def test_shells_are_those_of_the_other_statistics(merged):
    run, seen = merged.run, merged.run.seen
    d = 1.0 / np.sqrt(np.einsum("ni,ij,nj->n", seen.unique.hkl, *(lambda b: (b.T @ b,))(
        merged.experiments[0].known.crystal.B), seen.unique.hkl))
    halves = [average(seen, seen.half == k).intensity for k in (0, 1)]
    present = ~seen.unique.is_absent
    assert merged.stills_shells[-1].r_split == pytest.approx(compute_r_split(*(h[present] for h in halves)))
    inside = present & (d <= merged.shells[2].d_max) & (d > merged.shells[2].d_min)
    assert merged.stills_shells[2].r_split == pytest.approx(compute_r_split(*(h[inside] for h in halves)), rel=0.05)
    assert merged.stills_shells[-1].n_lattices == len(set(run.lattice.tolist()))
    common = sum(shell.n_common for shell in merged.stills_shells[:-1])
    assert common == merged.stills_shells[-1].n_common


def test_the_table_has_all(merged):
    table = make_stills_table(merged.shells, merged.stills_shells)
    assert len(table.rows) == 6
    assert {"r_split", "cc_half", "cc_star", "cc_anomalous", "n_lattices"} <= set(table.columns)
    assert merged.stills_shells[-1].to_dict()["n_common"] > 0
