"""Many data sets by their own verb: as tasks, with the answer of xdp symmetry."""

from __future__ import annotations

import numpy as np
import pytest
from symmetry_data import TETRAGONAL, make_symmetric, make_wedges

import xdp
from xdp.errors import XdpError
from xdp.symmetry.cosym import cosym

WEDGES = ("P4", TETRAGONAL, "k,h,-l")


def test_every_set_is_indexed_alike_and_a_stranger_is_set_aside():
    experiments, table, flips = make_wedges(*WEDGES, strangers=(5,))
    found = cosym(experiments, table)
    assert list(found.sets.excluded) == [5]
    assert found.verdict.laue_class == "P 4"
    turned = np.array([c is not None and np.linalg.inv(c)[2, 2] < 0.0 for c in found.sets.changes])
    right = np.delete(turned == flips, 5)
    assert right.all() or not right.any()


def test_threads_and_workers_change_nothing():
    experiments, table, _ = make_wedges(*WEDGES)
    results = [cosym(experiments, table, nproc=n) for n in (1, 3)]
    distributed = pytest.importorskip("distributed")
    with distributed.Client(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as client:
        results.append(cosym(experiments, table, client=client))
    for other in results[1:]:
        assert other.reflections == results[0].reflections
        assert other.sets.confidence == results[0].sets.confidence


def test_what_is_found_is_what_symmetry_finds():
    experiments, table, _ = make_wedges(*WEDGES)
    one = cosym(experiments, table, normalisation="ml_aniso", lattice_symmetry_max_delta=2.0)
    assert one.reflections == xdp.find_symmetry(experiments, table).reflections


def test_a_group_that_is_given_is_taken():
    experiments, table, _ = make_wedges(*WEDGES)
    assert cosym(experiments, table, space_group="P4").verdict.written.startswith("P4")
    with pytest.raises(XdpError, match="no such symmetry"):
        cosym(experiments, table, space_group="P6")


def test_one_crystal_is_no_case_for_it():
    with pytest.raises(XdpError, match="use xdp symmetry"):
        cosym(*make_symmetric("P4", TETRAGONAL, 30))
