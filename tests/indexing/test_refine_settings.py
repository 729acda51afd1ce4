"""Bravais settings refined and compared."""

from __future__ import annotations

import numpy as np
import pytest
from refinement_data import observed, sweep

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.lattice.bravais import LATTICES, Setting
from xdp.indexing.refine_settings import (
    Solution,
    choose_setting,
    correlate_related,
    find_solutions,
    sort_solutions,
)
from xdp.reflections.table import ReflectionTable

TWO_FOLD = np.diag([-1, 1, -1])[None]


def test_every_setting_of_a_tetragonal_crystal_is_refined():
    experiments = ExperimentList([sweep()])
    solutions = find_solutions(experiments, observed(experiments, n=300))
    lattices = [s.setting.lattice for s in solutions]
    assert lattices[0] == "tP"
    assert lattices[-1] == "aP"
    assert len(lattices) == 9
    assert all(s.recommended for s in solutions)  # all are subgroups of the true symmetry
    best = solutions[0]
    assert best.experiments[0].crystal.unit_cell[0] == pytest.approx(best.experiments[0].crystal.unit_cell[1])
    # 0.1 px of 0.172 mm in x and y
    assert best.rmsd == pytest.approx(np.hypot(0.0172, 0.0172), rel=0.2)
    assert best.to_dict()["bravais"] == "tP"
    assert best.to_dict()["max_cc"] is None  # no intensities


def test_two_crystals_have_no_common_setting():
    experiments = ExperimentList([sweep(), sweep(seed=1)])
    with pytest.raises(XdpError, match="of one crystal, got 2"):
        find_solutions(experiments, observed(experiments, n=20))


def test_intensities_that_symmetry_relates_correlate():
    rng = np.random.default_rng(1)
    hkl = np.array([(h, k, m) for h in range(1, 6) for k in range(1, 6) for m in range(1, 6)])
    intensity = rng.exponential(100.0, len(hkl))
    mates = hkl * [-1, 1, -1]
    table = ReflectionTable({"miller_index": np.concatenate([hkl, mates]).astype(np.int32),
                             "intensity.sum.value": np.r_[intensity, intensity + rng.normal(0, 1.0, len(hkl))]})
    assert correlate_related(table, TWO_FOLD)[0] > 0.99
    other = correlate_related(table.with_columns(**{"intensity.sum.value": rng.exponential(100.0, 2 * len(hkl))}),
                              TWO_FOLD)
    assert abs(other[0]) < 0.4  # 125 pairs of chance: 0.09
    assert correlate_related(ReflectionTable({"miller_index": hkl.astype(np.int32)}), TWO_FOLD) == ()
    few = table.select(np.r_[np.arange(8), len(hkl) + np.arange(8)])
    assert correlate_related(few, TWO_FOLD) == ()


def test_settings_are_numbered_as_dials_numbers_them():
    """The 22 settings that DIALS 3.12 finds for a tetragonal cell near a cubic one; scripts name files by number."""
    table = [("cP", 3.5), *[("hR", 3.5)] * 4, *[("tP", 3.5)] * 2, *[("oC", 3.5)] * 2, *[("mC", 3.5)] * 4, ("tP", 0.0),
             ("oC", 0.0), ("oP", 0.0), *[("mC", 0.0)] * 2, *[("mP", 0.0)] * 3, ("aP", 0.0)]
    rng = np.random.default_rng(0)
    made = [Solution(Setting(lattice, delta + rng.uniform(0, 1e-4), np.eye(3), np.eye(3)), ExperimentList(), 1.0, 10,
                     (), recommended=delta == 0.0) for lattice, delta in table]
    made = sorted(made, key=lambda s: (-LATTICES.index(s.setting.lattice), s.setting.delta))
    found = sort_solutions(made)
    assert [(s.setting.lattice, round(s.setting.delta, 1)) for s in found] == table
    assert choose_setting(found).setting.lattice == "tP"
    assert found.index(choose_setting(found)) == len(found) - 9  # bravais_setting_9.expt
