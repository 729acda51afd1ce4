"""Translations inside the cell: the largest peak of the Patterson function far from its origin.

Copies of a molecule in equal orientation raise whole classes of reflections and lower others, and give a peak of the
Patterson function at the vector between them.

References
----------
Patterson (1935). Z. Kristallogr. 90, 517-542, doi:10.1524/zkri.1935.90.1.517.
Read, Adams & McCoy (2013). Acta Cryst. D69, 176-183, doi:10.1107/S0907444912045374: translations in macromolecules.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xdp.merging.diagnostics.normalise import RelativeIntensities
from xdp.space_groups import AnySpaceGroup

if TYPE_CHECKING:
    import gemmi

_COARSEST, _FINEST = 20.0, 5.0
"""Å: coarser reflections see the solvent, finer ones see differences between the copies."""
_FAR = 15.0
"""Å from the origin beyond which a vector is none inside a molecule's fold, such as a helix's."""
_FEWEST = 50  # reflections in that range
_RESAMPLES = 40
"""Maps without a translation, from which the distribution of their peaks is taken: 12 % of error of its width."""
_LARGEST = 20.0  # E² above which a reflection is an error more likely than a strong one: exp(-20) = 2e-9


@dataclass(frozen=True)
class PattersonPeak:
    """The largest peak of the Patterson function far from its origin.

    Attributes
    ----------
    vector : tuple of 3 float
        Fractional coordinates.
    height : float
        Relative to the origin's, from 0 to 1.
    p_value : float
        How likely a peak of this height or a higher one is without a translation.
    distance : float
        Å from the nearest lattice point.
    """

    vector: tuple[float, float, float]
    height: float
    p_value: float
    distance: float

    @property
    def is_translation(self) -> bool:
        """Whether the peak is one of a translation: above 20 % of the origin, and not by chance."""
        return self.height > 0.2 and self.p_value < 0.01


def find_patterson_peak(cell: tuple[float, ...], group: AnySpaceGroup, data: RelativeIntensities
                        ) -> PattersonPeak | None:
    """Find the largest peak of the Patterson function that is more than 15 Å from its origin.

    Parameters
    ----------
    cell : tuple of 6 float
        Å and degrees.
    group : gemmi.SpaceGroup or UntabulatedGroup
        On untabulated axes there is no result.
    data : RelativeIntensities
        Those from 20 to 5 Å are used.

    Returns
    -------
    PattersonPeak or None
        None where reflections are too few, or the cell is too small to have a place so far from its corners.

    Examples
    --------
    >>> import gemmi, numpy as np
    >>> cell, P1 = (60.0, 70.0, 80.0, 90.0, 90.0, 90.0), gemmi.SpaceGroup("P 1")
    >>> hkl = gemmi.make_miller_array(gemmi.UnitCell(*cell), P1, 5.0)
    >>> d = np.array([gemmi.UnitCell(*cell).calculate_d(list(h)) for h in hkl])
    >>> E2 = np.random.default_rng(1).exponential(size=len(d)) * (1.0 + np.cos(np.pi * hkl.sum(axis=1)))
    >>> peak = find_patterson_peak(cell, P1, RelativeIntensities(hkl, E2, 0.01 * E2, E2 < 0, d))
    >>> [round(x, 2) for x in peak.vector], peak.is_translation
    ([0.5, 0.5, 0.5], True)
    """
    import gemmi

    used = data.select((data.d <= _COARSEST) & (data.d >= _FINEST))
    if not isinstance(group, gemmi.SpaceGroup) or len(used) < _FEWEST:
        return None
    E2 = np.clip(used.e2, 0.0, _LARGEST)
    origin = _make_map(cell, group, used.hkl, E2)[0, 0, 0]
    # without its mean the function has no ripple of the reflections that are there
    patterson = _make_map(cell, group, used.hkl, E2 - E2.mean())
    distance = _measure_distances(cell, group, patterson.shape)
    far = distance > _FAR
    if origin <= 0.0 or not far.any():
        return None
    place = np.unravel_index(np.argmax(np.where(far, patterson, -np.inf)), patterson.shape)
    p_value = _compute_p_value(float(patterson[place]), used, lambda dealt: float(
        _make_map(cell, group, used.hkl, (E2 - E2.mean())[dealt])[far].max()))
    return PattersonPeak(_refine(patterson, place), float(patterson[place] / origin), p_value, float(distance[place]))


def _make_map(cell: tuple[float, ...], group: AnySpaceGroup, hkl: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The Patterson function on a grid, by a Fourier transform of all equivalents."""
    import gemmi

    mtz = gemmi.Mtz(with_base=True)
    # the Patterson function has the Laue group's symmetry without translations
    mtz.spacegroup = _find_patterson_group(group)
    mtz.cell = gemmi.UnitCell(*cell)
    mtz.add_dataset("patterson")
    mtz.add_column("I", "F")
    mtz.add_column("PHI", "P")
    # a negative coefficient is a positive one with the phase of 180 degrees
    phases = np.where(values < 0.0, 180.0, 0.0)
    mtz.set_data(np.column_stack([hkl, np.abs(values), phases]).astype(np.float32))
    grid = mtz.transform_f_phi_to_map("I", "PHI", sample_rate=3.0)
    return np.array(grid, copy=True).astype(np.float64)


def _find_patterson_group(group: AnySpaceGroup) -> gemmi.SpaceGroup:
    """The symmetry of the Patterson function: rotations and centring, with an inversion, without translations."""
    import gemmi

    operations = group.operations().derive_symmorphic()
    operations.add_inversion()
    found = gemmi.find_spacegroup_by_ops(operations)
    if found is None:
        raise ValueError(f"the Patterson function of {group.short_name()} has no tabulated symmetry")
    return found


def _measure_distances(cell: tuple[float, ...], group: AnySpaceGroup, shape: tuple[int, ...]) -> np.ndarray:
    """Å from each point of a grid to the nearest lattice point, those of the centring included."""
    import gemmi

    orthogonal = np.array(gemmi.UnitCell(*cell).orth.mat.tolist())
    # fractional coordinates from -1/2 to 1/2; in oblique cells a neighbour may be nearer
    axes = [np.fft.fftfreq(n) for n in shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    nearest = np.full(shape, np.inf)
    for centring in np.array(group.operations().cen_ops) / gemmi.Op.DEN:
        for shift in np.ndindex(3, 3, 3):
            moved = (points + centring - np.round(points + centring) + (np.array(shift) - 1)) @ orthogonal.T
            np.minimum(nearest, np.linalg.norm(moved, axis=-1), out=nearest)
    return nearest


def _refine(values: np.ndarray, place: tuple[np.intp, ...]) -> tuple[float, float, float]:
    """Fractional coordinates of a peak, by a parabola along each axis."""
    found = []
    for axis, n in enumerate(values.shape):
        at = [list(place), list(place), list(place)]
        at[0][axis], at[2][axis] = (place[axis] - 1) % n, (place[axis] + 1) % n
        left, middle, right = (values[tuple(p)] for p in at)
        bend = left - 2.0 * middle + right
        shift = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
        found.append(float((place[axis] + np.clip(shift, -0.5, 0.5)) / n % 1.0))
    return found[0], found[1], found[2]


def _compute_p_value(height: float, used: RelativeIntensities, find_height: Callable[[np.ndarray], float]) -> float:
    """How likely a peak of such height is by chance.

    Without a translation it does not matter which reflection has which E². So these are dealt out anew, among centric
    and acentric reflections apart; the highest peaks of such maps follow Gumbel's distribution of extremes. This allows
    for the axes of rotation, on which a random map is higher.
    """
    rng = np.random.default_rng(0)  # the same value each time
    heights = []
    for _ in range(_RESAMPLES):
        dealt = np.arange(len(used))
        for kind in (used.is_centric, ~used.is_centric):
            dealt[kind] = rng.permutation(dealt[kind])
        heights.append(find_height(dealt))
    # moments of Gumbel's distribution: the standard deviation is pi / sqrt(6) widths, the mean 0.5772 beyond the mode
    width = float(np.std(heights, ddof=1)) * math.sqrt(6.0) / math.pi
    mode = float(np.mean(heights)) - 0.5772156649 * width
    return -math.expm1(-math.exp(min(-(height - mode) / width, 700.0)))
