"""Reference files: indexing that agrees with them, and files that cannot be one."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from symmetry_data import TETRAGONAL, make_symmetric, make_wedges

from xdp.errors import FormatError, XdpError
from xdp.indexing.basis_change import parse_basis_change
from xdp.merging.unique import find_unique
from xdp.symmetry.find import find_symmetry
from xdp.symmetry.reference import read_reference_intensities


def write_reference(path, hkl, intensity, group="P 4", cell=TETRAGONAL, kinds="JQ") -> None:
    """Means of intensities with sigmas of 5 %."""
    unique = find_unique(gemmi.SpaceGroup(group), hkl)
    mean = np.bincount(unique.group, intensity) / np.bincount(unique.group)
    mean = np.sqrt(np.maximum(mean, 0.0)) if kinds[0] == "F" else mean
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup = gemmi.SpaceGroup(group)
    mtz.set_cell_for_all(gemmi.UnitCell(*cell))
    mtz.add_dataset("x")
    for label, kind in (("VALUE", kinds[0]), ("SIGMA", kinds[1])):
        mtz.add_column(label, kind)
    mtz.set_data(np.column_stack([unique.hkl, mean, 0.05 * np.abs(mean) + 1.0]).astype(np.float32))
    mtz.write_to_file(str(path))


@pytest.mark.parametrize("kinds", ["JQ", "FQ"])
def test_every_set_agrees_with_the_reference(tmp_path, kinds):
    experiments, table, flips = make_wedges("P4", TETRAGONAL, "k,h,-l", strangers=(5,))
    true = ~flips[np.asarray(table["id"])] & (np.asarray(table["id"]) != 5)
    write_reference(tmp_path / "a.mtz", table["miller_index"][true],
                    (table["intensity.sum.value"] * table["lp"])[true], kinds=kinds)
    found = find_symmetry(experiments, table, reference=str(tmp_path / "a.mtz"))
    assert list(found.sets.excluded) == [5]
    assert found.verdict.written == "P4"
    # indices are the true ones, but for the four-fold axis
    law, k = parse_basis_change("k,h,-l"), 0
    for number, flip in enumerate(flips):
        if number == 5:
            continue
        hkl = table["miller_index"][np.asarray(table["id"]) == number] @ (law if flip else np.eye(3)).T
        new = found.reflections["miller_index"][np.asarray(found.reflections["id"]) == k]
        np.testing.assert_array_equal(new[:, 2], hkl[:, 2])
        np.testing.assert_array_equal(np.sum(new**2, axis=1), np.sum(hkl**2, axis=1))
        k += 1


def test_a_single_sweep_follows_the_reference(tmp_path):
    experiments, table = make_symmetric("P4", TETRAGONAL, 40)
    law = parse_basis_change("k,h,-l")
    write_reference(tmp_path / "a.mtz", np.round(table["miller_index"] @ law.T).astype(int),
                    table["intensity.sum.value"] * table["lp"])
    found = find_symmetry(experiments, table, reference=str(tmp_path / "a.mtz"))
    np.testing.assert_array_equal(found.reflections["miller_index"][:, 2], -table["miller_index"][:, 2])


def test_files_that_cannot_be_a_reference_are_said(tmp_path):
    experiments, table = make_symmetric("P4", TETRAGONAL, 40)
    (tmp_path / "bad.mtz").write_text("no")
    with pytest.raises(FormatError, match="neither an MTZ nor an mmCIF"):
        read_reference_intensities(tmp_path / "bad.mtz")
    hkl, ones = table["miller_index"], np.ones(len(table))
    write_reference(tmp_path / "none.mtz", hkl, ones, kinds="RR")
    with pytest.raises(FormatError, match="no column of intensities"):
        read_reference_intensities(tmp_path / "none.mtz")
    write_reference(tmp_path / "other.mtz", hkl, ones, cell=(60.0, 60.0, 62.0, 90.0, 90.0, 90.0))
    with pytest.raises(XdpError, match="it is of another crystal"):
        find_symmetry(experiments, table, reference=str(tmp_path / "other.mtz"))
