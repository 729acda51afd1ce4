"""Twin laws of lattices, and fractions by the H test."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from xdp.intensities.lattice import find_lattice_group, list_proper_rotations, move_rotations
from xdp.intensities.pairs import IntensityPairs
from xdp.intensities.twin_laws import estimate_twin_fraction, list_twin_laws


@pytest.mark.parametrize(("symbol", "cell", "n"), [
    ("P 4", (50, 50, 70, 90, 90, 90), 1), ("P 3", (50, 50, 70, 90, 90, 120), 3),
    ("P 1 2 1", (50, 60, 70, 90, 90, 90), 1),
    ("P 2 3", (50, 50, 50, 90, 90, 90), 1), ("P 4 2 2", (50, 50, 70, 90, 90, 90), 0)])
def test_laws_are_those_of_gemmi(symbol, cell, n):
    group = gemmi.SpaceGroup(symbol)
    axes = np.array(gemmi.UnitCell(*cell).orth.mat.tolist()).T
    lattice = find_lattice_group(axes, np.eye(3))
    mine = move_rotations(list_proper_rotations(group), np.linalg.inv(lattice.from_input))
    number = {r.tobytes(): k for k, r in enumerate(lattice.rotations)}
    laws = list_twin_laws(lattice, tuple(sorted(number[r.tobytes()] for r in mine)))
    assert len(laws) == n == len(gemmi.find_twin_laws(gemmi.UnitCell(*cell), group, 3.0, False))
    moved = [{r.tobytes() for r in move_rotations(lattice.rotations[list(law)], lattice.from_input)} for law in laws]
    for operation in gemmi.find_twin_laws(gemmi.UnitCell(*cell), group, 3.0, False):
        rotation = np.array(operation.rot, np.int64) // operation.DEN
        assert any(rotation.tobytes() in law for law in moved)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.4, 0.5])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_fractions_are_found(fraction, noise):
    rng = np.random.default_rng(2)
    one, two = rng.exponential(size=(2, 20000))
    first, second = np.array([[1.0 - fraction, fraction], [fraction, 1.0 - fraction]]) @ np.stack([one, two])
    first, second = (v + noise * rng.normal(size=len(v)) for v in (first, second))
    variance = np.full(len(one), 2.0 * noise**2)
    found, error = estimate_twin_fraction(IntensityPairs(first + second, first - second, variance, 0.0 * variance))
    # sums have an asymmetric distribution near 0.5, where the error is a square root
    assert found == pytest.approx(fraction, abs=4.0 * error + 0.03)
    assert error < 0.03
