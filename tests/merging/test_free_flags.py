"""The test set: its size, its symmetry, and that it does not depend on what was measured."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from scaling_data import make_scaled

import xdp
from xdp.errors import XdpError
from xdp.merging.free_flags import choose_free, extend_free, read_free_flags
from xdp.merging.output.mmcif import write_mmcif_file


def make_indices(group):
    return np.asarray(gemmi.make_miller_array(gemmi.UnitCell(60, 60, 60, 90, 90, 90), group, 2.5))


def test_sets_are_of_equal_size():
    sets = choose_free(make_indices(gemmi.SpaceGroup("P 4")), gemmi.SpaceGroup("P 4"), 0.1)
    counts = np.bincount(sets.astype(int))
    assert len(counts) == 10
    # 160 to 500 of a set: by chance within four standard deviations
    assert np.all(np.abs(counts - counts.mean()) < 4 * np.sqrt(2 * counts.mean()))


def test_what_a_twin_operator_joins_is_in_one_set():
    group = gemmi.SpaceGroup("P 4")
    hkl = make_indices(group)
    sets = {tuple(h): s for h, s in zip(hkl.tolist(), choose_free(hkl, group, 0.05), strict=True)}
    pairs = [(h, (h[1], h[0], h[2])) for h in sets if h[0] != h[1] and (h[1], h[0], h[2]) in sets]
    assert len(pairs) > 100
    assert all(sets[a] == sets[b] for a, b in pairs)


def test_the_choice_follows_from_index_and_seed_alone():
    group = gemmi.SpaceGroup("P 21 21 21")
    hkl = make_indices(group)
    whole, part = choose_free(hkl, group, 0.05), choose_free(hkl[::3], group, 0.05)
    assert np.array_equal(whole[::3], part)
    assert not np.array_equal(whole, choose_free(hkl, group, 0.05, seed=1))


def write_flags(path, hkl, flags, label="FreeR_flag", symbol="P 4"):
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup, mtz.cell = gemmi.SpaceGroup(symbol), gemmi.UnitCell(50, 50, 60, 90, 90, 90)
    mtz.add_dataset("x")
    mtz.add_column(label, "I")
    mtz.set_data(np.column_stack([hkl, np.broadcast_to(flags, len(hkl))]).astype(np.float32))
    mtz.write_to_file(str(path))


def list_hkl(d_min, symbol="P 4"):
    return gemmi.make_miller_array(gemmi.UnitCell(50, 50, 60, 90, 90, 90), gemmi.SpaceGroup(symbol), d_min)


@pytest.mark.parametrize("label", ["FreeR_flag", "R-free-flags"])
def test_flags_of_a_file_are_kept_and_extended(tmp_path, label):
    group, old = gemmi.SpaceGroup("P 4"), list_hkl(4.0)
    if label == "FreeR_flag":
        flags = choose_free(old, group, 0.05, seed=7)
        test = 0
    else:
        flags = (choose_free(old, group, 0.1, seed=7) == 0).astype(float)
        test = 1
    write_flags(tmp_path / "old.mtz", old, flags, label)
    reference = read_free_flags(tmp_path / "old.mtz")
    assert (reference.test, reference.label) == (test, label)
    new = list_hkl(2.5)
    found = extend_free(new, group, reference)
    at = {tuple(h): k for k, h in enumerate(new.tolist())}
    assert np.array_equal(found[[at[tuple(h)] for h in old.tolist()]], flags)
    # the share of the test set is the file's, within four standard errors of pairs that go together
    fraction = np.mean(found == test)
    assert fraction == pytest.approx(reference.fraction, abs=4.0 * np.sqrt(2.0 * reference.fraction / len(new)))
    # mates of twins by the lattice's symmetry are in one set, except where the file has set them apart
    row = [at.get((k, h, m), n) for n, (h, k, m) in enumerate(new.tolist())]
    assert np.mean(found == found[row]) > 0.99


def test_flags_of_another_setting_of_indices_are_found(tmp_path):
    """The file may have other equivalents: -h,-k,l is h,k,l of P4, and mates are one."""
    group, old = gemmi.SpaceGroup("P 4"), list_hkl(4.0)
    flags = choose_free(old, group, 0.05, seed=7)
    write_flags(tmp_path / "old.mtz", old * [-1, -1, -1], flags)
    assert np.array_equal(extend_free(old, group, read_free_flags(tmp_path / "old.mtz")), flags)


def test_files_without_a_test_set_are_refused(tmp_path):
    write_flags(tmp_path / "a.mtz", list_hkl(8.0), 0.0, label="BATCH")
    with pytest.raises(XdpError, match="no column of a test set"):
        read_free_flags(tmp_path / "a.mtz")
    write_flags(tmp_path / "b.mtz", list_hkl(8.0), 0.0)
    with pytest.raises(XdpError, match="all reflections are in one set"):
        read_free_flags(tmp_path / "b.mtz")
    (tmp_path / "c.mtz").write_text("no MTZ")
    with pytest.raises(XdpError, match="cannot be read"):
        read_free_flags(tmp_path / "c.mtz")
    with pytest.raises(XdpError, match="cannot be read"):
        read_free_flags(tmp_path / "none.cif")


def test_our_own_mmcif_is_a_reference(tmp_path):
    experiments, table = make_scaled()
    first = xdp.merge(experiments, table, **{"free_flags.seed": 3})
    write_mmcif_file(tmp_path / "first.cif", first)
    again = xdp.merge(experiments, table, **{"free_flags.reference": tmp_path / "first.cif"})
    assert np.array_equal(again.columns["FreeR_flag"] == 0, first.columns["FreeR_flag"] == 0) or np.array_equal(
        again.columns["FreeR_flag"] == 1, first.columns["FreeR_flag"] == 0)
