"""Where reference profiles stand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fitting_data import make_experiment

from xdp.experiment import Detector
from xdp.integration.profiles.fitting_options import ProfileFittingOptions
from xdp.integration.profiles.sampler import LEAST_WEIGHT, make_sampler

METHODS = ["single", "regular_grid", "circular_grid", "spherical_grid"]


def points(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Random positions on the detector and in the scan."""
    rng = np.random.default_rng(3)
    return np.zeros(n, np.int64), rng.random((n, 3)) * (240, 200, 40)


@pytest.mark.parametrize("method", METHODS)
def test_the_nearest_profile_is_among_those_a_reflection_contributes_to(method):
    sampler = make_sampler(make_experiment(), ProfileFittingOptions(grid_method=method))
    panel, xyz = points()
    nearest = sampler.find_nearest(panel, xyz)
    profiles, weights = sampler.find_neighbours(panel, xyz)
    assert np.all((nearest >= 0) & (nearest < sampler.n_profiles))
    assert np.all((profiles == nearest[:, None]).sum(axis=1) == 1)
    assert np.all(profiles < sampler.n_profiles)
    assert np.all((weights > 0) == (profiles >= 0))
    assert weights.max() <= 1.0
    assert weights[weights > 0].min() >= LEAST_WEIGHT
    for row in profiles[:50]:
        found = row[row >= 0]
        assert len(set(found)) == len(found)


@pytest.mark.parametrize(("method", "places"), [("single", 1), ("regular_grid", 9), ("circular_grid", 9),
                                                ("spherical_grid", 57)])
def test_grid_method_says_how_many_profiles_a_step_has(method, places):
    sampler = make_sampler(make_experiment(), ProfileFittingOptions(grid_method=method))
    assert (sampler.n_steps, sampler.n_places) == (4, places)
    assert sampler.list_coordinates().shape == (4 * places, 3)


@pytest.mark.parametrize(("step", "n"), [(5.0, 4), (20.0, 1), (3.0, 7), (None, 4)])
def test_scan_step_says_how_many_steps_the_scan_has(step, n):
    assert make_sampler(make_experiment(), ProfileFittingOptions(scan_step=step)).n_steps == n


@pytest.mark.parametrize("method", ["regular_grid", "single"])
def test_nearest_is_nearest_of_the_coordinates(method):
    sampler = make_sampler(make_experiment(), ProfileFittingOptions(grid_method=method))
    panel, xyz = points()
    scale = np.array([80.0, 200 / 3, 10.0]) if method == "regular_grid" else np.array([1e9, 1e9, 10.0])
    distance = (((xyz[:, None] - sampler.list_coordinates()) / scale) ** 2).sum(axis=2)
    assert np.array_equal(sampler.find_nearest(panel, xyz), distance.argmin(axis=1))
    profiles, weights = sampler.find_neighbours(panel, xyz)
    # a weight is a half at half the distance between profiles: exp(-4 ln 2 d^2)
    wanted = np.exp(-4 * np.log(2) * np.take_along_axis(distance, np.maximum(profiles, 0), axis=1))
    assert np.allclose(weights[profiles >= 0], wanted[profiles >= 0])


def test_the_circle_has_its_middle_and_eight_sectors():
    sampler = make_sampler(make_experiment(), ProfileFittingOptions(grid_method="circular_grid", scan_step=20.0))
    xyz = np.array([[120.0, 100.0, 3.0], [215.0, 100.0, 3.0], [120.0, 195.0, 3.0], [20.0, 100.0, 3.0]])
    assert sampler.find_nearest(np.zeros(4, int), xyz).tolist() == [0, 1, 3, 5]


def test_rings_on_the_sphere_cover_equal_areas():
    sampler = make_sampler(make_experiment(), ProfileFittingOptions(grid_method="spherical_grid"))
    caps = 0.5 * (1 - np.cos(sampler._compute_angles()))
    assert np.allclose(np.diff(np.concatenate([[0], caps])), np.array([1, 8, 16, 32]) / 57)
    beam = np.array([[120.0, 100.0, 3.0]])
    assert sampler.find_nearest(np.zeros(1, int), beam)[0] == 0


def test_several_panels_have_one_profile_a_step_unless_on_the_sphere():
    experiment = make_experiment()
    panel = experiment.detector[0]
    experiment = dataclasses.replace(experiment, detector=Detector((panel, panel)))
    assert make_sampler(experiment, ProfileFittingOptions(grid_method="regular_grid")).n_places == 1
    assert make_sampler(experiment, ProfileFittingOptions(grid_method="spherical_grid")).n_places == 57
