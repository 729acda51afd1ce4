"""NormalEquations equations made by a client's workers are those made here."""

from __future__ import annotations

import numpy as np
import pytest
from clients import InlineClient
from refinement_data import Simulated, collect, ideal_stills

from xdp.refinement.equations.parallel import Equations, compute_bag, split_into_bags
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.setup import build_problem
from xdp.refinement.refine import refine_models

STATIC = Refinement.model_validate({"parameterisation": {"scan_varying": False}})


@pytest.fixture(scope="module")
def stills() -> Simulated:
    return ideal_stills()


def test_workers_give_the_same_numbers(stills: Simulated):
    client = InlineClient()
    here, there = (refine_models(stills.truth, stills.table, STATIC, client=workers) for workers in (None, client))
    n_sent = sum(key.startswith("plan-") for key in client.keys)
    assert n_sent == 1 + (len(client.keys) - n_sent)  # the observations once, then the parameters for each step's task
    for a, b in zip(here.experiments, there.experiments, strict=True):
        assert a == b


def test_bags_keep_the_order_and_are_worth_a_task(stills: Simulated):
    data = collect(stills.truth, stills.table)
    problem = build_problem(stills.truth, data, STATIC.parameterisation)
    many = problem.parts * 200
    packed = split_into_bags(many)
    assert [id(p) for bag in packed for p in bag] == [id(p) for p in many]
    assert all(sum(len(p.data) for p in bag) >= 20_000 for bag in packed[:-1])
    p = np.zeros(problem.size)
    with Equations(problem.parts) as equations:
        for a, b in zip(equations(p), compute_bag(p, problem.parts), strict=True):
            assert np.array_equal(a.matrix, b.matrix)
