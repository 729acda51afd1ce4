"""How well results agree with the truth of a simulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.experiment.crystal import Crystal
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable


def match_truth(truth: ReflectionTable, spots: ReflectionTable, *, distance: float = 1.5) -> np.ndarray:
    """Match spots with the nearest true reflections on the same panel.

    Parameters
    ----------
    truth : ReflectionTable
        With ``xyzcal.px`` and ``panel``.
    spots : ReflectionTable
        With ``xyzobs.px.value`` and ``panel``.
    distance : float
        How far a reflection may be from its spot, in pixels and frames alike.

    Returns
    -------
    (n,) int64
        For each spot a row of `truth`, -1 where there is none within `distance`.

    Examples
    --------
    >>> truth = ReflectionTable({"xyzcal.px": np.array([[5.0, 5.0, 0.5], [9.0, 9.0, 0.5]]), "panel": np.zeros(2, int)})
    >>> spots = ReflectionTable({"xyzobs.px.value": np.array([[9.2, 8.9, 0.5], [20.0, 20.0, 0.5]]),
    ...                          "panel": np.zeros(2, int)})
    >>> match_truth(truth, spots).tolist()
    [1, -1]
    """
    from scipy.spatial import cKDTree

    # Panels are set so far apart that a spot never finds a reflection on another one.
    apart = 1e6 * np.array([1.0, 0.0, 0.0])
    points = truth["xyzcal.px"] + truth["panel"][:, None] * apart
    if not len(truth):
        return np.full(len(spots), -1)
    _, nearest = cKDTree(points).query(spots["xyzobs.px.value"] + spots["panel"][:, None] * apart,
                                       distance_upper_bound=distance)
    return np.where(nearest < len(truth), nearest, -1)


@dataclass(frozen=True)
class Agreement:
    """How integrated intensities agree with the truth.

    Attributes
    ----------
    n : int
        Reflections compared.
    cc, cc_weak : float
        Correlation of all, and of the third with the lowest true intensities.
    pull_width : float
        Robust spread of (found - true) / sigma where the true I/sigma is below 12; 1 is honest.
    """

    n: int
    cc: float
    cc_weak: float
    pull_width: float


def measure_agreement(truth: ReflectionTable, integrated: ReflectionTable, kind: str = "prf") -> Agreement:
    """Compare integrated counts with the photons that the simulation gave each reflection.

    Whole reflections are compared, found by where they were predicted; a common scale is taken out, since some photons
    are not foreground.

    Parameters
    ----------
    truth
        Of the simulation, with ``xyzcal.px``, ``panel`` and ``photons``.
    integrated
        With ``intensity.*`` of kind "sum" or "prf", ``partiality`` and ``flags``.
    kind : str
        "sum" or "prf".

    Returns
    -------
    Agreement
        NaN where there are fewer than ten reflections to compare.
    """
    flag = Flag.INTEGRATED_PRF if kind == "prf" else Flag.INTEGRATED_SUM
    found = integrated.select(integrated.any_flags(flag) & (integrated["partiality"] > 0.99))
    rows = match_truth(truth, found.with_columns(**{"xyzobs.px.value": found["xyzcal.px"]}))
    found, true = found.select(rows >= 0), truth["photons"][rows[rows >= 0]]
    if len(found) < 10:
        return Agreement(len(found), float("nan"), float("nan"), float("nan"))
    value, sigma = found[f"intensity.{kind}.value"], np.sqrt(found[f"intensity.{kind}.variance"])
    # the scale is taken from bright reflections, whose ratios are known well
    bright = true > np.median(true)
    true = true * np.median(value[bright] / true[bright])
    weak, faint = true < np.quantile(true, 1 / 3), true < 12.0 * sigma
    low, high = np.quantile(((value - true) / sigma)[faint], [0.25, 0.75]) if faint.sum() > 3 else (np.nan, np.nan)
    cc, cc_weak = (float(np.corrcoef(value[chosen], true[chosen])[0, 1]) for chosen in (slice(None), weak))
    return Agreement(len(found), cc, cc_weak, float((high - low) / 1.349))


def compute_misorientation(found: Crystal, truth: Crystal) -> float:
    r"""Compute the least angle that turns the true lattice into the found one, over the equivalent indexings.

    For a rotation :math:`W` of the true space group's Laue group, :math:`A_\text{found}\, W A_\text{true}^{-1}` is
    nearly a rotation. Its angle comes from its trace after polar decomposition.

    Parameters
    ----------
    found, truth : Crystal
        Both in the same setting.

    Returns
    -------
    float
        Degrees.
    """
    angles = []
    for operation in truth.space_group.operations().derive_symmorphic().sym_ops:
        w = np.array(operation.rot) / operation.DEN
        for sign in (1.0, -1.0):
            left, _, right = np.linalg.svd(found.A @ (sign * w.T) @ np.linalg.inv(truth.A))
            turn = left @ right
            if np.linalg.det(turn) > 0.0:
                # Sine and cosine together: an arc cosine alone is blind below 1e-6 degrees.
                skew = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
                angles.append(np.degrees(np.arctan2(np.linalg.norm(skew), np.trace(turn) - 1.0)))
    return float(min(angles))
