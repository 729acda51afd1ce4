"""The resolution to which intensities are significant."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import OptionError, XdpError
from xdp.experiment import Experiment, ExperimentList
from xdp.integration.options import SignificanceOptions
from xdp.integration.results.significance import filter_significant, find_significance_limits
from xdp.reflections.table import ReflectionTable


def table(limits=(2.0,), n=3000, seed=0):
    """Reflections to 1.5 Å of I/sigma 10 down to the limit of each experiment, and of 0.1 beyond."""
    generator = np.random.default_rng(seed)
    ids = np.arange(n) % len(limits)
    d = (generator.random(n) * (1.5**-3 - 10.0**-3) + 10.0**-3) ** (-1 / 3)
    value = np.where(d > np.asarray(limits)[ids], 10.0, 0.1)
    return ReflectionTable({"id": ids.astype(np.int32), "d": d, "intensity.sum.value": value,
                            "intensity.sum.variance": np.ones(n)})


def test_the_limit_is_the_edge_of_the_first_weak_shell():
    found = find_significance_limits([None], table(), SignificanceOptions())
    assert found[0] == pytest.approx(2.0, abs=0.1)  # to the width of a shell
    assert find_significance_limits([None], table(), SignificanceOptions(isigi_cutoff=0.05))[0] < 1.51


def test_each_experiment_has_its_own_limit():
    experiments = ExperimentList([Experiment("a"), Experiment("b"), Experiment("c")])
    kept, found, has = filter_significant(experiments, table((2.0, 20.0, 3.0)), SignificanceOptions())
    assert [e.identifier for e in kept] == ["a", "c"]
    assert has.tolist() == [True, False, True]
    assert np.unique(found["id"]).tolist() == [0, 1]
    assert found["d"][found["id"] == 0].min() < 2.2 < 2.7 < found["d"][found["id"] == 1].min()


def test_nothing_significant_is_an_error():
    with pytest.raises(XdpError, match="isigi_cutoff"):
        filter_significant(ExperimentList([Experiment("a")]), table((20.0,)), SignificanceOptions())
    with pytest.raises(OptionError, match="n_bins"):
        find_significance_limits([None], table(), SignificanceOptions(n_bins=-1))
