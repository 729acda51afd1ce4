from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.partiality.run_merge import FullIntensities, RunMerge


def draw(n_shots=40, n=60, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.exponential(100.0, n)
    shots = []
    for _ in range(n_shots):
        keys = rng.choice(n, n // 2, replace=False)
        counting, relative = rng.uniform(4.0, 100.0, len(keys)), rng.uniform(0.0, 0.1, len(keys))
        error = np.sqrt(counting + relative * truth[keys] ** 2)
        shots.append(FullIntensities(keys.astype(np.int64), truth[keys] + error * rng.normal(size=len(keys)), counting,
                                     relative))
    return truth, shots


def test_merged_intensities_are_true_within_their_variances():
    truth, shots = draw()
    merge = RunMerge(shots)
    pull = (merge.mean - truth[merge.keys]) / np.sqrt(merge.variance)
    # 60 reflections know a standard deviation to a tenth
    assert 0.75 < pull.std() < 1.3
    assert abs(pull.mean()) < 0.5


def test_what_others_say_does_not_depend_on_the_shot_itself():
    _, shots = draw()
    changed = list(shots)
    changed[3] = shots[3]._replace(value=shots[3].value * 1.001)
    before, after = RunMerge(shots).leave_out(3)[0], RunMerge(changed).leave_out(3)[0]
    # only through the weights of the others, which a thousandth of one shot in twenty hardly moves
    np.testing.assert_allclose(after, before, rtol=1e-4)
    alone = RunMerge([shots[0]]).leave_out(0)
    assert np.all(np.isinf(alone[1]))


def test_observations_that_are_not_merged_are_nowhere():
    one = FullIntensities(np.array([5, 6]), np.array([1e9, 3.0]), np.ones(2), np.array([np.inf, 0.0]))
    two = FullIntensities(np.array([5, 6]), np.array([2.0, 3.0]), np.ones(2), np.zeros(2))
    merge = RunMerge([one, two])
    assert merge.mean.tolist() == pytest.approx([2.0, 3.0])


def test_an_observation_that_disagrees_loses_weight():
    values = (10.0, 11.0, 9.0, 10.0, 60.0)
    rows = [FullIntensities(np.array([1]), np.array([v]), np.ones(1), np.zeros(1)) for v in values]
    assert RunMerge(rows).mean[0] < 15.0


def test_mates_of_one_shot_are_both_left_out():
    one = FullIntensities(np.array([1, 1]), np.array([4.0, 6.0]), np.ones(2), np.zeros(2))
    two = FullIntensities(np.array([1]), np.array([8.0]), np.ones(1), np.zeros(1))
    mean, _ = RunMerge([one, two]).leave_out(0)
    assert mean.tolist() == pytest.approx([8.0, 8.0])
