"""Parts of scaled observations, and variances by scatter."""

from __future__ import annotations

import gemmi
import numpy as np

from xdp.merging.average import average, sort_scaled
from xdp.merging.stills.select import choose_groups, measure_scatter, select_scaled
from xdp.merging.unique import find_unique


def test_a_part_has_the_reflections_of_its_observations():
    hkl = np.array([[1, 2, 3], [1, 2, 3], [2, 3, 4], [1, 1, 4]])
    seen = sort_scaled(gemmi.SpaceGroup("P 4"), hkl, np.array([5.0, 7.0, 2.0, 4.0]), np.ones(4), (np.arange(4),))
    part = select_scaled(seen, seen.intensity > 4.5)
    assert part.unique.hkl.tolist() == [[1, 2, 3]]
    assert average(part).intensity.tolist() == [6.0]


def test_groups_without_observations_are_left_out(caplog):
    assert list(choose_groups(np.array([0]), ["a", "b"])) == ["a"]
    assert "group b" in caplog.text


def test_scatter_gives_plain_means_and_their_errors():
    rng = np.random.default_rng(1)
    hkl = np.repeat([[1, 2, 3], [2, 3, 4], [3, 1, 5]], 400, axis=0)
    full = np.repeat([10.0, 20.0, 5.0], 400) * (1.0 + 0.5 * rng.normal(size=1200))
    unique = find_unique(gemmi.SpaceGroup("P 4"), hkl)
    variance = measure_scatter(full, unique)
    for group in range(3):
        own = unique.group == group
        assert len(set(variance[own].tolist())) == 1
        assert np.isclose(variance[own][0], full[own].var(ddof=1), rtol=0.02)
