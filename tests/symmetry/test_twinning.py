"""The L test as a likelihood."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.intensities.pairs import IntensityPairs
from xdp.symmetry.twinning import ALL_FRACTIONS, compare_centric, density_of_neighbours, score_twin_fractions


def draw_neighbours(fraction: float, n: int = 4000, noise: float = 0.05) -> IntensityPairs:
    rng = np.random.default_rng(3)
    J = rng.exponential(size=(2, 2, n))
    x, y = (1.0 - fraction) * J[0] + fraction * J[1] + noise * rng.normal(size=(2, n))
    pairs = IntensityPairs(x + y, x - y, np.full(n, 2.0 * noise**2), np.zeros(n))
    return pairs.select(pairs.total > 3.0 * pairs.sigma)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
def test_the_twin_fraction_comes_back(fraction):
    score = score_twin_fractions(draw_neighbours(fraction))
    # fractions near 0.5 look alike: what was drawn must be as likely as chance lets it
    assert score[np.isclose(ALL_FRACTIONS, fraction)][0] > score.max() - 4.0
    assert ALL_FRACTIONS[score.argmax()] == pytest.approx(fraction, abs=0.11)


def test_perfect_twins_and_none_are_far_apart():
    for fraction, other in ((0.0, -1), (0.5, 0)):
        score = score_twin_fractions(draw_neighbours(fraction, 500))
        assert score.max() - score[other] > 20.0


def test_centric_intensities_are_told_from_acentric_ones():
    rng = np.random.default_rng(7)
    for power, sign in ((1, 1.0), (2, -1.0)):
        # squares of one normal number, or of two
        x, y = np.square(rng.normal(size=(power, 2, 1000))).mean(axis=0)
        pairs = IntensityPairs(x + y, x - y, np.full(1000, 1e-4), np.zeros(1000))
        assert sign * compare_centric(pairs) > 30.0


@pytest.mark.parametrize("fraction", ALL_FRACTIONS)
@pytest.mark.parametrize("total", [0.1, 2.0, 10.0])
def test_the_density_is_normalised(fraction, total):
    u = np.linspace(-1.0, 1.0, 4001)
    density = density_of_neighbours(u, np.full_like(u, total), float(fraction))
    assert np.trapezoid(density, u) == pytest.approx(1.0, abs=1e-3)


def test_the_density_is_that_of_sums_of_exponential_numbers():
    rng = np.random.default_rng(5)
    J = rng.exponential(size=(2, 2, 400_000))
    x, y = 0.7 * J[0] + 0.3 * J[1]
    near = np.abs(x + y - 1.5) < 0.05
    found, edges = np.histogram((x - y)[near] / (x + y)[near], bins=10, range=(-1, 1), density=True)
    middle = 0.5 * (edges[1:] + edges[:-1])
    # 20,000 pairs in ten bins: 2 % of scatter
    np.testing.assert_allclose(found, density_of_neighbours(middle, np.full(10, 1.5), 0.3), rtol=0.1, atol=0.01)
