"""The Bravais lattice of a cell with a known error, and the cell that it makes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.experiment.crystal import Crystal, cell_of
from xdp.indexing.lattice.bravais import Setting, find_bravais_settings
from xdp.indexing.lattice.symmetry import make_lattice_crystal
from xdp.serial.consensus.common_cell import CommonCell

_MAX_DELTA = 2.0    # degrees by which a symmetry is looked at; the errors decide
_SIGMAS = 4.0       # standard errors by which a cell may break a symmetry
# What strains may be besides. Wrong distances and tilts of the detector strain the lattices of all shots alike along
# the beam, by some 1 %: that of a detector 100 mm away that is wrong by 1 mm. Crystals in all orientations average that
# out; crystals in one orientation do not. The rest is for what does not average out. Both are choices; the first was
# tried on five shots of one orientation (shared/data/indexing_spot_lists), strained by 0.5 %.
_GEOMETRY, _DISTORTION = 0.01, 0.001


@dataclass(frozen=True)
class LatticeType:
    """A cell made to obey its lattice's symmetry.

    Attributes
    ----------
    setting : Setting
        The Bravais type and the conventional axes.
    crystal : Crystal
        In the lowest space group of the type, on the conventional axes.
    error : tuple of six float
        Standard errors of the cell, Å and degrees; 0 where symmetry fixes the number.
    """

    setting: Setting
    crystal: Crystal
    error: tuple[float, ...]


def find_cell_symmetry(cell: CommonCell) -> LatticeType:
    """Find the highest symmetry that a common cell obeys within its error.

    Parameters
    ----------
    cell : CommonCell
        With the cells that result when each shot is left out, from which the error follows.

    Returns
    -------
    LatticeType
    """
    settings = find_bravais_settings(cell.basis, _MAX_DELTA)
    strain = np.hypot(_DISTORTION, _GEOMETRY * measure_alignment(cell))
    for setting in settings:
        free, free_error = _measure(cell, setting, is_constrained=False)
        constrained, error = _measure(cell, setting, is_constrained=True)
        # a shear changes an angle by twice its own size
        allowed = np.hypot(_SIGMAS * free_error, strain * np.append(free[:3], [np.degrees(2.0)] * 3))
        if np.all(np.abs(constrained - free) <= allowed) or setting is settings[-1]:
            return LatticeType(setting, make_lattice_crystal(setting), tuple(float(e) for e in error))
    raise AssertionError("the triclinic setting always fits")


def measure_alignment(cell: CommonCell) -> float:
    """Measure how much alike the shots' orientations to the beam are: 0 of many at random, 2/3 if all are the same.

    It is the largest eigenvalue, apart from sign, of the mean of n n^T - 1/3, n the beam in the crystal's frame.
    """
    # the rays of a shot lie about the beam
    beams = [p.rotation.T @ p.shot.rays.mean(axis=0) for p in cell.placements]
    unit = np.array([n / np.linalg.norm(n) for n in beams])
    return float(np.abs(np.linalg.eigvalsh(unit.T @ unit / len(unit) - np.eye(3) / 3.0)).max())


def _measure(cell: CommonCell, setting: Setting, *, is_constrained: bool) -> tuple[np.ndarray, np.ndarray]:
    """The conventional cell and its jackknife errors, (6,) each, with or without the symmetry."""
    def describe(b: np.ndarray) -> np.ndarray:
        axes = setting.transform @ np.linalg.inv(b)
        if not is_constrained:
            return np.asarray(cell_of(axes))
        own = Setting(setting.lattice, setting.delta, setting.transform, axes)
        return np.asarray(make_lattice_crystal(own).unit_cell)

    several = np.array([describe(b) for b in cell.left_out])
    n = len(several)
    # one shot has no jackknife: its error is unknown, which lets no symmetry through but by the distortion
    spread = np.sqrt((n - 1) / n * np.sum((several - several.mean(axis=0)) ** 2, axis=0)) if n > 1 else np.zeros(6)
    return describe(cell.b), spread
