"""Terms of the least squares that are not observations: what is known of parameters beforehand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xdp.errors import XdpError
from xdp.refinement.engine import Covariance, Minimum
from xdp.refinement.metric import cell_from_b
from xdp.refinement.options import Parameterisation
from xdp.refinement.problem import Normal, Slot
from xdp.refinement.setup import Problem

Term = Callable[[np.ndarray], Normal]

_STATIC_KINDS = ("beam", "detector", "goniometer")


def prior(problem: Problem, static: Problem, covariance: Covariance, minimum: Minimum) -> Term:
    """Ties parameters of beam, detector and goniometer that stay static to zero, where the static fit left them.

    Each by its standard uncertainty in the static fit: directions that the scan-varying problem determines as well
    are hardly held, those which a drift of the crystal could imitate stay.
    """
    esds = covariance.esds(static.size)
    count = 3 * max(minimum.steps[-1].n_reflections, 1)
    variance = 2.0 * minimum.steps[-1].loss / max(count - static.size, 1)
    columns, precisions = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    before = list(static.slots.values())
    for slot, old in zip(problem.slots.values(), before, strict=True):
        if slot.smoother is None and slot.block.kind in _STATIC_KINDS and slot.free == old.free:
            columns.append(slot.offset + np.arange(slot.size))
            precisions.append(variance / np.maximum(esds[old.offset : old.offset + old.size], 1e-12) ** 2)
    where, weight = np.concatenate(columns), np.concatenate(precisions)

    def term(p: np.ndarray) -> Normal:
        return Normal(where, np.diag(weight), weight * p[where], 0.5 * float(np.sum(weight * p[where] ** 2)))

    return term


def cell_restraints(problem: Problem, options: Parameterisation) -> list[Term]:
    """Ties of every crystal's cell to target values, each with its own sigma; a sigma of zero ties nothing.

    Raises
    ------
    XdpError
        If there are values without sigmas, or the reverse.
    """
    target = options.crystal.unit_cell.restraints.tie_to_target
    if target.values is None and target.sigmas is None:
        return []
    if target.values is None or target.sigmas is None:
        raise XdpError("unit_cell.restraints.tie_to_target needs both values and sigmas, six numbers each")
    sigmas = np.asarray(target.sigmas)
    weights = np.where(sigmas > 0.0, 1.0 / np.maximum(sigmas, 1e-12) ** 2, 0.0)
    return [_tie(slot, np.asarray(target.values), weights) for key, slot in problem.slots.items()
            if key[0] == "cell" and slot.free]


def _tie(slot: Slot, target: np.ndarray, weights: np.ndarray) -> Term:
    """The restraint of one crystal, at every node where it varies."""
    n_free, n_nodes = len(slot.free), slot.n_nodes
    columns = slot.offset + np.arange(slot.size)

    def term(p: np.ndarray) -> Normal:
        values = np.zeros((n_nodes, len(slot.block.start)))
        values[:, list(slot.free)] = p[columns].reshape(n_free, n_nodes).T
        matrix, vector, loss = np.zeros((slot.size, slot.size)), np.zeros(slot.size), 0.0
        for node in range(n_nodes):
            difference, by_p = _cell_change(slot, values[node], target)
            place = np.arange(n_free) * n_nodes + node
            matrix[np.ix_(place, place)] += (by_p * weights) @ by_p.T
            vector[place] += by_p @ (weights * difference)
            loss += 0.5 * float(np.sum(weights * difference**2))
        return Normal(columns, matrix, vector, loss)

    return term


def _cell_change(slot: Slot, values: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cell minus target (6,), and the cell's derivatives (n_free, 6) by central differences."""
    step = 1e-3
    rows = []
    for k in slot.free:
        shift = step * np.eye(len(values))[k]
        ends = cell_from_b(slot.block.state(np.stack([values + shift, values - shift])))
        rows.append((ends[0] - ends[1]) / (2.0 * step))
    return cell_from_b(slot.block.state(values)) - target, np.array(rows)
