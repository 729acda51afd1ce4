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

from xdp.experiment.crystal import b_matrix
from xdp.indexing.lattice.basis import reduce_basis
from xdp.indexing.lattice.symmetry import find_primitive_change
from xdp.intensities.lattice import list_proper_rotations
from xdp.intensities.normalised import pack_indices
from xdp.intensities.patterson import PattersonMap
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
    # on primitive axes centring is no translation
    primitive = find_primitive_change(group)
    axes = primitive @ np.linalg.inv(b_matrix(cell))
    basis = reduce_basis(axes)
    change = np.round(basis @ np.linalg.inv(axes)) @ primitive
    hkl, row = _list_equivalents(used.hkl, group)
    patterson = PattersonMap(np.round(hkl @ change.T), basis, _FAR)
    E2 = np.clip(used.e2, 0.0, _LARGEST)
    if not patterson.has_room or not E2.any():
        return None
    # without its mean the function has no ripple of the reflections that are there
    value = E2 - E2.mean()
    found = patterson.find_maximum(value[row])
    p_value = _compute_p_value(found.value, used, lambda dealt: patterson.find_height(value[dealt][row]))
    x, y, z = (float(v) for v in (found.vector @ change) % 1.0)
    return PattersonPeak((x, y, z), found.value / (2.0 * float(E2[row].sum())), p_value, found.distance)


def _list_equivalents(hkl: np.ndarray, group: gemmi.SpaceGroup) -> tuple[np.ndarray, np.ndarray]:
    """All equivalent indices, one of each pair of mates; and the reflection that each belongs to."""
    rotations = list_proper_rotations(group)
    # axes and zones give an index several times; it counts once
    every = np.concatenate([hkl @ r for r in rotations])
    _, first = np.unique(pack_indices(every)[0], return_index=True)
    return every[first], first % len(hkl)


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
