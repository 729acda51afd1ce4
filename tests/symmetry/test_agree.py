"""Data sets come to the axes and the indexing of a reference, whatever file it is."""

from __future__ import annotations

import numpy as np
import pytest
from symmetry_data import TETRAGONAL, make_symmetric, make_wedges

import xdp
from xdp.cli.main import main
from xdp.errors import XdpError
from xdp.symmetry.agree import agree_with_reference


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def reference(folder):
    """Wedges in P4 whose indexing is alike, as found without a reference."""
    found = xdp.find_symmetry(*make_wedges("P4", TETRAGONAL, "k,h,-l", n=10, width=8)[:2])
    xdp.write_experiments("reference.expt", found.experiments)
    xdp.write_reflections("reference.refl", found.reflections)
    return found


@pytest.fixture
def wedges():
    """The same crystals, in the choices that they were drawn in."""
    return make_wedges("P4", TETRAGONAL, "k,h,-l", n=10, width=8)


def find_turned(before, after):
    """For each experiment whether the axis c changed its direction."""
    return [not np.allclose(a.crystal.real_space_matrix[2] / np.linalg.norm(a.crystal.real_space_matrix[2]),
                            b.crystal.real_space_matrix[2] / np.linalg.norm(b.crystal.real_space_matrix[2]), atol=0.05)
            for a, b in zip(before, after, strict=True)]


@pytest.mark.parametrize("kind", ["refl", "mtz"])
def test_each_set_is_indexed_as_the_reference(reference, wedges, kind):
    experiments, table, flips = wedges
    if kind == "mtz":
        assert main(["scale", "reference.expt", "reference.refl"]) == 0
        assert main(["merge", "scaled.expt", "scaled.refl", "output.mtz=reference.mtz"]) == 0
    moved, rows = agree_with_reference(experiments, table, f"reference.{kind}")
    assert {e.crystal.space_group.short_name() for e in moved} == {
        reference.experiments[0].crystal.space_group.short_name()}
    turned = np.array(find_turned(experiments, moved))
    # all or none of those that were drawn in the other choice
    assert np.all(turned == flips) or np.all(turned != flips)
    assert len(rows) == len(table)


def test_reindex_and_symmetry_do_the_same(reference, wedges, folder):
    experiments, table, _ = wedges
    xdp.write_experiments("integrated.expt", experiments)
    xdp.write_reflections("integrated.refl", table)
    assert main(["reindex", "integrated.expt", "integrated.refl", "reference.reflections=reference.refl"]) == 0
    found = xdp.find_symmetry(experiments, table, reference="reference.refl")
    written = xdp.read_reflections("reindexed.refl")
    assert np.array_equal(written["miller_index"], found.reflections["miller_index"])
    assert np.allclose(xdp.read_experiments("reindexed.expt")[3].crystal.real_space_matrix,
                       found.experiments[3].crystal.real_space_matrix)


def test_what_does_not_fit_is_said(reference, wedges, folder):
    experiments, table, _ = wedges
    with pytest.raises(XdpError, match="another crystal"):
        agree_with_reference(*make_symmetric("P4", (45.0, 45.0, 80.0, 90.0, 90.0, 90.0), 30), "reference.refl")
    stranger = make_symmetric("P4", TETRAGONAL, 30)
    with pytest.raises(XdpError, match=r"experiment 0: its intensities agree .* in none of 2 ways"):
        agree_with_reference(*stranger, "reference.refl")
    with pytest.raises(XdpError, match="leave one of them out"):
        xdp.reindex(experiments, table, {"reference.reflections": "reference.refl", "change_of_basis_op": "b,c,a"})
    with pytest.raises(XdpError, match=r"needs reference\.reflections"):
        xdp.reindex(experiments, table, {"reference.experiments": "reference.expt"})
    (folder / "reference.expt").unlink()
    with pytest.raises(XdpError, match=r"reference\.expt is not there"):
        agree_with_reference(experiments, table, "reference.refl")
