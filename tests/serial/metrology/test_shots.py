"""Packs of shots: rows in the order of shots, settings that obey their symmetry, what is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from metrology_data import make_shots

from xdp.errors import XdpError
from xdp.experiment import ExperimentList
from xdp.reflections.flags import Flag
from xdp.serial.metrology import shots as module
from xdp.serial.metrology.shots import ShotPack, SymmetryKinds, check_shots, find_sound_rows, pack_stills

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def data():
    return make_shots(7, {}, n_spots=15)[1:]


def test_rows_that_do_not_serve_are_left_out(data):
    experiments, table = data
    flags, ids, panel = table["flags"].copy(), table["id"].copy(), table["panel"].copy()
    index = table["miller_index"].copy()
    flags[0] &= ~np.uint64(Flag.INDEXED)
    flags[1] |= np.uint64(Flag.OVERLOADED)
    ids[2], panel[3], index[4] = -1, 99, 0
    rows = find_sound_rows(experiments, table.with_columns(flags=flags, id=ids, panel=panel, miller_index=index), 16)
    assert rows.tolist() == list(range(5, len(table)))


def test_packs_hold_the_shots_in_order(data, monkeypatch):
    monkeypatch.setattr(module, "SHOTS_OF_A_CHUNK", 3)
    experiments, table = data
    order = np.random.default_rng(1).permutation(len(table))
    packs, _ = pack_stills(experiments, table.select(order), experiments[0].known.detector, 1e4)
    assert [pack.shots.tolist() for pack in packs] == [[0, 1, 2], [3, 4, 5], [6]]
    mixed = table.select(order)
    for pack in packs:
        ids = np.repeat(pack.shots, np.diff(pack.spots.start))
        assert np.array_equal(mixed["id"][pack.rows], ids)
        assert np.array_equal(mixed["miller_index"][pack.rows], pack.spots.hkl)
        again = ShotPack.from_arrays(pack.to_arrays())
        assert np.array_equal(again.spots.xy, pack.spots.xy)


def test_settings_are_brought_into_their_symmetry(data):
    experiments, _ = data
    crystal, kinds = experiments[0].known.crystal, SymmetryKinds()
    kind = kinds.find(crystal.space_group_hall_symbol, crystal.A, crystal.space_group, True)
    assert kinds.counts == [2]  # tetragonal: a and c
    off = crystal.A @ (np.eye(3) + 1e-3 * np.random.default_rng(1).normal(size=(3, 3)))
    a = kinds.symmetrise(off, kind)
    metric = a.T @ a
    assert metric[0, 0] == pytest.approx(metric[1, 1], rel=1e-10)
    assert np.abs(metric - np.diag(np.diag(metric))).max() < 1e-12
    held = SymmetryKinds()
    held.find(crystal.space_group_hall_symbol, crystal.A, crystal.space_group, False)
    assert held.counts == [0]


def test_scans_and_missing_columns_are_refused(data):
    experiments, table = data
    check_shots(experiments, table)
    with pytest.raises(XdpError, match="no column panel"):
        check_shots(experiments, type(table)({k: table[k] for k in table if k != "panel"}))
    from xdp.simulation.models import make_goniometer, make_scan

    scan = replace(experiments[0], scan=make_scan(10, 0.5), goniometer=make_goniometer())
    with pytest.raises(XdpError, match="is a scan"):
        check_shots(ExperimentList([scan]), table)
