"""Terms of the least squares that are not observations: what is known of parameters beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.refinement.equations.engine import Covariance
from xdp.refinement.equations.parts import NormalEquations, Slot
from xdp.refinement.options import Parameterisation, Refinement
from xdp.refinement.parameters.blocks import CellBlock
from xdp.refinement.parameters.metric import cell_from_b
from xdp.refinement.parameters.setup import Problem

Term = Callable[[np.ndarray], NormalEquations]

_STATIC_KINDS = ("beam", "detector", "goniometer")
# Ratio of variances above which a direction counts as one that drift imitates: the uncertainty has grown threefold. A
# choice: directions that the scan-varying fit knows as well as the static one have ratios near one.
_MUCH_LARGER = 9.0
_RIDGE = 1e-9  # added to a covariance scaled to unit diagonal, so that rounding cannot make it indefinite
_STEP = 1e-3  # of the central differences, in the cell's parameters: a relative change of the metric of 1e-6


def make_prior(problem: Problem, free: Covariance, static: Problem, known: Covariance, variance: float) -> list[Term]:
    """Tie beam, detector and goniometer to where the static fit left them, in the directions that drift imitates.

    A crystal that may turn slowly in its own frame can make up for a turn of the detector about the beam, and for some
    others. Along these a scan-varying fit says much less than the static one did. There, and only there, the static
    fit's answer is kept, with its covariance. The predictions do not depend on it.

    Parameters
    ----------
    problem, free : Problem, Covariance
        The scan-varying problem, and the covariance of its solution without this term.
    static, known : Problem, Covariance
        The static problem and the covariance of its solution, at which the parameters of `problem` are zero.
    variance : float
        The reduced chi square.

    Returns
    -------
    list of callable
        Terms to add to the normal equations, one for each block of the covariance `free` that has such parameters.
    """
    same: dict[int, int] = {}  # columns of parameters that are static in both -> column in the static problem
    both = ([slot for slot in p.slots.values() if slot.block.kind in _STATIC_KINDS] for p in (problem, static))
    for slot, old in zip(*both, strict=True):
        if slot.smoother is None and slot.free == old.free:
            same |= {slot.offset + k: old.offset + k for k in range(slot.size)}
    terms = []
    for own, matrix in free.blocks:
        place = np.array([k for k, column in enumerate(own) if int(column) in same], dtype=np.int64)
        if len(place):
            before = known.get_block(np.array([same[int(column)] for column in own[place]]))
            precision = variance * _precision_of_imitated(matrix[np.ix_(place, place)], before)
            terms.append(_make_quadratic(own[place], precision))
    return terms


def _precision_of_imitated(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The inverse of the covariance `before`, only in those directions in which `now` is much larger."""
    scale = np.sqrt(np.maximum(np.diag(before), 1e-300))
    root = np.linalg.cholesky(before / np.outer(scale, scale) + _RIDGE * np.eye(len(before)))
    # coordinates in which `before` is the identity: there the eigenvalues of `now` are ratios of variances
    white = np.linalg.inv(root) / scale
    ratio, directions = np.linalg.eigh(white @ now @ white.T)
    some = white.T @ directions[:, ratio > _MUCH_LARGER]
    return some @ some.T


def _make_quadratic(columns: np.ndarray, precision: np.ndarray) -> Term:
    """The term p^T precision p / 2 of some parameters."""

    def term(p: np.ndarray) -> NormalEquations:
        right = precision @ p[columns]
        return NormalEquations(columns, precision, right, 0.5 * float(p[columns] @ right))

    return term


def make_cell_restraints(problem: Problem, options: Parameterisation) -> list[Term]:
    """Make the terms that tie crystals' cells to the target values of the options.

    Each of the six values has its own sigma; a sigma of zero ties nothing. A target with experiments (``id``) ties the
    cells of these, also where further experiments have them too.

    Raises
    ------
    XdpError
        If there are values without sigmas, or the reverse, or two targets for one cell.
    """
    terms: list[Term] = []
    tied: set[int] = set()
    for tie in options.crystal.unit_cell.restraints.tie_to_target:
        if tie.values is None or tie.sigmas is None:
            raise XdpError("unit_cell.restraints.tie_to_target needs both values and sigmas, six numbers each")
        sigmas = np.asarray(tie.sigmas)
        weights = np.where(sigmas > 0.0, 1.0 / np.maximum(sigmas, 1e-12) ** 2, 0.0)
        slots = _find_cells(problem, tie.id)
        if tied & slots.keys():
            raise XdpError("unit_cell.restraints.tie_to_target: a cell has two targets; give each the experiments that "
                           "it is for (id), which must have no crystal in common")
        tied |= slots.keys()
        terms += [_make_tie(slot, np.asarray(tie.values), weights) for slot in slots.values()]
    return terms


def resolve_targets(experiments: ExperimentList, options: Refinement) -> Refinement:
    """Name in each target of a cell all experiments of the crystals that its ``id`` means.

    A crystal that several sweeps share is tied by any one of them, also after each sweep has got its own copy of it.

    Parameters
    ----------
    experiments : ExperimentList
        As the user gave them.
    options : Refinement
        With targets (``tie_to_target``).

    Returns
    -------
    Refinement
        The same object if no target names experiments.
    """
    cell = options.parameterisation.crystal.unit_cell
    ties = cell.restraints.tie_to_target
    if all(tie.id is None for tie in ties):
        return options
    resolved = tuple(tie if tie.id is None else tie.model_copy(update={"id": _add_partners(experiments, tie.id)})
                     for tie in ties)
    restraints = cell.restraints.model_copy(update={"tie_to_target": resolved})
    crystal = options.parameterisation.crystal.model_copy(
        update={"unit_cell": cell.model_copy(update={"restraints": restraints})})
    return options.model_copy(update={"parameterisation": options.parameterisation.model_copy(
        update={"crystal": crystal})})


def _add_partners(experiments: ExperimentList, numbers: Sequence[int]) -> tuple[int, ...]:
    """The numbers of all experiments that have the crystal of one of `numbers`, as far as there are such."""
    crystals = {id(experiments[k].crystal) for k in numbers if k < len(experiments)}
    return tuple(k for k, e in enumerate(experiments) if id(e.crystal) in crystals)


def _find_cells(problem: Problem, numbers: Sequence[int] | None) -> dict[int, Slot[CellBlock]]:
    """The cells with free parameters of some experiments, or of all, by the ``id`` of their slot."""
    chosen = problem.parts if numbers is None else [part for k, part in enumerate(problem.parts) if k in numbers]
    return {id(part.cell): part.cell for part in chosen if part.cell.free}


def _make_tie(slot: Slot[CellBlock], target: np.ndarray, weights: np.ndarray) -> Term:
    """The restraint of one crystal, at every node where it varies."""
    n_free, n_nodes = len(slot.free), slot.n_nodes
    columns = slot.offset + np.arange(slot.size)

    def term(p: np.ndarray) -> NormalEquations:
        values = np.zeros((n_nodes, len(slot.block.start)))
        values[:, list(slot.free)] = p[columns].reshape(n_free, n_nodes).T
        matrix, vector, loss = np.zeros((slot.size, slot.size)), np.zeros(slot.size), 0.0
        for node in range(n_nodes):
            difference, by_p = _compare_cell(slot, values[node], target)
            place = np.arange(n_free) * n_nodes + node
            matrix[np.ix_(place, place)] += (by_p * weights) @ by_p.T
            vector[place] += by_p @ (weights * difference)
            loss += 0.5 * float(np.sum(weights * difference**2))
        return NormalEquations(columns, matrix, vector, loss)

    return term


def _compare_cell(slot: Slot[CellBlock], values: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cell minus target (6,), and the cell's derivatives (n_free, 6) by central differences."""
    rows = []
    for k in slot.free:
        shift = _STEP * np.eye(len(values))[k]
        ends = cell_from_b(slot.block.evaluate(np.stack([values + shift, values - shift])))
        rows.append((ends[0] - ends[1]) / (2.0 * _STEP))
    return cell_from_b(slot.block.evaluate(values)) - target, np.array(rows)
