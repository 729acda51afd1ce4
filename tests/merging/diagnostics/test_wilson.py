"""The Wilson plot."""

from __future__ import annotations

import numpy as np
import pytest
from merged_data import draw_merged

from xdp.merging.diagnostics.wilson import estimate_residues, fit_wilson_line, sum_squares


@pytest.mark.parametrize("true_b", [8.0, 30.0, 80.0])
def test_b_is_found(true_b):
    unique, _, _, d, *_ = draw_merged("P 43 21 2", (78, 78, 38, 90, 90, 90), 1.8, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    intensity = 3.0 * sum_squares(d, 129) * np.exp(-true_b / (2 * d**2)) * rng.exponential(size=len(d)) * unique.epsilon
    line = fit_wilson_line(intensity, np.full(len(d), 0.01 * intensity.mean()), d, unique.epsilon, n_residues=129)
    assert line.b == pytest.approx(true_b, abs=max(4.0 * line.b_error, 0.5))
    assert line.b_error < 2.0
    assert np.exp(line.log_scale) == pytest.approx(3.0, rel=0.3)


def test_b_does_not_depend_on_the_number_of_residues():
    _, intensity, sigma, d, *_ = draw_merged("P 1", (40, 45, 50, 90, 90, 90), 2.0, np.random.default_rng(1))
    one, many = (fit_wilson_line(intensity, sigma, d, np.ones(len(d)), n_residues=n) for n in (1, 1000))
    assert one.b == pytest.approx(many.b)


def test_too_few_reflections_give_no_line():
    d = np.linspace(4.0, 3.5, 200)
    assert fit_wilson_line(np.ones(200), np.ones(200), d, np.ones(200)) is None


def test_residues_of_known_crystals():
    # lysozyme P43212, 129 residues; thaumatin P41212 58 58 150, 207: within the usual spread of solvent
    assert 0.7 < estimate_residues(78.5**2 * 37.8, 8) / 129 < 1.4
    assert 0.7 < estimate_residues(58.0**2 * 150.0, 8) / 207 < 1.4
