"""One crystal in several sweeps: its own orientation for each of them."""

from __future__ import annotations

from dataclasses import replace

from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import ExperimentList


def own_crystals(experiments: ExperimentList) -> tuple[ExperimentList, dict[int, int]]:
    """Give every sweep of a crystal its own copy of it.

    Between sweeps a goniometer moves, and not quite to where it says; a crystal slips, and ages. Experiments on one
    scan (several imagesets of it) go on to share theirs, as stills do.

    Returns
    -------
    experiments : ExperimentList
        With copies where a crystal was shared by several scans.
    cells : dict
        ``id`` of each copy -> a number that is no ``id``, the same for all copies of a crystal; empty where nothing
        was shared.
    """
    scans: dict[int, set[int]] = {}
    for e in experiments:
        if not e.is_still:
            scans.setdefault(id(e.crystal), set()).add(id(e.scan))
    shared = [crystal for crystal, own in scans.items() if len(own) > 1]
    copies: dict[tuple[int, int], Crystal] = {}
    cells: dict[int, int] = {}
    result = []
    for e in experiments:
        if e.is_still or id(e.crystal) not in shared:
            result.append(e)
            continue
        copy = copies.setdefault((id(e.crystal), id(e.scan)), replace(e.crystal))
        cells[id(copy)] = -1 - shared.index(id(e.crystal))
        result.append(replace(e, crystal=copy))
    return ExperimentList(result, experiments.extra), cells


def same_cells(cells: dict[int, int], before: ExperimentList, now: ExperimentList) -> dict[int, int]:
    """`cells` of the experiments `before` for the refined ones that took their place."""
    return {id(new.crystal): cells[id(old.crystal)] for old, new in zip(before, now, strict=True)
            if id(old.crystal) in cells}
