"""The Wilson plot: the fall of intensities with resolution, and the scale to absolute ones.

References
----------
Wilson (1942). Nature 150, 152, doi:10.1038/150152a0.
Popov & Bourenkov (2003). Acta Cryst. D59, 1145-1153, doi:10.1107/S0907444903008163: proteins follow the line
from 4 Å on within some percent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_COARSEST = 4.0  # Å; coarser shells are shaped by the solvent and by the fold
_FEWEST = 300  # reflections of the line
_ATOMS = {"H": 7.85, "C": 4.93, "N": 1.35, "O": 1.49, "S": 0.04}
"""Atoms of a mean residue of proteins, by the frequencies of amino acids in the protein data bank."""
_VOLUME_PER_RESIDUE = 270.0  # Å^3 of the asymmetric unit: 110 Da, at 2.45 Å^3 for each


@dataclass(frozen=True)
class WilsonLine:
    """The line of a Wilson plot: ``ln(<I> / sum f²) = ln(k) - 2 B s²``, s = 1 / 2d.

    Attributes
    ----------
    b, b_error : float
        The B factor, Å², and its standard deviation by the scatter of the shells.
    log_scale : float
        ln(k).
    n_residues : int
        For which the scale holds.
    d_max, d_min : float
        Å, of the shells that make the line.
    """

    b: float
    b_error: float
    log_scale: float
    n_residues: int
    d_max: float
    d_min: float


def fit_wilson_line(intensity: np.ndarray, sigma: np.ndarray, d: np.ndarray, epsilon: np.ndarray, *,
                    n_residues: int = 200) -> WilsonLine | None:
    """Fit the line of the Wilson plot to merged intensities from 4 Å on.

    Parameters
    ----------
    intensity, sigma : (m,) float64
    d : (m,) float64
        Å.
    epsilon : (m,) int
    n_residues : int
        Residues in the asymmetric unit, for the scale; B does not depend on it.

    Returns
    -------
    WilsonLine or None
        None with fewer than 300 reflections beyond 4 Å.

    Examples
    --------
    >>> import numpy as np
    >>> d = np.linspace(6.0, 1.8, 20_000)
    >>> I = np.random.default_rng(1).exponential(size=20_000) * sum_squares(d, 200) * np.exp(-20.0 / (2 * d**2))
    >>> line = fit_wilson_line(I, np.sqrt(I) + 1.0, d, np.ones(20_000))
    >>> bool(abs(line.b - 20.0) < 3 * line.b_error + 0.5)
    True
    """
    fine = (d <= _COARSEST) & np.isfinite(intensity) & (sigma > 0.0)
    if np.count_nonzero(fine) < _FEWEST:
        return None
    intensity, sigma, d, epsilon = intensity[fine], sigma[fine], d[fine], np.asarray(epsilon)[fine]
    order = np.argsort(d)[::-1]
    shells = np.array_split(order, max(3, min(30, len(d) // 100)))
    x, y, weight = [], [], []
    for shell in shells:
        values = intensity[shell] / epsilon[shell]
        mean, error = values.mean(), np.std(values) / np.sqrt(len(shell))
        if mean > 3.0 * error:  # the logarithm of a mean that is not above its error tells nothing
            x.append(np.mean(0.25 / np.square(d[shell])))
            y.append(np.log(mean / np.mean(sum_squares(d[shell], n_residues))))
            weight.append(mean / error)
    if len(x) < 3:
        return None
    (slope, log_scale), covariance = np.polyfit(x, y, 1, w=weight, cov=True) if len(x) > 3 else (
        np.polyfit(x, y, 1, w=weight), np.full((2, 2), np.nan))
    s2 = np.array(x)
    return WilsonLine(float(-slope / 2.0), float(np.sqrt(covariance[0, 0]) / 2.0), float(log_scale), n_residues,
                      float(0.5 / np.sqrt(s2.min())), float(0.5 / np.sqrt(s2.max())))


def sum_squares(d: np.ndarray, n_residues: int) -> np.ndarray:
    """The sum of squared scattering factors of the atoms of a protein.

    Parameters
    ----------
    d : (m,) float64
        Å.
    n_residues : int

    Returns
    -------
    (m,) float64
        Electrons squared; factors of International Tables C (1992), table 6.1.1.4, as gemmi has them.

    Examples
    --------
    >>> import numpy as np
    >>> bool(sum_squares(np.array([100.0]), 1)[0] > sum_squares(np.array([2.0]), 1)[0])
    True
    """
    import gemmi

    stol2 = 0.25 / np.square(d)
    grid = np.linspace(stol2.min(), stol2.max(), 200)
    total = sum(count * np.array([gemmi.Element(name).it92.calculate_sf(s) for s in grid]) ** 2
                for name, count in _ATOMS.items())
    return n_residues * np.interp(stol2, grid, total)


def estimate_residues(cell_volume: float, n_operations: int) -> int:
    """Estimate how many residues the asymmetric unit holds, half of it being solvent.

    Parameters
    ----------
    cell_volume : float
        Å³.
    n_operations : int
        Of the space group, centring included.

    Returns
    -------
    int
        One or more.

    Examples
    --------
    >>> estimate_residues(78.0 * 78.0 * 38.0, 8)  # hen egg white lysozyme has 129
    107
    """
    return max(1, round(cell_volume / n_operations / _VOLUME_PER_RESIDUE))
