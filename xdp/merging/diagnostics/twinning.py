"""Twins by (pseudo-)merohedry: the operations that could relate domains, and the fraction of the smaller one.

A twin mixes the intensities of reflections that the lattice's symmetry relates and the crystal's does not:
``I1 = (1 - a) J1 + a J2`` and ``I2 = a J1 + (1 - a) J2``. Then differences shrink: ``<(I1 - I2)²> / <(I1 + I2)²> =
(1 - 2a)² / 3`` for acentric reflections. Pseudosymmetry shrinks them as well; the L test, which needs no operation,
tells the two apart.

References
----------
Yeates (1988). Acta Cryst. A44, 142-144, doi:10.1107/S0108767387009632: H test.
Yeates (1997). Methods Enzymol. 276, 344-358, doi:10.1016/S0076-6879(97)76068-3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.merging.diagnostics.normalise import RelativeIntensities, select_strong_shells
from xdp.merging.unique import find_unique
from xdp.space_groups import AnySpaceGroup

_LEAST_I_OVER_SIGMA = 2.0
"""Mean of a shell that takes part. Variances of errors are taken out; where they are known to 10 %, the fraction is off
by 0.01 at 2."""
_FEWEST = 100
"""Pairs of a twin law: the error of the fraction is 0.03 then."""
_RESAMPLES = 100  # of the bootstrap: 7 % of error of the error
_OBLIQUITY = 3.0
"""Degrees by which axes of the lattice may miss the symmetry: at most about the width of twins by pseudo-merohedry."""


@dataclass(frozen=True)
class TwinLaw:
    """An operation that may relate the domains of a twin, and what the data say of it.

    Attributes
    ----------
    operation : str
        On indices, as ``-h,k,-l``.
    fraction, fraction_error : float
        Of the smaller domain, 0 to 0.5, from the H test with errors taken out. NaN with too few pairs. Symmetry that
        is nearly there raises it, too.
    correlation : float
        Between the reflections of the pairs, errors taken out.
    n_pairs : int
    """

    operation: str
    fraction: float
    fraction_error: float
    correlation: float
    n_pairs: int


def find_twin_laws(cell: tuple[float, ...], group: AnySpaceGroup, data: RelativeIntensities) -> tuple[TwinLaw, ...]:
    """Find the twin laws that the lattice allows, and estimate the twin fraction of each.

    Parameters
    ----------
    cell : tuple of 6 float
        Å and degrees.
    group : gemmi.SpaceGroup or UntabulatedGroup
        On untabulated axes none is sought.
    data : RelativeIntensities
        Merged in `group`, mates together.

    Returns
    -------
    tuple of TwinLaw
        The largest fraction first.

    Examples
    --------
    >>> import gemmi, numpy as np
    >>> P4 = gemmi.SpaceGroup("P 4")
    >>> hkl = gemmi.make_miller_array(gemmi.UnitCell(50, 50, 60, 90, 90, 90), P4, 3.0)
    >>> n, rng = len(hkl), np.random.default_rng(1)
    >>> data = RelativeIntensities(hkl, rng.exponential(size=n), np.full(n, 0.01), np.zeros(n, bool), np.full(n, 3.0))
    >>> [(law.operation, bool(law.fraction < 0.03)) for law in find_twin_laws((50, 50, 60, 90, 90, 90), P4, data)]
    [('-h,k,-l', True)]
    """
    import gemmi

    if not isinstance(group, gemmi.SpaceGroup):
        return ()
    strong = select_strong_shells(data, _LEAST_I_OVER_SIGMA)
    strong = strong.select(~strong.is_centric)
    laws = [_test_law(operation, group, strong)
            for operation in gemmi.find_twin_laws(gemmi.UnitCell(*cell), group, _OBLIQUITY, False)]
    return tuple(sorted(laws, key=lambda law: -law.fraction if np.isfinite(law.fraction) else 1.0))


def _test_law(operation, group: AnySpaceGroup, data: RelativeIntensities) -> TwinLaw:
    """Pair the reflections by the operation, and estimate the twin fraction."""
    # an operation x -> R x turns the index h (a row) into h R
    turned = data.hkl @ (np.array(operation.rot) // operation.DEN)
    both = find_unique(group, np.concatenate([data.hkl, turned]))
    own, mate = np.split(both.group, 2)
    place = np.full(len(both), -1)
    place[own] = np.arange(len(own))
    partner = place[mate]
    # each pair once; reflections that the operation maps onto themselves tell nothing
    first = np.flatnonzero(partner > np.arange(len(own)))
    name = operation.as_hkl().triplet("h")
    if len(first) < _FEWEST:
        return TwinLaw(name, np.nan, np.nan, np.nan, len(first))
    a, b = data.e2[first], data.e2[partner[first]]
    noise = np.square(data.sigma[first]) + np.square(data.sigma[partner[first]])
    difference, total = np.square(a - b) - noise, np.square(a + b) - noise
    fraction = _estimate_fraction(difference.mean(), total.mean())
    rng = np.random.default_rng(0)  # the same error each time
    draws = rng.integers(len(first), size=(_RESAMPLES, len(first)))
    error = float(np.std([_estimate_fraction(difference[d].mean(), total[d].mean()) for d in draws]))
    spread = 0.5 * (np.var(a) + np.var(b)) - 0.5 * noise.mean()
    correlation = float(np.mean((a - a.mean()) * (b - b.mean())) / spread) if spread > 0.0 else float("nan")
    return TwinLaw(name, fraction, error, correlation, len(first))


def _estimate_fraction(difference: float, total: float) -> float:
    """The fraction from <(I1 - I2)²> and <(I1 + I2)²>: the ratio is (1 - 2a)² / 3."""
    return 0.5 * (1.0 - float(np.sqrt(np.clip(3.0 * difference / total, 0.0, 1.0)))) if total > 0.0 else float("nan")
