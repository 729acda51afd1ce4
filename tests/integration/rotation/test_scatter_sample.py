"""The sample that the scatter of shapes is estimated from: the same whatever the blocks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from integration_data import make_series, options

from xdp.integration.integrate import _build_work, _TaskRun
from xdp.integration.plan.prepare import prepare
from xdp.integration.rotation.scatter_estimate import add_scatter
from xdp.integration.rotation.scatter_sample import choose_sample, pack_scatter_sample
from xdp.integration.rotation.tasks import extract_block, load_sums, merge_reference_sums, process_block

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_series(tmp_path_factory.mktemp("small"), 6)


def run_two_passes(small, size, *more):
    """The work after two passes over blocks of `size` frames, with profiles."""
    chosen = options(f"block.size={size}", "block.units=frames", *more)
    work = _build_work(prepare(small.experiments, small.reference, chosen), _TaskRun(chosen))
    for task in (extract_block, process_block):
        for number in range(len(work.blocks)):
            task(work, number)
    profiles = {i: sums.finish() for i, sums in merge_reference_sums(work).items()}
    return dataclasses.replace(work, profiles=profiles)


def test_the_estimate_does_not_depend_on_blocks(small):
    found = [add_scatter(run_two_passes(small, size), small.experiments)[0].scatter for size in (2, 6)]
    assert found[0] == found[1]
    assert found[0].n > 10
    assert 0.0 < found[0].value < 0.02


def test_a_scatter_that_is_given_is_used(small):
    work = run_two_passes(small, 6, "fitting.shape_scatter=0.01")
    assert work.sample is None
    assert "sample.rows" not in load_sums(work, 0, ("sample.",))
    scatter = add_scatter(work, small.experiments)[0].scatter
    assert (scatter.value, scatter.n) == (0.01, 0)


def test_only_references_are_in_the_sample(small):
    work = run_two_passes(small, 6)
    arrays = load_sums(work, 0, ("sample.", "column.flags", "rows"))
    rows = arrays["sample.rows"]
    assert np.all(work.sample[rows])
    assert len(arrays["sample.n_used"]) == len(rows)
    assert choose_sample(work.plan.table, options("integration.profile.fitting=False")) is None
    assert pack_scatter_sample(dataclasses.replace(work, sample=None), None) == {}
