"""Halves of the shots, refined apart: how much the panels' places disagree is an error that no formula has to guess.

Both halves have the same gauge freedoms: shifts x and y of the whole, its turn about the beam, and its distance where
cells are free. The part of the disagreement that these explain (least squares, weighted by the formal errors) is taken
out. Halves hold half of the data, so that the result of all shots is off by about half of the disagreement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.experiment.detector import Detector
from xdp.serial.metrology.nodes import find_panel_centre

MOST_RATIO = 1.5
"""Disagreement over formal error above which the report says that the formal errors are wrong."""

_ROUNDING = 1e-9  # of the largest singular value: below it a direction is one that was taken out


@dataclass(frozen=True)
class Disagreement:
    """How two detectors differ, the gauge taken out.

    Attributes
    ----------
    name : str
        Of the halves.
    panels : (n,) of int
        The panels that are compared.
    shifts : (n, 3)
        Of their middles, along fast, slow and normal of the panel, mm.
    formal : (n, 3)
        The formal standard uncertainties of these differences, mm.
    chi_square : float
        Of the shifts in plane, for each degree of freedom.
    """

    name: str
    panels: np.ndarray
    shifts: np.ndarray
    formal: np.ndarray
    chi_square: float

    @property
    def ratio(self) -> float:
        """Root mean square disagreement in plane over the formal error: 1 where the formal errors are right."""
        return float(np.sqrt(self.chi_square))

    @property
    def errors(self) -> np.ndarray:
        """Standard uncertainties (n, 2) of the places in plane that all shots give: half of the disagreement, mm."""
        return 0.5 * np.abs(self.shifts[:, :2])


def compare_detectors(name: str, first: Detector, second: Detector, covariances: np.ndarray, groups: list[np.ndarray],
                      beam: np.ndarray, is_distance_free: bool) -> Disagreement:
    """Compare the places of groups of panels on two detectors.

    Parameters
    ----------
    name : str
        What is compared.
    first, second : Detector
        Of the same panels.
    covariances : (n_panels, 6, 6)
        Of the difference of each panel's shift and turn, formal.
    groups : list of (k,) arrays of int
        The panels of each group; each group counts once, at the middle of its first panel.
    beam : (3,)
        The beam's direction.
    is_distance_free : bool
        Whether the distance of the whole is a gauge freedom.

    Returns
    -------
    Disagreement
    """
    panels = np.array([int(group[0]) for group in groups])
    middle = np.array([find_panel_centre(first, int(p)) for p in panels])
    shift = np.array([find_panel_centre(second, int(p)) for p in panels]) - middle
    axes = [np.column_stack([d[:, 0], d[:, 1], np.cross(d[:, 0], d[:, 1])]).T
            for d in (first.d_matrix(int(p)) for p in panels)]
    local = np.array([a @ s for a, s in zip(axes, shift, strict=True)])
    formal = np.array([np.diag(a @ covariances[p, :3, :3] @ a.T) for a, p in zip(axes, panels, strict=True)])
    gauge = _make_gauge(middle, beam, is_distance_free)  # (n, 3, k)
    # the same moves as the panels see them, in plane: along the normal little is known
    plane = np.array([a[:2] @ g for a, g in zip(axes, gauge, strict=True)]).reshape(2 * len(panels), -1)
    weight = 1.0 / np.maximum(formal[:, :2].ravel(), 1e-30)
    root = np.sqrt(weight)
    solution, _, rank, _ = np.linalg.lstsq(plane * root[:, None], local[:, :2].ravel() * root, rcond=_ROUNDING)
    # the gauge moves along the normal, too
    left = local - np.array([a @ (g @ solution) for a, g in zip(axes, gauge, strict=True)])
    freedom = max(2 * len(panels) - int(rank), 1)
    chi = float(np.sum(left[:, :2].ravel() ** 2 * weight) / freedom)
    return Disagreement(name, panels, left, np.sqrt(np.maximum(formal, 0.0)), chi)


def _make_gauge(middle: np.ndarray, beam: np.ndarray, is_distance_free: bool) -> np.ndarray:
    """Moves (n, 3, k) of points (n, 3) by the gauge freedoms."""
    # the two laboratory axes that are nearest to at right angles to the beam
    across = np.eye(3)[np.argsort(np.abs(beam))[:2]]
    moves = [np.tile(axis, (len(middle), 1)) for axis in across]
    moves.append(np.cross(beam, middle))
    if is_distance_free:
        # a longer distance with larger cells moves all spots outwards, as if panels had moved inwards
        moves += [np.tile(beam, (len(middle), 1)), middle - np.outer(middle @ beam, beam)]
    return np.stack(moves, axis=2)
