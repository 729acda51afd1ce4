"""The crystal forms of a run whose cell is not known, from the hits of its beginning, before all shots are indexed."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from xdp.indexing.options import KnownSymmetry
from xdp.serial.consensus.candidates import ShotCandidates, pool_shot
from xdp.serial.consensus.find import Consensus, find_consensus
from xdp.serial.consensus.options import ConsensusOptions
from xdp.serial.consensus.pool import merge_pools

if TYPE_CHECKING:
    from xdp.serial.process.shot import ShotProcessor

log = logging.getLogger(__name__)

HITS = 40
"""Hits that are pooled: from the third dozen on a shot is to cost what it costs with a known cell (the issue's words);
15 hits of stills_dev give its cell within 0.1 %, and rarer forms need some more."""


def pool_shots(processor: ShotProcessor, options: ConsensusOptions, shots: Sequence[int]) -> list[ShotCandidates]:
    """Find the candidate cells of the hits among some shots: one task.

    Parameters
    ----------
    processor : ShotProcessor
    options : ConsensusOptions
    shots : sequence of int
        Their numbers among the events.

    Returns
    -------
    list of ShotCandidates
        One a hit. Shots that fail are left out: they are recorded when they are processed.
    """
    found = []
    for number in shots:
        try:
            hit = processor.find_hit(number)
            if hit is not None:
                experiment, spots = hit
                # the number orders the pool, and is the same in each run
                found.append(pool_shot(spots, experiment, options, key=f"{number:09d}"))
        except Exception as error:
            log.debug("shot %d is not pooled: %s", number, error)
    return found


def find_forms(results: Generator[list[ShotCandidates], None, None], options: ConsensusOptions,
               advance: Callable[[int], Any] | None = None) -> Consensus:
    """Find the crystal forms of a run from the candidates of its shots as they come.

    Parameters
    ----------
    results : generator of list of ShotCandidates
        In the order of the shots; it is closed as soon as there are enough hits.
    options : ConsensusOptions
    advance : callable, optional
        Told how many hits have come.

    Returns
    -------
    Consensus
    """
    pooled: list[ShotCandidates] = []
    with contextlib.closing(results):
        for found in results:
            pooled += found
            if advance is not None:
                advance(len(found))
            if len(pooled) >= HITS:
                break
    # the same hits, however many came with the last task
    return find_consensus(merge_pools(pooled[:HITS], options.max_shots), options)


def list_known_forms(consensus: Consensus, known: KnownSymmetry) -> list[KnownSymmetry]:
    """List the forms of a run as cells that are known from then on.

    Parameters
    ----------
    consensus : Consensus
    known : KnownSymmetry
        Tolerances; its space group takes the place of the lattice's where a form's cell obeys it.

    Returns
    -------
    list of KnownSymmetry
        In the order of the forms.
    """
    forms = []
    for form in consensus.forms:
        group = known.space_group if known.space_group is not None and len(consensus.forms) == 1 and fits_group(
            form.unit_cell, known.space_group) else form.space_group
        cell = tuple(float(v) for v in form.unit_cell)
        forms.append(known.model_copy(update={"unit_cell": cell, "space_group": group}))
    return forms


def fits_group(cell: Sequence[float], group: str) -> bool:
    """Whether a cell obeys a space group; those of crystal forms obey their lattice exactly.

    Parameters
    ----------
    cell : sequence of six float
        Å and degrees.
    group : str
        Symbol.

    Examples
    --------
    >>> fits_group((79.3, 79.3, 37.8, 90.0, 90.0, 90.0), "P43212"), fits_group((50, 65, 90, 90, 105, 90), "P43212")
    (True, False)
    """
    import gemmi

    from xdp.indexing.lattice.symmetry import find_space_group

    symbol = find_space_group(group).xhm()
    found = gemmi.find_spacegroup_by_name(symbol)
    return found is None or gemmi.UnitCell(*cell).is_compatible_with_spacegroup(found, 0.01)


def describe_forms(consensus: Consensus) -> str:
    """Describe the crystal forms of a run, for the log.

    Parameters
    ----------
    consensus : Consensus

    Returns
    -------
    str
    """
    if not consensus.forms:
        return (f"The first {consensus.n_shots} hits have no cell in common: each shot is searched alone. A known cell "
                "(indexing.known_symmetry.unit_cell) finds far more")
    lines = [f"Cells that the first {consensus.n_shots} hits have in common:"]
    for form in consensus.forms:
        cell = " ".join(f"{v:.2f}" for v in form.unit_cell)
        error = max(form.error[:3])
        lines.append(f"  {form.lattice} {cell} (axes to {error:.2f} Å), {len(form.shots)} hits; indexed as "
                     f"{form.space_group}")
    return "\n".join(lines)
