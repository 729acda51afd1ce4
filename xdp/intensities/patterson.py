"""The Patterson function of intensities, and its largest peak away from the origin.

Copies of a molecule in equal orientation raise whole classes of reflections and lower others, and give a peak of the
Patterson function at the vector between them.

References
----------
Patterson (1935). Z. Kristallogr. 90, 517-542, doi:10.1524/zkri.1935.90.1.517.
Zwart, Grosse-Kunstleve & Adams (2005). CCP4 Newsletter 43, contribution 7, for peaks of the Patterson function.
Read, Adams & McCoy (2013). Acta Cryst. D69, 176-183, doi:10.1107/S0907444912045374: translations in macromolecules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

_SAMPLING = 3
"""Points of the map for the shortest wave: a peak's height is met within 4 % (the cosine of half a step, squared)."""


@dataclass(frozen=True)
class PattersonMaximum:
    """The highest point of a Patterson function that is away from the lattice points.

    Attributes
    ----------
    vector : (3,) float64
        Fractional coordinates on the axes of the indices, refined between points of the map.
    value : float
        In the units of the coefficients' sum.
    prominence : float
        `value` over the root mean square of the map.
    distance : float
        Å from the nearest lattice point.
    """

    vector: np.ndarray
    value: float
    prominence: float
    distance: float


class PattersonMap:
    """A Patterson function on a grid, for any coefficients of given reflections.

    Parameters
    ----------
    hkl : (n, 3) int
        All equivalents, one of each pair of Friedel mates, on primitive axes.
    basis : (3, 3)
        Rows: these axes, reduced, Å.
    least_distance : float
        Å from lattice points within which no peak is looked for.

    Examples
    --------
    >>> hkl = (np.argwhere(np.ones((7, 7, 7))) - 3)[172:]
    >>> patterson = PattersonMap(hkl, np.diag([40.0, 50.0, 60.0]), 15.0)
    >>> found = patterson.find_maximum((-1.0) ** hkl[:, 0])
    >>> found.vector.round(3).tolist(), round(found.value, 3)
    ([0.5, 0.0, 0.0], 342.0)
    """

    def __init__(self, hkl: np.ndarray, basis: np.ndarray, least_distance: float) -> None:
        hkl = np.asarray(hkl, np.int64)
        largest = np.abs(hkl).max(axis=0, initial=0)
        self._shape = tuple(fft.next_fast_len(int(_SAMPLING * n + 2), real=True) for n in largest)
        # negative indices are the last ones of the grid
        self._places = tuple((sign * hkl).T % np.array(self._shape)[:, None] for sign in (1, -1))
        self._half = (*self._shape[:2], self._shape[2] // 2 + 1)
        self._distance = _measure_distances(self._shape, self._half, np.asarray(basis, np.float64))
        self._far = self._distance > least_distance

    @property
    def has_room(self) -> bool:
        """Whether any point of the map is far enough from the lattice points."""
        return bool(self._far.any())

    def find_maximum(self, coefficients: np.ndarray) -> PattersonMaximum:
        """Find the highest point away from the lattice points; there must be room for one.

        Parameters
        ----------
        coefficients : (n,) float64
            Of the cosines; each stands for both mates.

        Returns
        -------
        PattersonMaximum
        """
        values = self._transform(coefficients)
        # the origin and its images are the highest, and no translations
        place = np.unravel_index(int(np.argmax(np.where(self._far, values, -np.inf))), self._half)
        spread = float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
        height = float(values[place])
        return PattersonMaximum(self._refine(values, tuple(int(k) for k in place)), height,
                                height / max(spread, 1e-300), float(self._distance[place]))

    def find_height(self, coefficients: np.ndarray) -> float:
        """Find the largest value away from the lattice points, as `find_maximum` does.

        Parameters
        ----------
        coefficients : (n,) float64

        Returns
        -------
        float
        """
        return float(self._transform(coefficients)[self._far].max())

    def _transform(self, coefficients: np.ndarray) -> np.ndarray:
        """The sum over both mates, on half of the cell: the other half is the same by inversion."""
        # single precision: sums of 1e5 terms are exact to 1e-4 of their spread
        grid = np.zeros(self._shape, np.float32)
        for place in self._places:
            grid[tuple(place)] = coefficients
        return fft.rfftn(grid).real

    def _refine(self, values: np.ndarray, place: tuple[int, ...]) -> np.ndarray:
        """Fractional coordinates of a peak, by a parabola along each axis."""
        found = np.zeros(3)
        for axis, n in enumerate(self._shape):
            left, right = (self._read(values, place, axis, step) for step in (-1, 1))
            middle = float(values[place])
            # the second difference; at a maximum it is below zero
            bend = left - 2.0 * middle + right
            shift = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
            found[axis] = (place[axis] + np.clip(shift, -0.5, 0.5)) / n % 1.0
        return found

    def _read(self, values: np.ndarray, place: tuple[int, ...], axis: int, step: int) -> float:
        """The value one point further along an axis; beyond the half of the cell that of the inverted place."""
        moved = np.array(place)
        moved[axis] += step
        # the map repeats from cell to cell
        moved %= self._shape
        if moved[2] >= self._half[2]:
            moved = -moved % self._shape
        return float(values[tuple(moved)])


def _measure_distances(shape: tuple[int, ...], half: tuple[int, ...], basis: np.ndarray) -> np.ndarray:
    """Å from each point of half a cell to the nearest corner; of reduced axes it is one of the cell's own."""
    nearest = np.full(half, np.inf)
    for corner in np.ndindex(2, 2, 2):
        # broadcast sums: the grid of points itself is never held
        x, y, z = ((np.arange(half[k]) / shape[k] - corner[k])[:, None] * basis[k] for k in range(3))
        vector = x[:, None, None] + y[None, :, None] + z[None, None, :]
        np.minimum(nearest, np.einsum("ijkm,ijkm->ijk", vector, vector), out=nearest)
    return np.sqrt(nearest)
