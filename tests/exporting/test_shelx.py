"""SHELX files: fixed columns, scale and symmetry cards."""

from __future__ import annotations

import dataclasses

import gemmi
import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.experiment import ExperimentList
from xdp.exporting.options import MtzOptions, ShelxOptions
from xdp.exporting.shelx import find_cell_errors, scale_into, symmetry_cards, write_shelx


def test_shelx_rows_have_fixed_columns(make_experiments, make_integrated, tmp_path):
    table = make_integrated()
    names = ShelxOptions(hklout=str(tmp_path / "a.hkl"), ins=str(tmp_path / "a.ins"))
    assert write_shelx(make_experiments(), table, ("profile",), names) == 40
    lines = (tmp_path / "a.hkl").read_text().splitlines()
    assert {len(line) for line in lines} == {28}
    assert lines[-1].split() == ["0", "0", "0", "0.00", "0.00"]
    rows = np.array([[int(line[4 * i:4 * i + 4]) for i in range(3)] + [float(line[12:20])] for line in lines[:-1]])
    np.testing.assert_array_equal(rows[:, :3], table["miller_index"])
    expected = table["intensity.prf.value"] * table["lp"] / table["qe"]
    np.testing.assert_allclose(rows[:, 3], expected * 9999.0 / expected.max(), rtol=1e-3, atol=0.006)
    ins = (tmp_path / "a.ins").read_text()
    assert ins.startswith("TITL 96 in P43212\nCELL  0.97950  79.3400  79.3400  37.8100   90.000")


def test_shelx_scale_can_be_left_alone(make_experiments, make_integrated, tmp_path):
    table = make_integrated()
    names = {"hklout": str(tmp_path / "a.hkl"), "ins": str(tmp_path / "a.ins")}
    write_shelx(make_experiments(), table, ("sum",), ShelxOptions(scale=False, **names))
    first = float((tmp_path / "a.hkl").read_text()[12:20])
    assert first == pytest.approx(table["intensity.sum.value"][0] * table["lp"][0] / table["qe"][0], abs=0.006)
    assert scale_into(np.array([-10.0, 5.0]), np.array([1.0, 1.0]), (-99.0, 9999.0)) == pytest.approx(9.9)
    table["intensity.sum.value"] *= 1e9
    with pytest.raises(XdpError, match="eight columns"):
        write_shelx(make_experiments(), table, ("sum",), ShelxOptions(scale=False, **names))


def test_two_kinds_are_too_many_for_shelx(make_experiments, make_integrated):
    with pytest.raises(XdpError, match="one kind"):
        write_shelx(make_experiments(), make_integrated(), ("sum", "profile"))


@pytest.mark.parametrize(("name", "latt", "n_symm"), [
    ("P 1", -1, 0), ("P -1", 1, 0), ("C 1 2 1", -7, 1), ("P 1 21/c 1", 1, 1), ("F m -3 m", 4, 23), ("R 3:H", -3, 2),
    ("R 3:R", -1, 2), ("I 41", -2, 3), ("P 43 21 2", -1, 7)])
def test_symmetry_cards_say_what_shelx_does_not_imply(name, latt, n_symm):
    cards = symmetry_cards(gemmi.SpaceGroup(name))
    assert cards[0] == f"LATT {latt}"
    assert len(cards) == 1 + n_symm


def with_covariance(experiment, sigma: float):
    """The experiment with a crystal whose B has equal uncertainties, without correlation."""
    crystal = experiment.crystal
    extra = crystal.extra | {"B_covariance": (np.eye(9) * sigma**2).ravel().tolist()}
    return dataclasses.replace(experiment, crystal=dataclasses.replace(crystal, extra=extra))


def read_zerr(path) -> list[float]:
    """The numbers of the card ZERR; none if it is not there."""
    cards = [line.split() for line in path.read_text().splitlines()]
    return next(([float(v) for v in card[1:]] for card in cards if card[0] == "ZERR"), [])


def test_zerr_of_several_experiments_with_one_cell(make_experiments, make_integrated, tmp_path):
    """Sweeps of one crystal: refinement gave its cell its uncertainties."""
    one = with_covariance(make_experiments()[0], 1e-6)
    both = ExperimentList([one, with_covariance(make_experiments(2)[1], 1e-6)])
    names = ShelxOptions(hklout=str(tmp_path / "a.hkl"), ins=str(tmp_path / "a.ins"))
    write_shelx(both, make_integrated(n_experiments=2), ("profile",), names)
    z, a, _, c, *_ = read_zerr(tmp_path / "a.ins")
    assert z == 8
    assert a == pytest.approx(79.34**2 * 1e-6, rel=0.02)  # sigma(a) = a² sigma(a*); the card has four decimals
    assert c == pytest.approx(37.81**2 * 1e-6, abs=6e-5)
    write_shelx(both, make_integrated(n_experiments=2), ("profile",), names, MtzOptions(best_unit_cell=(
        79.0, 79.0, 38.0, 90.0, 90.0, 90.0)))
    assert read_zerr(tmp_path / "a.ins") == []  # uncertainties of another cell


def test_zerr_of_different_cells_is_the_error_of_their_mean(make_experiments):
    crystals = [dataclasses.replace(make_experiments()[0].crystal, real_space_c=(0.0, 0.0, c), real_space_a=(
        79.0, 0.0, 0.0), real_space_b=(0.0, 79.0, 0.0)) for c in (37.0, 38.0, 39.0)]
    found = find_cell_errors(ExperimentList([dataclasses.replace(make_experiments()[0], crystal=c) for c in crystals]))
    np.testing.assert_allclose(found, [0, 0, 1 / np.sqrt(3), 0, 0, 0], atol=1e-12)


def test_intensities_of_nothing_are_written_as_they_are():
    assert scale_into(np.zeros(3), np.zeros(3), (-9999.0, 9999.0)) == 1.0
