"""Pairs of experiments and reflections, and images, as commands take them."""

from __future__ import annotations

import numpy as np
import pytest
from refinement_data import observed, sweep
from sweeps import background
from sweeps import sweep as image_sweep

from xdp.cli.inputs import read_images, read_pairs
from xdp.errors import XdpError
from xdp.experiment import ExperimentList, write_experiments
from xdp.reflections import write_reflections


def test_ids_of_further_pairs_follow_on(folder):
    for name, seed in (("a", 0), ("b", 1)):
        truth = ExperimentList([sweep(seed=seed)])
        write_experiments(f"{name}.expt", truth)
        write_reflections(f"{name}.refl", observed(truth, n=20 + seed))
    experiments, table = read_pairs(["a.expt", "b.expt", "a.refl", "b.refl"], "refine")
    assert [e.identifier for e in experiments] == ["s0", "s1"]
    assert np.bincount(table["id"]).tolist() == [20, 21]


def test_columns_that_all_tables_have_stay(folder):
    truth = ExperimentList([sweep()])
    write_experiments("a.expt", truth)
    table = observed(truth, n=10)
    write_reflections("a.refl", table)
    write_reflections("b.refl", table.with_columns(lp=np.ones(10)))
    _, both = read_pairs(["a.expt", "a.refl", "a.expt", "b.refl"], "refine")
    assert "lp" not in both
    assert len(both) == 20


@pytest.mark.parametrize(("words", "message"), [
    (["a.expt"], "needs a .refl for each .expt, got 1 .expt and 0 .refl"),
    ([], "got 0 .expt and 0 .refl"),
    (["a.expt", "other.refl"], "refers to experiment 3, but a.expt has 1"),
])
def test_files_that_are_no_pairs(folder, words, message):
    truth = ExperimentList([sweep()])
    write_experiments("a.expt", truth)
    table = observed(truth, n=10)
    write_reflections("other.refl", table.with_columns(id=np.full(10, 3, np.int32)))
    with pytest.raises(XdpError, match=message):
        read_pairs(words, "refine")


def test_images_come_from_experiments_or_from_headers(folder):
    made = image_sweep(folder, background(3))
    write_experiments("a.expt", made)
    experiments, are_models = read_images(["a.expt"], "find_spots")
    assert are_models
    assert experiments[0].imageset == made[0].imageset
    with pytest.raises(XdpError, match="not both"):
        read_images(["a.expt", "sweep.npy"], "find_spots")
    with pytest.raises(XdpError, match=r"needs images or an imported\.expt"):
        read_images([], "find_spots")
