"""Too few reflections for a model's parameters: fail, hold the model where it is, or leave its experiments out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.refinement.equations.parts import Block, ObservedCentroids, Slot
from xdp.refinement.options import Parameterisation
from xdp.refinement.parameters.blocks import DetectorBlock
from xdp.refinement.parameters.setup import Key, Problem, build_problem

logger = logging.getLogger(__name__)

_OBSERVATIONS = 3  # of a reflection: x, y and the angle


def build_reduced_problem(experiments: ExperimentList, data: Sequence[ObservedCentroids], options: Parameterisation, *,
                          scan_varying: bool = False, cells: Mapping[int, int] | None = None, is_quiet: bool = False
                          ) -> Problem:
    """Build the problem without the parameters that too few reflections determine.

    A crystal, a beam, a goniometer or a group of panels needs ``min_nref_per_parameter`` reflections, and as many
    observed coordinates (three a reflection) for each of its parameters. One that varies over the scan is first made
    static. Then the action of the options is taken, until every model that is left has enough.

    Parameters
    ----------
    experiments : ExperimentList
        Each with a crystal.
    data : sequence of ObservedCentroids
        The observations, one item for each experiment.
    options : Parameterisation
        What is refined, and what to do about too few reflections (``auto_reduction``).
    scan_varying, cells
        As for :func:`~xdp.refinement.parameters.setup.build_problem`.
    is_quiet : bool
        Whether the user knows already what is held: it is logged at the level DEBUG then, not as a warning.

    Raises
    ------
    XdpError
        If the action is to fail, or nothing is left to refine.
    """
    least = options.auto_reduction.min_nref_per_parameter
    held: frozenset[Key] = frozenset()
    rigid: frozenset[Key] = frozenset()
    data = list(data)
    while True:
        problem = build_problem(experiments, data, options, scan_varying=scan_varying, held=held, rigid=rigid,
                                cells=cells)
        short = {key: (count, size) for key, count, size in _count_support(problem)
                 if count < least * max(size / _OBSERVATIONS, 1.0)}
        varying = {key for key in short if problem.slots[key].smoother is not None}
        if varying:
            rigid |= varying
            continue  # as a static model it may have enough
        if not short:
            break
        _take_action(experiments, data, problem, options, short, is_quiet)
        held |= short.keys()
    if problem.size == 0:
        raise XdpError("refinement: there is nothing to refine: every parameter is fixed, or has fewer than "
                       f"auto_reduction.min_nref_per_parameter={least} reflections")
    return problem


def _count_support(problem: Problem) -> list[tuple[Key, int, int]]:
    """For each slot with free parameters: the reflections that depend on it, and the parameters of its model.

    Orientation and cell of one crystal count together; a cell that several sweeps have in common counts alone.
    """
    counts = dict.fromkeys(problem.slots, 0)
    keys = {id(slot): key for key, slot in problem.slots.items()}
    for part in problem.parts:
        for slot in part.slots:
            counts[keys[id(slot)]] += _count_affected(slot, part.data)
    sizes = {key: slot.size for key, slot in problem.slots.items()}
    for kind, owner, number in problem.slots:
        if kind == "orientation":
            pair = [key for key in (Key(kind, owner, number), Key("cell", owner, number)) if key in problem.slots]
            total = sum(problem.slots[key].size for key in pair)
            sizes |= {key: total for key in pair if sizes[key]}
    return [(key, counts[key], sizes[key]) for key in problem.slots if sizes[key]]


def _count_affected(slot: Slot[Block], data: ObservedCentroids) -> int:
    """How many observations depend on a slot: on a group of panels those that lie on it, on all else all."""
    if not isinstance(slot.block, DetectorBlock):
        return len(data)
    return int(np.isin(data.panel, slot.block.panels).sum())


def _take_action(experiments: ExperimentList, data: list[ObservedCentroids], problem: Problem,
                 options: Parameterisation, short: dict[Key, tuple[int, int]], is_quiet: bool) -> None:
    """Fail, or say what is held; with ``action=remove`` the experiments of these models lose their observations."""
    action, least = options.auto_reduction.action, options.auto_reduction.min_nref_per_parameter
    for key, (count, size) in short.items():
        text = (f"{_describe_key(key, experiments)}: {count} reflections are too few for {size} parameters "
                f"(auto_reduction.min_nref_per_parameter={least})")
        if action == "fail":
            raise XdpError(f"refinement: {text}; fix some (refinement.parameterisation.*.fix), index more reflections, "
                           "or take auto_reduction.action=fix")
        logger.log(logging.DEBUG if is_quiet else logging.WARNING, "%s: %s", text,
                   "held as it is" if action == "fix" else "its observations are left out")
    if action == "remove":
        unsupported = {id(problem.slots[key]) for key in short}
        for number, part in enumerate(problem.parts):
            for slot in part.slots:
                if id(slot) in unsupported:
                    data[number] = _drop_affected(slot, data[number])


def _drop_affected(slot: Slot[Block], data: ObservedCentroids) -> ObservedCentroids:
    """The observations that do not depend on a slot."""
    if not isinstance(slot.block, DetectorBlock):
        return data.select(slice(0, 0))
    return data.select(~np.isin(data.panel, slot.block.panels))


def _describe_key(key: Key, experiments: ExperimentList) -> str:
    """What a slot describes, for messages: the model's number in the list of experiments."""
    kind, owner, group = key
    if kind == "cell" and owner < 0:  # the number of a common cell (copy_shared_crystals)
        return "cell of several sweeps"
    attribute = "crystal" if kind in ("orientation", "cell") else kind
    models = [id(model) for model in experiments.unique(attribute)]
    number = models.index(owner) if owner in models else 0
    return f"{kind} of crystal {number}" if attribute == "crystal" else f"{kind} {number}" + (
        f", group {group}" if kind == "detector" and group else "")
