from __future__ import annotations

import math

import numpy as np
import pytest
from experiment_examples import random_rotation

from xdp.experiment import Crystal
from xdp.experiment.cell_errors import _cell_by_b, cell_text, cell_uncertainties, with_uncertainty
from xdp.experiment.crystal import b_matrix, cell_of

CELL = (40.0, 50.0, 70.0, 80.0, 95.0, 105.0)


def test_derivatives_against_finite_differences():
    b = b_matrix(CELL)
    jacobian = _cell_by_b(b)
    for element in range(9):
        step = np.zeros(9)
        step[element] = 1e-8
        high, low = (np.array(cell_of(np.linalg.inv(b + sign * step.reshape(3, 3)))) for sign in (1, -1))
        # central differences of step 1e-8 on numbers of 100: 1e-6 of rounding, relative to derivatives of 1e3
        np.testing.assert_allclose(jacobian[:, element], (high - low) / 2e-8, rtol=1e-5, atol=1e-2)


def test_without_covariance_there_are_no_uncertainties():
    crystal = Crystal((10.0, 0, 0), (0, 10.0, 0), (0, 0, 10.0))
    assert cell_uncertainties(crystal) is None
    assert cell_text(crystal) == "10.000, 10.000, 10.000, 90.000, 90.000, 90.000"


def test_an_error_of_b_is_an_error_of_the_cell():
    """B11 = 1/a known to 1e-5 (variance 1e-10): a = 10 is known to a^2 1e-5 = 1e-3."""
    covariance = np.zeros((9, 9))
    covariance[0, 0] = 1e-10
    rotation = random_rotation(np.random.default_rng(0))
    crystal = Crystal(*(tuple(10.0 * column) for column in rotation.T), extra={"B_covariance": covariance.ravel()
                                                                              .tolist()})
    np.testing.assert_allclose(cell_uncertainties(crystal), [1e-3, 0, 0, 0, 0, 0], atol=1e-12)
    assert cell_text(crystal).startswith("10.0000(10), 10.0, 10.0, 90.0")


@pytest.mark.parametrize(("value", "error", "text"), [
    (40.1234, 0.0012, "40.1234(12)"), (90.0, 0.0, "90.0"), (90.5, 0.15, "90.50(15)"), (1.5, 12.0, "2(12)"),
    (79.34, 0.00019, "79.34000(19)"), (79.34, 0.0002, "79.3400(2)"), (5.0, 250.0, "0(200)"), (90.0, 1e-9, "90.0"),
])
def test_brackets(value, error, text):
    assert with_uncertainty(value, error) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
def test_a_covariance_that_says_nothing_leaves_the_cell_without_brackets(value):
    """As after a refinement that the data did not determine; nothing is warned of."""
    crystal = Crystal((10.0, 0.0, 0.0), (0.0, 20.0, 0.0), (0.0, 0.0, 30.0), extra={"B_covariance": [value] * 81})
    assert cell_text(crystal).replace("000", "0") == "10.0, 20.0, 30.0, 90.0, 90.0, 90.0"
