"""Twins by (pseudo-)merohedry in merged intensities: the laws of `xdp.intensities.twin_laws`, and their fractions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.experiment.crystal import b_matrix
from xdp.indexing.lattice.symmetry import find_primitive_change
from xdp.intensities.lattice import find_lattice_group, list_proper_rotations, move_rotations
from xdp.intensities.pairs import IntensityPairs, estimate_correlation
from xdp.intensities.twin_laws import estimate_twin_fraction, list_twin_laws
from xdp.merging.diagnostics.normalise import RelativeIntensities, select_strong_shells
from xdp.merging.unique import find_unique
from xdp.space_groups import AnySpaceGroup

_LEAST_I_OVER_SIGMA = 2.0
"""Mean of a shell that takes part. Variances of errors are taken out; where they are known to 10 %, the fraction is off
by 0.01 at 2."""
_FEWEST = 100
"""Pairs of a twin law: the error of the fraction is 0.03 then."""
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
    axes = np.linalg.inv(b_matrix(cell))
    lattice = find_lattice_group(axes, find_primitive_change(group), _OBLIQUITY)
    mine = move_rotations(list_proper_rotations(group), np.linalg.inv(lattice.from_input))
    number = {r.tobytes(): k for k, r in enumerate(lattice.rotations)}
    if mine is None or any(r.tobytes() not in number for r in mine):
        return ()
    strong = select_strong_shells(data, _LEAST_I_OVER_SIGMA)
    strong = strong.select(~strong.is_centric)
    # on the conventional axes; centred cells have only such rotations of the lattice as are whole there
    moved = [[move_rotations(lattice.rotations[r][None], lattice.from_input) for r in law]
             for law in list_twin_laws(lattice, tuple(sorted(number[r.tobytes()] for r in mine)))]
    laws = [_test_law([r[0] for r in rotations if r is not None], group, strong) for rotations in moved
            if any(r is not None for r in rotations)]
    return tuple(sorted(laws, key=lambda law: -law.fraction if np.isfinite(law.fraction) else 1.0))


def _test_law(rotations: list[np.ndarray], group: AnySpaceGroup, data: RelativeIntensities) -> TwinLaw:
    """Pair the reflections by a law, all of whose rotations do the same, and estimate the twin fraction."""
    # the simplest one stands for all: of order two, along an axis of the cell
    name, rotation = min(((_write_operation(r), r) for r in rotations),
                         key=lambda item: (-int(np.trace(item[1]) == -1), len(item[0].replace("-", "")),
                                           int(np.count_nonzero(item[1] - np.diag(np.diag(item[1])))), item[0]))
    # a rotation x -> R x turns the index h (a row) into h R
    both = find_unique(group, np.concatenate([data.hkl, data.hkl @ rotation]))
    own, mate = np.split(both.group, 2)
    place = np.full(len(both), -1)
    place[own] = np.arange(len(own))
    partner = place[mate]
    # each pair once; reflections that the rotation maps onto themselves tell nothing
    first = np.flatnonzero(partner > np.arange(len(own)))
    if len(first) < _FEWEST:
        return TwinLaw(name, np.nan, np.nan, np.nan, len(first))
    a, b = data.e2[first], data.e2[partner[first]]
    noise = np.square(data.sigma[first]) + np.square(data.sigma[partner[first]])
    pairs = IntensityPairs(a + b, a - b, noise, np.zeros(len(first)))
    return TwinLaw(name, *estimate_twin_fraction(pairs), estimate_correlation(pairs)[0], len(first))


def _write_operation(rotation: np.ndarray) -> str:
    """A rotation as what it makes of h, k, l."""
    import gemmi

    operation = gemmi.Op()
    operation.rot = (np.asarray(rotation) * gemmi.Op.DEN).tolist()
    return operation.as_hkl().triplet("h")
