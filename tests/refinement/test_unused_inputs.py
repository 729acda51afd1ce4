"""What is given to refinement and not used is named in one line of the log; what is usual is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from refinement_data import observed, sweep

import xdp
from xdp.experiment import ImageSet
from xdp.experiment.experiment import ExperimentList
from xdp.refinement.unused_inputs import find_unused_models


@pytest.fixture(scope="module")
def pair():
    truth = ExperimentList([sweep(seed=0), sweep(seed=1)])
    return truth, observed(truth, n=60, d_min=4.0)


def changed(experiments: ExperimentList, number: int, **models) -> ExperimentList:
    """The experiments with other models in one of them."""
    return ExperimentList([replace(e, **models) if k == number else e for k, e in enumerate(experiments)])


def test_the_usual_inputs_are_not_named(pair):
    assert find_unused_models(*pair) == []


def test_each_kind_is_one_line(pair):
    experiments, table = pair
    crystal = experiments[1].crystal
    points = tuple(tuple(crystal.A.ravel().tolist()) for _ in range(41))
    images = ImageSet("ImageSequence", template="a_##.cbf", dx="dx.pickle", dy="dy.pickle")
    cases = [
        (changed(experiments, 1, crystal=replace(crystal, A_at_scan_points=points)),
         "Models along the scan are not used: refinement starts from the static ones (experiment 1)"),
        (changed(experiments, 0, beam=replace(experiments[0].beam, extra={"s0_at_scan_points": [[0, 0, -1]]})),
         "Models along the scan are not used: refinement starts from the static ones (experiment 0)"),
        (changed(experiments, 0, imageset=images), "Maps of distortions (dx, dy) are not applied (experiment 0)"),
        (changed(experiments, 0, profile={"__id__": "gaussian_rs"}),
         "Models of profiles and scales are not used, and stay as they were before refinement (experiment 0)")]
    for given, line in cases:
        assert find_unused_models(given, table) == [line]
    only = table.select(table["id"] == 0)
    assert find_unused_models(experiments, only) == [
        "Experiments without indexed reflections do not count (experiment 1)"]
    more = table.with_columns(colour=np.zeros(len(table)))
    assert find_unused_models(experiments, more) == ["Columns of the reflections that are not used: colour"]


@pytest.mark.parametrize("verb", ["refine", "refine_settings"])
def test_both_verbs_say_it(verb, caplog):
    truth = ExperimentList([sweep()])
    table = observed(truth, n=200, d_min=4.0)
    with caplog.at_level("INFO", logger="xdp"):
        getattr(xdp, verb)(truth, table.with_columns(colour=np.zeros(len(table))),
                           **({"scan_varying": False} if verb == "refine" else {}))
    assert caplog.text.count("Columns of the reflections that are not used: colour") == 1
