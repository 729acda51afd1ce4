"""The error model of stills comes back from deviations, also with wild ones among them."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.merging.stills.error_model import StillsErrorModel, fit_stills_errors


@pytest.mark.parametrize("wild", [0.0, 0.05])
def test_known_errors_are_found(wild):
    rng = np.random.default_rng(1)
    n = 20_000
    expected, counting = rng.exponential(100.0, n), rng.uniform(5.0, 50.0, n)
    true = StillsErrorModel(1.4, 0.5, 0.15)
    absolute, relative = true.compute_parts(counting, np.zeros(n), expected)
    deviation = np.sqrt(absolute + relative * expected**2) * rng.normal(size=n)
    deviation[: int(wild * n)] *= 8.0
    found = fit_stills_errors(deviation, np.zeros(n), counting, np.zeros(n), expected)
    assert found.relative == pytest.approx(0.15, rel=0.15)
    assert found.compute_parts(counting, np.zeros(n), expected)[0].mean() == pytest.approx(absolute.mean(), rel=0.2)
    assert set(found.to_dict()) == {"s", "s_B", "s_A"}


def test_few_deviations_tell_nothing():
    assert fit_stills_errors(*(np.ones(20) for _ in range(5))) is None
