"""The drawn Laue scan is what its truth says."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.simulation.laue import LaueScan, draw_spot_image, simulate_laue, write_laue_scan

SCAN = LaueScan(shape=(64, 80), n_angles=5, n_repeats=2, n_spots=4, n_shared=1, n_same=2, min_distance=10, seed=3)


def test_same_seed_same_counts():
    a, b, c = simulate_laue(SCAN), simulate_laue(SCAN), simulate_laue(LaueScan(**{**SCAN.__dict__, "seed": 4}))
    assert np.array_equal(a.images, b.images)
    assert not np.array_equal(a.images, c.images)


def test_counts_are_poisson_about_the_truth():
    scan = simulate_laue(SCAN)
    pulls = []
    for frame, image in enumerate(scan.images):
        mean = scan.background + draw_spot_image(scan.spots, int(scan.angle[frame]), bool(scan.laser[frame]),
                                            SCAN.shape, scan.width)
        pulls.append((image - mean) / np.sqrt(mean))
    # 100,000 pixels: the mean is known to 0.003, the variance to 0.005
    assert np.mean(pulls) == pytest.approx(0, abs=0.015)
    assert np.var(pulls) == pytest.approx(1, abs=0.025)


def test_design_and_responses():
    scan = simulate_laue(SCAN)
    assert scan.laser.tolist() == [False, True] * 10
    assert scan.angle.tolist() == np.repeat(np.arange(5.0), 4).tolist()
    assert np.all((scan.spots["response"] >= 0) & (scan.spots["response"] <= 0.1))
    on = draw_spot_image(scan.spots, 1, True, SCAN.shape, scan.width).sum()
    here = scan.spots["angle_index"] == 1
    expected = np.sum(scan.spots["intensity"][here] * (1 + scan.spots["response"][here]))
    assert on == pytest.approx(expected, rel=1e-3)  # the profile is cut at six widths


def test_shared_spots_stay_for_some_angles():
    scan = simulate_laue(SCAN)
    places = [set(zip(scan.spots["x"][scan.spots["angle_index"] == a], scan.spots["y"][scan.spots["angle_index"] == a],
                      strict=True)) for a in range(5)]
    assert all(places[a] & places[a + 1] for a in (0, 2))
    assert not places[0] & places[2]


def test_file_is_as_imported(tmp_path):
    scan = simulate_laue(SCAN)
    write_laue_scan(tmp_path / "a__mccd.h5", scan, chunks=(2, 10, 80), shuffle=True)
    with h5py.File(tmp_path / "a__mccd.h5") as file:
        assert np.array_equal(file["images"][()], scan.images)
        assert file["lauecollect/laser"].dtype == np.uint8
        assert file["images"].chunks == (2, 10, 80)
