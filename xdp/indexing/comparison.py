"""Refined trials compared: which orientation of a known cell fits best, and whether a further lattice spoils others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xdp.experiment.crystal import Crystal
from xdp.indexing.crystals import NoFurtherLattice
from xdp.indexing.lattice.symmetry import find_primitive_change, match_known_symmetry
from xdp.indexing.options import Indexing, KnownSymmetry
from xdp.indexing.state import IndexingState

# The numbers below are choices. They were tried on the lattices of benchmarks/indexing_stress.py, none of which they
# refuse, and on the crystals with structured noise of benchmarks/indexing_junk.py.
_AS_MANY = 0.9  # of the spots of the fit that has most: another fit with so many may be the better one
# A further lattice is refused that makes the residuals of an earlier one, along any coordinate, larger by this factor;
_WORSE = 1.2
# or whose own residuals are larger than those of the loosest earlier lattice by this factor along both detector axes,
# or in angle: a loose heap of spots is no crystal.
_LOOSE = 3.0
_CHECKED = 6  # spots of an earlier lattice that must be left


def choose_trial(trials: Sequence[IndexingState], options: Indexing) -> IndexingState:
    """Choose the fit with the smallest residuals among those that index nearly the most spots with their new crystal.

    Parameters
    ----------
    trials : sequence of IndexingState
        Refined, each with another last crystal; at least one.
    options : Indexing
        With the known symmetry: a crystal that refinement has led away from it is passed over, if others are left.
    """
    if len(trials) == 1:
        return trials[0]
    known = options.known_symmetry
    true = [t for t in trials if known.unit_cell is None or _agrees(t.crystals[-1], known)] or list(trials)
    counts = [t.count_spots(len(t.crystals) - 1) for t in true]
    return min((t for t, n in zip(true, counts, strict=True) if n >= _AS_MANY * max(counts)), key=lambda t: t.rms)


def _agrees(crystal: Crystal, known: KnownSymmetry) -> bool:
    """Whether a crystal still has the known cell and space group."""
    axes = find_primitive_change(crystal.space_group) @ crystal.real_space_matrix
    return bool(match_known_symmetry(axes, known))


def check_new_lattice(before: IndexingState, after: IndexingState) -> None:
    """Compare the joint fit with a further lattice with the fit before, lattice by lattice.

    Parameters
    ----------
    before, after : IndexingState
        Refined without and with the further lattice, the last one.

    Raises
    ------
    NoFurtherLattice
        If the further lattice spoils the fit of an earlier one, or fits much worse itself.
    """
    if not len(before.lattice_rms) or not len(after.lattice_rms):
        return  # nothing was refined (refinement_protocol.mode)
    old, new = before.lattice_rms, after.lattice_rms
    for number in range(len(old)):
        if after.count_spots(number) < _CHECKED or np.any(new[number] > _WORSE * old[number]):
            raise NoFurtherLattice(f"one more would spoil the fit of crystal {number + 1} (RMSD "
                                   f"{_format_rms(new[number])}, without it {_format_rms(old[number])})")
    loose = new[-1] > _LOOSE * old.max(axis=0)
    if loose[:2].all() or loose[2]:
        raise NoFurtherLattice(f"the spots left over fit one too badly (RMSD {_format_rms(new[-1])}, of the crystals "
                               f"before it at most {_format_rms(old.max(axis=0))})")


def _format_rms(rms: np.ndarray) -> str:
    return f"{rms[0]:.3f} mm, {rms[1]:.3f} mm, {np.degrees(rms[2]):.3f} degrees"
