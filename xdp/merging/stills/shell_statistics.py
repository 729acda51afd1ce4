r"""How well two halves of the shots agree, and how many lattices there are, by resolution.

:math:`R_\mathrm{split} = \frac{1}{\sqrt2}\,\frac{\sum|I_1 - I_2|}{\frac12\sum(I_1 + I_2)}` of the means of both halves.

References
----------
T. A. White et al., J. Appl. Cryst. 45, 335 (2012), doi:10.1107/S0021889812002312 (Rsplit).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from xdp.merging.average import ScaledObservations, average
from xdp.merging.statistics import ShellStatistics
from xdp.report.tables import Table


@dataclass(frozen=True)
class StillsShell:
    """A shell of resolution, or all.

    Attributes
    ----------
    d_max, d_min : float
        Å.
    r_split : float
        Of reflections that both halves have.
    n_common : int
        How many these are.
    n_lattices : int
        Lattices with observations here.
    """

    d_max: float
    d_min: float
    r_split: float
    n_common: int
    n_lattices: int

    def to_dict(self) -> dict[str, float | None]:
        """The numbers by their names; None where one is not defined."""
        return {name: None if not np.isfinite(v) else v for name, v in asdict(self).items()}


def compute_r_split(first: np.ndarray, second: np.ndarray) -> float:
    """Compute Rsplit.

    Parameters
    ----------
    first, second : (m,) float64
        Means of the halves; NaN where one has no observation.

    Returns
    -------
    float
        NaN where nothing is common, or the sum of the intensities is not above 0.

    Examples
    --------
    >>> round(compute_r_split(np.array([10.0, 20.0, np.nan]), np.array([12.0, 18.0, 5.0])), 4)
    0.0943
    """
    both = np.isfinite(first) & np.isfinite(second)
    total = 0.5 * float(np.sum(first[both] + second[both]))
    return float(np.sum(np.abs(first[both] - second[both])) / total / np.sqrt(2.0)) if total > 0.0 else float("nan")


def compute_stills_shells(seen: ScaledObservations, lattice: np.ndarray, d: np.ndarray,
                          shells: Sequence[ShellStatistics]) -> tuple[StillsShell, ...]:
    """Compute Rsplit and the number of lattices in the shells of the other statistics.

    Parameters
    ----------
    seen : ScaledObservations
        Halves are by shot.
    lattice : (n,) int64
        Of each observation.
    d : (m,) float64
        Å, of the unique reflections.
    shells : sequence of ShellStatistics
        The last one is for all.

    Returns
    -------
    tuple of StillsShell
    """
    halves = [average(seen, seen.half == k).intensity for k in (0, 1)]
    present = ~seen.unique.is_absent
    rows = []
    for number, shell in enumerate(shells):
        inside = present.copy()
        if number + 1 < len(shells):
            # the finest and the coarsest reflection belong to a shell
            last = number + 2 == len(shells)
            inside &= (d <= shell.d_max * (1.0 + 1e-9 * (number == 0)))
            inside &= (d > shell.d_min) | (last & (d >= shell.d_min * (1.0 - 1e-9)))
        both = inside & np.isfinite(halves[0]) & np.isfinite(halves[1])
        rows.append(StillsShell(shell.d_max, shell.d_min, compute_r_split(halves[0][inside], halves[1][inside]),
                                int(both.sum()), len(np.unique(lattice[inside[seen.unique.group]]))))
    return tuple(rows)


def make_stills_table(shells: Sequence[ShellStatistics], stills: Sequence[StillsShell]) -> Table:
    """Make the table of stills' statistics, the last row being all together.

    Parameters
    ----------
    shells : sequence of ShellStatistics
    stills : sequence of StillsShell

    Returns
    -------
    Table
    """
    columns = {"d_max": "d max", "d_min": "d min", "n_lattices": "lattices", "n_observations": "obser-\nvations",
               "n_unique": "unique", "multiplicity": "multi-\nplicity", "completeness": "complete\n(%)",
               "mean_i_over_sigma": "mean\nI/sigma", "r_split": "Rsplit", "cc_half": "CC1/2", "cc_star": "CC*",
               "cc_anomalous": "CC\nanom"}
    formats = {"d_max": ".2f", "d_min": ".2f", "multiplicity": ".1f", "completeness": ".1f", "mean_i_over_sigma": ".1f"}
    rows = []
    for shell, own in zip(shells, stills, strict=True):
        values = {**asdict(shell), **asdict(own)}
        rows.append(tuple(str(v) if isinstance(v := values[name], int) else
                          format(v, formats.get(name, ".3f")) if np.isfinite(v) else "-" for name in columns))
    return Table("stills", "Statistics of stills by resolution (halves by shot; the last row: all)", columns,
                 tuple(rows))
