"""The mean intensity that a reflection of a direction, a resolution and a class may be expected to have.

The mean falls off with resolution, at different rates in different directions (a traceless tensor ΔB beside the mean of
shells), and a translation inside the cell raises some classes of reflections and lowers others.

References
----------
Sheriff & Hendrickson (1987). Acta Cryst. A43, 118-121, doi:10.1107/S010876738709977X: anisotropic fall-off.
Read, Adams & McCoy (2013). Acta Cryst. D69, 176-183, doi:10.1107/S0907444912045374: modulation by translations.
McCullagh & Nelder (1989). Generalized Linear Models, 2nd edition, for iteratively reweighted least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xdp.experiment.crystal import b_matrix
from xdp.merging.amplitudes import expect_shell_means
from xdp.merging.unique import UniqueReflections, list_rotations
from xdp.space_groups import AnySpaceGroup

_ROUNDS = 4
"""Of shell means and tensor in turn: the fourth changes neither by 1e-3 of its error, for differences of 40 Å² of B."""
_FEWEST = 100
"""Reflections for each element of the tensor: with fewer its error makes the mean worse than no tensor does."""
_DEEPEST = 0.95  # of a modulation: deeper ones would forbid a class of reflections


@dataclass(frozen=True)
class WilsonPrior:
    """Expected mean intensities.

    Attributes
    ----------
    expected : (m,) float64
        Above 0; with epsilon.
    tensor : (3, 3) float64
        ΔB, Å², on orthogonal axes (x along a*... as of :func:`xdp.experiment.crystal.b_matrix`): the mean is multiplied
        with ``exp(-q ΔB q / 2)``, where q is the reciprocal vector of length 1/d. Its trace is 0.
    modulation : float
        How deep a translation modulates the means; 0 without one.
    """

    expected: np.ndarray
    tensor: np.ndarray
    modulation: float


def expect_wilson_means(intensity: np.ndarray, sigma: np.ndarray, d: np.ndarray, unique: UniqueReflections,
                       cell: Sequence[float], group: AnySpaceGroup, *, anisotropic: bool = True,
                       translation: Sequence[float] | None = None) -> WilsonPrior:
    """Estimate the mean intensity that each reflection may be expected to have.

    1. Means of shells of resolution.
    2. With `anisotropic`, the tensor that has the symmetry of the crystal, by iteratively reweighted least squares; the
       variance of an observation is that of Wilson's distribution and that of its error.
    3. With `translation`, ``1 + m c`` with c the mean of ``cos(2π h·t)`` over equivalents; m is the regression of
       relative intensities on c.

    Parameters
    ----------
    intensity, sigma : (m,) float64
        Merged intensities.
    d : (m,) float64
        Å.
    unique : UniqueReflections
        Their indices, whether they are centric, and epsilon.
    cell : sequence of 6 float
        Å and degrees.
    group : gemmi.SpaceGroup or UntabulatedGroup
    anisotropic : bool
        Let the fall-off depend on the direction, where there are 100 reflections or more for each free element.
    translation : sequence of 3 float, optional
        Of copies inside the cell, fractional.

    Returns
    -------
    WilsonPrior

    Examples
    --------
    >>> import gemmi
    >>> from xdp.merging.unique import find_unique
    >>> cell, P1 = (40.0, 50.0, 60.0, 90.0, 90.0, 90.0), gemmi.SpaceGroup("P 1")
    >>> unique = find_unique(P1, gemmi.make_miller_array(gemmi.UnitCell(*cell), P1, 2.0))
    >>> q = unique.hkl / np.array(cell[:3])
    >>> J = np.random.default_rng(1).exponential(np.exp(-10.0 * (q[:, 0] ** 2 - q[:, 1] ** 2)))
    >>> found = expect_wilson_means(J, 0.01 + 0 * J, 1.0 / np.linalg.norm(q, axis=1), unique, cell, P1)
    >>> bool(np.abs(found.tensor.diagonal() - [20.0, -20.0, 0.0]).max() < 2.0)
    True
    """
    factor = np.ones(len(d))
    design, basis = _make_design(unique.hkl, d, cell, group)
    tensor = np.zeros((3, 3))
    wanted = anisotropic and len(basis) and len(d) >= _FEWEST * len(basis)
    beta = np.zeros(len(basis))
    level = expect_shell_means(intensity, sigma, d, unique.epsilon)
    for _ in range(_ROUNDS if wanted else 0):
        beta = _fit_tensor(intensity, sigma, level, unique.is_centric, design, beta)
        factor = np.exp(np.clip(-0.5 * design @ beta, -20.0, 20.0))
        level = expect_shell_means(intensity / factor, sigma / factor, d, unique.epsilon)
        tensor = np.einsum("k,kij->ij", beta, basis)
    modulation = 0.0
    if translation is not None:
        c = _average_cosines(unique.hkl, translation, group)
        modulation = _fit_modulation(intensity, sigma, level * factor, unique.is_centric, c)
        factor = factor * (1.0 + modulation * c)
        level = expect_shell_means(intensity / factor, sigma / factor, d, unique.epsilon)
    return WilsonPrior(level * factor, tensor, modulation)


def _make_design(hkl: np.ndarray, d: np.ndarray, cell: Sequence[float], group: AnySpaceGroup
                 ) -> tuple[np.ndarray, np.ndarray]:
    """``q T q`` of each reflection for a basis of the traceless tensors that have the crystal's symmetry."""
    B = b_matrix(cell)
    # rotations of reciprocal vectors: h R, in orthogonal axes
    turns = [B @ rotation.T @ np.linalg.inv(B) for rotation in list_rotations(group)]
    elements = []
    for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)):
        one = np.zeros((3, 3))
        one[i, j] = one[j, i] = 1.0
        symmetric = np.mean([turn.T @ one @ turn for turn in turns], axis=0)
        elements.append((symmetric - np.trace(symmetric) / 3.0 * np.eye(3)).ravel())
    # elements that symmetry makes equal or 0 leave singular values of 0
    _, size, rows = np.linalg.svd(np.array(elements))
    basis = rows[:6][size[:6] > 1e-3].reshape(-1, 3, 3)
    q = hkl @ B.T
    return np.einsum("ni,kij,nj->nk", q, basis, q), basis


def _fit_tensor(intensity: np.ndarray, sigma: np.ndarray, level: np.ndarray, is_centric: np.ndarray,
                design: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """A few steps of reweighted least squares of the tensor's elements, with the level as it is."""
    spread = np.where(is_centric, 2.0, 1.0)
    for _ in range(5):
        mean = level * np.exp(np.clip(-0.5 * design @ beta, -20.0, 20.0))
        X = -0.5 * design * mean[:, None]
        weight = 1.0 / (spread * np.square(mean) + np.square(sigma))
        # directions that the data do not hold (narrow cones of missing data) get no step
        normal = (X * weight[:, None]).T @ X
        step = np.linalg.lstsq(normal, (X * weight[:, None]).T @ (intensity - mean), rcond=1e-10)[0]
        # at most a factor of e in one step: means of weak directions start far off
        largest = float(np.max(np.abs(0.5 * design @ step), initial=0.0))
        beta = beta + step * min(1.0, 1.0 / max(largest, 1e-300))
    return beta


def _average_cosines(hkl: np.ndarray, translation: Sequence[float], group: AnySpaceGroup) -> np.ndarray:
    """The mean of ``cos(2π h·t)`` over the equivalents of each reflection."""
    t = np.asarray(translation, np.float64)
    return np.mean([np.cos(2.0 * np.pi * ((hkl @ rotation) @ t)) for rotation in list_rotations(group)], axis=0)


def _fit_modulation(intensity: np.ndarray, sigma: np.ndarray, mean: np.ndarray, is_centric: np.ndarray, c: np.ndarray
                    ) -> float:
    """The weighted regression of ``I / mean - 1`` on c, from 0 to 0.95, its weights following the modulated mean."""
    m = 0.0
    for _ in range(10):
        now = mean * (1.0 + m * c)
        weight = np.square(mean) / (np.where(is_centric, 2.0, 1.0) * np.square(now) + np.square(sigma))
        m = float(np.sum(weight * c * (intensity / mean - 1.0)) / max(np.sum(weight * c * c), 1e-300))
        # a translation cannot raise what it extinguishes
        m = min(max(m, 0.0), _DEEPEST)
    return m
