"""How intensities are distributed: moments of E², and the differences of neighbours (L test), which twinning changes.

References
----------
Wilson (1949). Acta Cryst. 2, 318-321, doi:10.1107/S0365110X49000813: distributions.
Stanley (1972). J. Appl. Cryst. 5, 191-194, doi:10.1107/S0021889872009185: moments of twins.
Padilla & Yeates (2003). Acta Cryst. D59, 1124-1130, doi:10.1107/S0907444903007947: L test.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from xdp.merging.diagnostics.normalise import RelativeIntensities, select_strong_shells

_LEAST_I_OVER_SIGMA = 5.0
"""Mean of a shell that takes part. Second moments have the variances of errors taken out, which are known to some 10 %;
at 5 that leaves 0.01. abs(L) has not."""
_NODES = 40  # of an integral whose result then agrees with 400 nodes to 1e-12
_FEWEST = 50  # reflections, or pairs, of a moment; its error is 0.3 then


@dataclass(frozen=True)
class Moments:
    """Moments of the normalised intensities, errors of measurement taken out.

    Attributes
    ----------
    n_acentric, n_centric : int
        Reflections of each kind.
    second_acentric, second_centric : float
        ``<E⁴> / <E²>²``. Untwinned 2 and 3, perfect twins 1.5 and 2.
    mean_abs_l, mean_square_l : float
        Of ``L = (I1 - I2) / (I1 + I2)`` for acentric neighbours. Untwinned 1/2 and 1/3, perfect twins 3/8 and 1/5.
    n_pairs : int
        Pairs of the L test.
    twin_fraction_l : float
        The twin fraction that the mean of abs(L) tells, 0 to 0.5.
    """

    n_acentric: int
    n_centric: int
    second_acentric: float
    second_centric: float
    mean_abs_l: float
    mean_square_l: float
    n_pairs: int
    twin_fraction_l: float

    def to_dict(self) -> dict[str, float | None]:
        """The numbers by their names; None where there are too few reflections.

        Returns
        -------
        dict
        """
        return {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in asdict(self).items()}


def compute_moments(data: RelativeIntensities) -> Moments:
    """Compute the moments of intensities, from the resolutions at which they are stronger than their errors.

    Parameters
    ----------
    data : RelativeIntensities

    Returns
    -------
    Moments

    Examples
    --------
    >>> import numpy as np
    >>> hkl = np.argwhere(np.ones((20, 20, 20)))
    >>> e2, small = np.random.default_rng(1).exponential(size=8000), np.full(8000, 0.01)
    >>> found = compute_moments(RelativeIntensities(hkl, e2, small, small > 1, np.linspace(5, 2, 8000)))
    >>> abs(found.second_acentric - 2.0) < 0.1, abs(found.mean_abs_l - 0.5) < 0.02
    (True, True)
    """
    strong = select_strong_shells(data, _LEAST_I_OVER_SIGMA)
    acentric, centric = strong.select(~strong.is_centric), strong.select(strong.is_centric)
    first, second = find_neighbours(acentric.hkl)
    absolute, square = _compute_l(acentric, first, second)
    return Moments(len(acentric), len(centric), _second_moment(acentric), _second_moment(centric), absolute, square,
                   len(first), estimate_fraction_from_l(absolute))


def _second_moment(data: RelativeIntensities) -> float:
    """<I²> / <I>², without what errors add to squares."""
    if len(data) < _FEWEST:
        return float("nan")
    return float(np.mean(np.square(data.e2) - np.square(data.sigma)) / np.mean(data.e2) ** 2)


def find_neighbours(hkl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair reflections whose indices differ by 2 in one index: near, and not related by symmetry or by centring.

    Parameters
    ----------
    hkl : (m, 3) int
        Each reflection once.

    Returns
    -------
    first, second : (k,) int64
        Rows; a reflection is in at most three pairs as the first one.

    Examples
    --------
    >>> import numpy as np
    >>> [rows.tolist() for rows in find_neighbours(np.array([[1, 1, 1], [1, 1, 3], [1, 2, 3]]))]
    [[0], [1]]
    """
    hkl = np.asarray(hkl, dtype=np.int64)
    if not len(hkl):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    low = hkl.min(axis=0)
    # two more in each direction, so that a neighbour outside is not taken for another reflection
    size = np.ptp(hkl, axis=0) + 3
    keys = np.ravel_multi_index((hkl - low).T, size)
    order = np.argsort(keys)
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for axis in range(3):
        step = np.zeros(3, np.int64)
        step[axis] = 2
        wanted = np.ravel_multi_index((hkl - low + step).T, size)
        place = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
        there = keys[order][place] == wanted
        pairs.append((np.flatnonzero(there), order[place[there]]))
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])


def _compute_l(data: RelativeIntensities, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """<|L|> and <L²> of the pairs."""
    total = data.e2[first] + data.e2[second]
    error = np.hypot(data.sigma[first], data.sigma[second])
    # a sum that is within its error of 0 has no L
    sound = total > 3.0 * error
    if np.count_nonzero(sound) < _FEWEST:
        return float("nan"), float("nan")
    L = np.clip((data.e2[first] - data.e2[second])[sound] / total[sound], -1.0, 1.0)
    return float(np.mean(np.abs(L))), float(np.mean(np.square(L)))


def estimate_fraction_from_l(mean_abs_l: float) -> float:
    """The twin fraction at which two acentric intensities differ so much.

    The intensity of a twin of fraction a is ``(1 - a) J1 + a J2``, where J1 and J2 have exponential distributions. The
    mean of abs(L) is integrated for 51 fractions, and looked up.

    Parameters
    ----------
    mean_abs_l : float

    Returns
    -------
    float
        0 to 0.5; NaN for NaN.

    Examples
    --------
    >>> round(estimate_fraction_from_l(0.5), 2), round(estimate_fraction_from_l(0.375), 2)
    (0.0, 0.5)
    """
    if not np.isfinite(mean_abs_l):
        return float("nan")
    fractions = np.linspace(0.0, 0.5, 51)
    x, weights = np.polynomial.legendre.leggauss(_NODES)
    r = (1.0 - 0.5 * (x + 1.0)) / (1.0 + 0.5 * (x + 1.0))
    expected = np.array([_expect_abs_l(a, r, 0.5 * weights) for a in fractions])
    return float(np.interp(-mean_abs_l, -expected, fractions))


def _expect_abs_l(fraction: float, r: np.ndarray, weights: np.ndarray) -> float:
    """<|L|> of acentric reflections of a twin: the integral of P(|L| > x) over x from 0 to 1; r is (1 - x) / (1 + x).

    The density of I is ``(exp(-I/b) - exp(-I/a)) / (b - a)`` with b = 1 - a: a sum of exponential ones. Of two
    intensities of means m1 and m2 one is below r times the other with ``P(I1 < r I2) = r m2 / (m1 + r m2)``.
    """
    a, b = fraction, 1.0 - fraction
    if b - a < 1e-6:
        return 0.375
    parts = [(b / (b - a), b), (-a / (b - a), a)] if a > 0.0 else [(1.0, 1.0)]
    # |L| > x where I1 < r I2, or the other way around
    beyond = sum(2.0 * w1 * w2 * r * m2 / (m1 + r * m2) for w1, m1 in parts for w2, m2 in parts)
    return float(np.sum(weights * beyond))
