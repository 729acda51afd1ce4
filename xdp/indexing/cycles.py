"""Cycles of assignment and refinement, and the correction of indices that are all off by the same whole numbers."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from xdp.errors import XdpError
from xdp.indexing.assign.misindexing import OffsetFit, compare_offsets
from xdp.indexing.crystals import make_basis_crystal
from xdp.indexing.geometry import shift_sweeps
from xdp.indexing.lattice.symmetry import impose_symmetry
from xdp.indexing.options import Indexing
from xdp.indexing.search.beam_search import differentiate_by_shift
from xdp.indexing.spots import ReciprocalSpots, map_spots
from xdp.indexing.state import FEWEST_SPOTS, IndexingState, assign_spots, make_experiments, take_models
from xdp.options.model import Auto
from xdp.refinement.options import Refinement
from xdp.refinement.refine import refine_models
from xdp.refinement.result import Refined

logger = logging.getLogger(__name__)

# The correction of an offset, tried on the random crystals of benchmarks/indexing_stress.py. Offsets are refined whose
# fit is better than that of the present indices by this factor, three at most; and one is taken whose refined residuals
# are smaller by the second factor with nearly as many spots, or that indexes a tenth more.
_BETTER_FIT, _MOST_FITS = 0.9, 3
_BETTER_RMS, _AS_MANY, _MORE = 0.95, 0.95, 1.1
_ROUNDS = 3  # an offset of two is corrected in two rounds


def refine_cycles(state: IndexingState, options: Indexing, refinement: Refinement) -> IndexingState:
    """Assign and refine in turn, towards finer resolution, until the assignment no longer changes.

    Parameters
    ----------
    state : IndexingState
        With crystals.
    options : Indexing
        The cycles (``refinement_protocol``) and the assignment.
    refinement : Refinement
        How models are refined (:meth:`~xdp.refinement.options.Refinement.simplify`).

    Raises
    ------
    XdpError
        If fewer than six spots are indexed.
    """
    protocol = options.refinement_protocol
    previous: np.ndarray | None = None
    for d_min in _list_resolutions(state.spots, options):
        state = assign_spots(state, options, d_min)
        if protocol.mode != "refine_shells":
            continue
        experiments, table = make_experiments(state)
        indexed = table.select(table["id"] >= 0)
        if len(indexed) < FEWEST_SPOTS:
            raise XdpError(f"indexing: only {len(indexed)} spots are indexed, too few to refine; give a known cell or "
                           "a better geometry")
        result = refine_models(experiments, indexed, refinement)
        state = take_models(state, result)
        _log_cycle(state, result, d_min)
        now = state.spots.table["miller_index"]
        if d_min is None and previous is not None and np.array_equal(now, previous):
            break
        previous = now
    return state


def _list_resolutions(spots: ReciprocalSpots, options: Indexing) -> list[float | None]:
    """The resolution limit of each cycle in Å; None: all spots."""
    protocol = options.refinement_protocol
    if protocol.d_min_start is None:
        return [protocol.d_min_final] * protocol.n_macro_cycles
    finest = max(float(spots.d.min()), protocol.d_min_final or 0.0)
    n = protocol.n_macro_cycles
    automatic = (protocol.d_min_start - finest) / max(n - 1, 1)
    step = automatic if isinstance(protocol.d_min_step, Auto) else protocol.d_min_step
    return [max(protocol.d_min_start - k * step, finest) for k in range(n)]


def _log_cycle(state: IndexingState, result: Refined, d_min: float | None) -> None:
    for number, crystal in enumerate(state.crystals):
        cell = " ".join(f"{v:.3f}" for v in crystal.unit_cell)
        logger.info("crystal %d (%d reflections%s): %s", number + 1, state.count_spots(number),
                    "" if d_min is None else f" to {d_min:.2f} Å", cell)
    rms = result.steps[-1].rms
    logger.info("RMSD %.4f mm, %.4f mm, %.4f degrees; %s", rms[0], rms[1], np.degrees(rms[2]), result.reason)


def correct_offset(state: IndexingState, options: Indexing, refinement: Refinement) -> IndexingState:
    """Shift all indices of the first crystal by whole numbers if that fits the spots better.

    Parameters
    ----------
    state : IndexingState
        With one crystal, refined.
    options : Indexing
        How large shifts are compared (``check_misindexing``).
    refinement : Refinement
        How models are refined.

    Returns
    -------
    IndexingState
        The same object if no shift is better.
    """
    scope = options.check_misindexing.grid_search_scope
    if scope == 0 or options.refinement_protocol.mode != "refine_shells":
        return state
    for _ in range(_ROUNDS):
        rows = np.flatnonzero(state.spots.table["id"] == 0)
        slope = differentiate_by_shift(state.sweeps, ReciprocalSpots(state.spots.table.select(rows)))
        fits = compare_offsets(state.spots.points[rows], slope, state.spots.table["miller_index"][rows], scope)
        present = next(f for f in fits if f.dh == (0, 0, 0))
        promising = [f for f in fits if f.rms < _BETTER_FIT * present.rms][:_MOST_FITS]
        better = _find_better_offset(state, promising, options, refinement)
        if better is None:
            return state
        state = better
    return state


def _find_better_offset(state: IndexingState, fits: Sequence[OffsetFit], options: Indexing, refinement: Refinement
                        ) -> IndexingState | None:
    """The first of some offsets of the indices that, refined, has clearly smaller residuals on as many spots."""
    n = state.count_spots(0)
    for fit in fits:
        sweeps = shift_sweeps(state.sweeps, (float(fit.shift[0]), float(fit.shift[1])))
        hall = state.crystals[0].space_group_hall_symbol
        crystal = make_basis_crystal(np.linalg.inv(fit.setting), hall)
        if np.linalg.det(fit.setting) <= 0.0:
            continue  # it has turned into its mirror image
        if hall.strip() != "P 1":
            crystal = impose_symmetry(crystal.real_space_matrix, crystal.space_group)
        shifted = IndexingState(sweeps, map_spots(sweeps, state.spots.table), [crystal])
        trial = refine_cycles(shifted, options, refinement)
        n_trial = trial.count_spots(0)
        is_sharper = trial.rms < _BETTER_RMS * state.rms and n_trial > _AS_MANY * n
        if is_sharper or n_trial > _MORE * n:
            logger.warning("All indices were off by %d, %d, %d: the beam centre was a lattice spacing away; corrected "
                           "(RMSD %.3f mm on %d spots, before %.3f mm on %d)", *fit.dh, trial.rms, n_trial, state.rms,
                           n)
            return trial
    return None
