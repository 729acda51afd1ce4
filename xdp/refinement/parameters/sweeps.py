"""One crystal in several sweeps: its own orientation for each of them."""

from __future__ import annotations

from dataclasses import replace

from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import ExperimentList


def copy_shared_crystals(experiments: ExperimentList) -> tuple[ExperimentList, dict[int, int]]:
    """Give every sweep of a crystal its own copy of it.

    Between sweeps a goniometer moves, and not quite to where it says. A crystal slips, and ages. Experiments on one
    scan (several imagesets of it) keep sharing their crystal, and so do stills.

    Parameters
    ----------
    experiments : ExperimentList
        Each with a crystal.

    Returns
    -------
    experiments : ExperimentList
        With copies where a crystal was shared by several scans.
    cells : dict of int to int
        For the ``id`` of each copy a negative number, the same for all copies of a crystal. Empty if nothing was
        shared.
    """
    scans: dict[int, set[int]] = {}
    for e in experiments:
        if not e.is_still:
            scans.setdefault(id(e.crystal), set()).add(id(e.scan))
    shared = [crystal for crystal, own in scans.items() if len(own) > 1]
    copies: dict[tuple[int, int], Crystal] = {}  # one for each crystal and scan
    cells: dict[int, int] = {}
    result = []
    for e in experiments:
        if e.is_still or id(e.crystal) not in shared:
            result.append(e)
            continue
        copy = copies.setdefault((id(e.crystal), id(e.scan)), replace(e.known.crystal))
        cells[id(copy)] = -1 - shared.index(id(e.crystal))  # negative, so that it cannot be the id of a model
        result.append(replace(e, crystal=copy))
    return ExperimentList(result, experiments.extra), cells


def update_cells(cells: dict[int, int], before: ExperimentList, now: ExperimentList) -> dict[int, int]:
    """Find the `cells` of refined experiments from those of the experiments that they replace.

    Parameters
    ----------
    cells : dict of int to int
        What :func:`copy_shared_crystals` gave for the experiments `before`.
    before, now : ExperimentList
        In the same order.

    Returns
    -------
    dict of int to int
        The same numbers, for the ``id`` of the crystals of `now`.
    """
    return {id(new.crystal): cells[id(old.crystal)] for old, new in zip(before, now, strict=True)
            if id(old.crystal) in cells}
