"""Pixels that a dark shows to be cold, hot or noisy."""

from __future__ import annotations

import numpy as np

from xdp.serial.calibration.dark import Dark, PixelFault, find_active_pixels, find_faulty_pixels, have_shapes


def test_faulty_pixels_are_found_and_no_others():
    rng = np.random.default_rng(2)
    mean = rng.normal(1000.0, 5.0, (60, 80)) + np.arange(80)  # a slope is no fault
    stddev = rng.normal(4.0, 0.2, (60, 80))
    mean[3, 4], mean[5, 6], mean[8, 9] = 1500.0, 200.0, np.nan
    stddev[10, 11], stddev[12, 13], stddev[14, 15] = 0.0, 30.0, 0.5
    (faults,) = find_faulty_pixels(Dark([mean], [stddev]))
    wanted = {(3, 4): PixelFault.HOT, (5, 6): PixelFault.COLD, (8, 9): PixelFault.COLD, (10, 11): PixelFault.COLD,
              (12, 13): PixelFault.NOISY, (14, 15): PixelFault.COLD}
    assert {tuple(map(int, index)): PixelFault(int(faults[tuple(index)])) for index in np.argwhere(faults)} == wanted


def test_darks_of_whole_counts_and_without_deviation():
    mean = np.full((20, 20), 10.0)
    mean[2, 2] = 11.0
    (faults,) = find_faulty_pixels(Dark([mean]))
    assert np.argwhere(faults).tolist() == [[2, 2]]
    assert find_active_pixels(Dark([mean])) is None


def test_active_pixels_and_shapes():
    dark = Dark([np.zeros((2, 2))], [np.array([[1.0, 0.0], [-1.0, np.nan]])])
    assert find_active_pixels(dark)[0].tolist() == [[True, False], [False, False]]
    assert have_shapes(dark.mean, [(2, 2)])
    assert not have_shapes(dark.mean, [(2, 2), (2, 2)])
