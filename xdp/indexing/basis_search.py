"""The change of basis that makes the Miller indices of reflections fit crystals, found from where the spots lie."""

from __future__ import annotations

import logging
from fractions import Fraction

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.prediction.centroids import centroids_to_mm, compute_diffracted_rays, compute_lattice_points
from xdp.reflections.normalise import has_index
from xdp.reflections.table import ReflectionTable

logger = logging.getLogger(__name__)

#: A spot may lie so far (in indices) from a point of the crystal's lattice, as in DIALS; others take no part.
_TOLERANCE = 0.2
#: Elements of a change between lattices of one crystal are small fractions: twelfths hold all centrings.
_LARGEST_DENOMINATOR = 12
#: The change must explain so much of the spots near lattice points; a choice that leaves room for spots that the
#: indices were wrong of, and none for another lattice.
_LEAST_EXPLAINED = 0.9


def derive_basis_change(experiments: ExperimentList, table: ReflectionTable) -> np.ndarray:
    """Find the change of basis from the indices of reflections to those that crystals give them.

    1. Map the centroids to reciprocal space; the nearest lattice point of the crystal gives each its new index.
    2. Fit new indices = T old indices by least squares, and round T to fractions.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals in the setting that is wanted.
    table : ReflectionTable
        Indexed reflections with ``xyzobs.px.value``.

    Returns
    -------
    (3, 3)
        New axes = T @ old axes.

    Raises
    ------
    XdpError
        If one change does not explain the spots, or turns the hand.
    """
    old, new = _list_indices(experiments, table)
    if len(old) < 3 or np.linalg.matrix_rank(old.astype(np.float64)) < 3:
        raise XdpError("change_of_basis_op=auto needs indexed reflections in three directions that lie near lattice "
                       f"points of the crystals, got {len(old)} reflections")
    fitted = np.linalg.lstsq(old.astype(np.float64), new.astype(np.float64), rcond=None)[0].T
    transform = np.array([[float(Fraction(float(v)).limit_denominator(_LARGEST_DENOMINATOR)) for v in row]
                          for row in fitted])
    explained = float(np.mean(np.abs(old @ transform.T - new).max(axis=1) < 1e-3))
    if explained < _LEAST_EXPLAINED or np.linalg.det(transform) < 1e-6:
        raise XdpError("change_of_basis_op=auto: no change of basis turns the indices of the reflections into those of "
                       f"the crystals (the best one explains {100.0 * explained:.0f} %): the lattices are not the same")
    logger.info("change_of_basis_op=%s fits %.1f %% of %d reflections", _write_change(transform), 100.0 * explained,
                len(old))
    return transform


def _list_indices(experiments: ExperimentList, table: ReflectionTable) -> tuple[np.ndarray, np.ndarray]:
    """Indices (n, 3) that reflections have, and those of the nearest lattice points."""
    indexed = has_index(table)
    old, new = [np.zeros((0, 3), np.int64)], [np.zeros((0, 3), np.int64)]
    for number, experiment in enumerate(experiments):
        rows = np.flatnonzero(indexed & (table["id"] == number))
        panel, xyz = table["panel"][rows].astype(np.int64), table["xyzobs.px.value"][rows]
        mm, _ = centroids_to_mm(experiment, panel, xyz, np.zeros_like(xyz))
        points = compute_lattice_points(experiment, compute_diffracted_rays(experiment, panel, mm[:, :2]), mm[:, 2])
        h = points @ np.linalg.inv(experiment.known.crystal.A).T
        near = np.abs(h - np.round(h)).max(axis=1, initial=0.0) < _TOLERANCE
        old.append(table["miller_index"][rows[near]].astype(np.int64))
        new.append(np.round(h[near]).astype(np.int64))
    return np.concatenate(old), np.concatenate(new)


def _write_change(transform: np.ndarray) -> str:
    """A change of basis as users write it."""
    rows = []
    for row in transform:
        terms = [(Fraction(v).limit_denominator(_LARGEST_DENOMINATOR), letter)
                 for v, letter in zip(row, "abc", strict=True)]
        rows.append("".join(f"{'-' if v < 0 else '+'}{'' if abs(v) == 1 else f'{abs(v)}*'}{letter}"
                            for v, letter in terms if v).lstrip("+"))
    return ",".join(rows)
