"""One crystal in several sweeps: each with its own orientation, their cell in common, where the data want it."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from refinement_data import BEAM, DETECTOR, SIGMA, observed, still, sweep

from xdp.experiment.experiment import ExperimentList
from xdp.refinement.equations.restraints import prior
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.rotations import rotation
from xdp.refinement.parameters.setup import build_problem
from xdp.refinement.parameters.sweeps import own_crystals, same_cells
from xdp.refinement.reduction import reduced_problem
from xdp.refinement.refine import _observations, refine_models
from xdp.refinement.robust import robust_fit, thinned
from xdp.refinement.selection import with_mm
from xdp.reflections.flags import Flag
from xdp.simulation.compare import misorientation
from xdp.simulation.models import make_goniometer

TURNS = np.radians([0.0, 0.3, -0.25])  # what the goniometer is off between sweeps


def sweeps(turns: np.ndarray = TURNS, n_frames: int = 20, width: float = 1.0) -> ExperimentList:
    """Sweeps of one crystal that stands at three angles of a second axis, off by `turns` about a third one."""
    first = sweep(n_frames, width)
    result = []
    for number, turn in enumerate(turns):
        tilt = rotation(np.array([0.0, 1.0, 0.0]), np.radians(40.0 * number))
        goniometer = replace(make_goniometer(), fixed_rotation=tuple(map(float, tilt.ravel())))
        off = rotation(np.array([0.0, 0.6, 0.8]), turn) @ first.crystal.U @ first.crystal.B
        a, b, c = (tuple(map(float, row)) for row in np.linalg.inv(off))
        crystal = replace(first.crystal, real_space_a=a, real_space_b=b, real_space_c=c)
        result.append(replace(first, crystal=crystal, goniometer=goniometer, scan=replace(first.scan),
                              identifier=f"sweep {number}"))
    return ExperimentList(result)


def as_one_crystal(experiments: ExperimentList) -> ExperimentList:
    """The experiments as joint indexing hands them on: all with the crystal of the first, which is the same object."""
    return ExperimentList([replace(e, crystal=experiments[0].crystal) for e in experiments])


def options(scan_varying: bool | None = None, **parts) -> Refinement:
    """Options; None leaves scan_varying to Auto."""
    chosen = {} if scan_varying is None else {"scan_varying": scan_varying}
    return Refinement.model_validate({"parameterisation": chosen | parts})


def seen(experiments: ExperimentList, table) -> list:
    """The observations of each experiment, as refinement takes them."""
    return _observations(experiments, with_mm(experiments, table), options())[0]


@pytest.fixture(scope="module")
def slipped():
    """Sweeps whose crystal is not quite where the goniometer says, and their spots."""
    truth = sweeps()
    return truth, observed(truth, n=150, d_min=3.0)


def test_each_sweep_gets_its_own_orientation_and_all_the_same_cell(slipped, caplog):
    truth, table = slipped
    with caplog.at_level(logging.INFO):
        result = refine_models(as_one_crystal(truth), table)
    assert "each with its own orientation" in caplog.text
    # detector, beam and crystals may turn together, mostly about the beam: 0.04 deg uncertain; two of them
    turned = [e.crystal.U @ true.crystal.U.T for e, true in zip(result.experiments, truth, strict=True)]
    np.testing.assert_allclose(turned, np.tile(np.eye(3), (3, 1, 1)), atol=np.radians(0.08))
    # against each other the sweeps are 0.3 deg apart; such a turn together is not the same in each one's frame
    np.testing.assert_allclose(turned[1:], [turned[0]] * 2, atol=np.radians(0.06))
    cells = [e.crystal.unit_cell for e in result.experiments]
    np.testing.assert_allclose(cells[1:], cells[:1] * 2, rtol=1e-10)
    np.testing.assert_allclose(cells[0], truth[0].crystal.unit_cell, rtol=2e-3)
    assert len(result.experiments.unique("crystal")) == 3
    assert len(result.experiments.unique("detector")) == 1
    expected = SIGMA * [0.172, 0.172, np.radians(1.0)]
    # what remains are the errors put in, less the outliers' tails and what 33 parameters take of 450 spots
    np.testing.assert_allclose(result.rmsds, np.tile(expected, (3, 1)), rtol=0.25)
    assert np.mean(result.reflections.flags(Flag.USED_IN_REFINEMENT)) > 0.6


def test_static_refinement_keeps_the_one_crystal(slipped):
    truth, table = slipped
    result = refine_models(as_one_crystal(truth), table, options(False))
    assert len(result.experiments.unique("crystal")) == 1
    assert np.any(result.rmsds > 2.5 * SIGMA * [0.172, 0.172, np.radians(1.0)])


def test_a_crystal_that_stays_where_it_is_stays_one():
    truth = sweeps(np.zeros(3))
    table = observed(truth, n=150, d_min=3.0)
    result = refine_models(as_one_crystal(truth), table)
    assert len(result.experiments.unique("crystal")) == 1
    assert result.experiments[0].crystal.A_at_scan_points is None
    forced = refine_models(as_one_crystal(truth), table, options(True))
    assert len(forced.experiments.unique("crystal")) == 3
    assert all(len(e.crystal.A_at_scan_points) == 21 for e in forced.experiments)


def test_a_sweep_with_few_spots_keeps_its_orientation_and_the_common_cell(slipped, caplog):
    """Six spots are enough for three angles; a cell of its own and a drift they cannot tell."""
    truth, table = slipped
    few = table.select(np.flatnonzero((table["id"] < 2) | (np.cumsum(table["id"] == 2) % 25 == 1)))
    result = refine_models(as_one_crystal(truth), few, options(True))
    crystals = [e.crystal for e in result.experiments]
    assert crystals[2].A_at_scan_points is None
    assert crystals[0].A_at_scan_points is not None
    assert misorientation(crystals[2], truth[2].crystal) < 0.15  # of 0.25 and 0.3 deg that it was off


def test_copies_are_made_for_scans_that_share_a_crystal_only():
    one = sweep()
    same_scan = replace(one, identifier="other images of it")
    alone = replace(sweep(seed=3), scan=replace(one.scan))
    snapshot = replace(still(1), crystal=one.crystal)
    lone, cells = own_crystals(ExperimentList([one, same_scan, alone, snapshot]))
    assert not cells
    assert lone[0].crystal is one.crystal
    second = replace(one, scan=replace(one.scan))
    split, cells = own_crystals(ExperimentList([one, same_scan, second, alone, snapshot]))
    assert split[0].crystal is split[1].crystal
    assert split[0].crystal is not split[2].crystal
    assert split[0].crystal == split[2].crystal
    assert split[3].crystal is alone.crystal
    assert split[4].crystal is one.crystal
    assert sorted(cells.values()) == [-1, -1]
    moved = ExperimentList([replace(e, crystal=replace(e.crystal)) for e in split])
    assert set(same_cells(cells, split, moved)) == {id(moved[0].crystal), id(moved[1].crystal), id(moved[2].crystal)}


def test_a_common_cell_is_one_set_of_parameters():
    truth = as_one_crystal(sweeps())
    table = observed(truth, n=50, d_min=3.0)
    experiments, cells = own_crystals(truth)
    data = seen(experiments, table)
    together = build_problem(experiments, data, options().parameterisation, cells=cells)
    apart = build_problem(experiments, data, options().parameterisation)
    assert [name[0] for name in together.slots].count("cell") == 1
    assert apart.size - together.size == 2 * 2  # a and c of two tetragonal cells
    assert together.of("cell", experiments[2].crystal) == together.of("cell", experiments[0].crystal)
    varying = build_problem(experiments, data, options().parameterisation, scan_varying=True, cells=cells)
    assert [name[0] for name in varying.slots].count("cell") == 3


def test_robust_fit_finds_turned_crystals_among_many_outliers():
    truth = sweeps()
    table = observed(truth, n=60, d_min=3.0)
    rng = np.random.default_rng(5)
    wrong = rng.random(len(table)) < 0.3
    xyz = table["xyzobs.px.value"] + np.where(wrong[:, None], rng.normal(size=(len(table), 3)) * [15, 15, 4], 0.0)
    experiments, cells = own_crystals(as_one_crystal(truth))
    data = seen(experiments, table.with_columns(**{"xyzobs.px.value": xyz}))
    problem = reduced_problem(experiments, data, options().parameterisation, cells=cells)
    found = robust_fit(experiments, problem)
    for e, true in zip(found, truth, strict=True):
        # 40 good spots; what sticks out is pulled down by its weight, not gone: a tenth of the slips is left at most
        assert misorientation(e.crystal, true.crystal) < 0.05


def test_thinning_keeps_small_sweeps_and_shortens_large_ones():
    one = ExperimentList([sweep()])
    table = observed(one, n=600)
    data = seen(one, table)
    assert len(thinned(data)[0]) == 600
    large = data[0].select(np.tile(np.arange(600), 11))
    assert 2000 <= len(thinned([large])[0]) < 4000


def test_prior_matches_models_of_problems_with_different_crystals(slipped):
    """The static problem has a common cell, the varying one a cell for each sweep: detector and beam are the same."""
    from xdp.refinement.equations import engine
    from xdp.refinement.equations.problem import normal_equations

    truth, table = slipped
    experiments, cells = own_crystals(as_one_crystal(truth))
    data = seen(experiments, table)
    fits = []
    for varying in (False, True):
        problem = build_problem(experiments, data, options().parameterisation, scan_varying=varying, cells=cells)
        normals = [normal_equations(part, np.zeros(problem.size)) for part in problem.parts]
        fits.append((problem, engine.covariance(normals, problem.size, 3 * len(table))))
    terms = prior(*fits[1], *fits[0], 1.0)
    tied = {fits[1][0].names()[k] for term in terms for k in term(np.zeros(fits[1][0].size)).columns}
    assert tied <= {"Mu2", "Dist", "Shift1", "Shift2", "Tau1", "Tau2", "Tau3"}
    assert BEAM is experiments[0].beam
    assert DETECTOR is experiments[1].detector
