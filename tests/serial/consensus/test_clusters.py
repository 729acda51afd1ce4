"""Clusters of candidates: the lattice of most shots is the first, whatever axes describe it."""

import numpy as np
from consensus_data import P21

from xdp.experiment.crystal import b_matrix
from xdp.serial.consensus.candidates import ShotCandidates
from xdp.serial.consensus.clusters import find_clusters
from xdp.serial.consensus.metric import compute_lengths, measure_distances

NONE = np.zeros((0, 3))


def draw_shot(number, basis, rng, *, n_others=20, score=40.0):
    """A shot with one candidate that is nearly a lattice, in any axes and orientation, and others that are random."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    change = np.eye(3)
    change[0, 1], change[2, 0] = rng.integers(-1, 2, 2)
    mine = change @ basis @ (np.eye(3) + 0.004 * rng.normal(size=(3, 3))) @ turn * np.linalg.det(turn)
    others = rng.uniform(20.0, 120.0, (n_others, 3, 1)) * np.linalg.qr(rng.normal(size=(n_others, 3, 3)))[0]
    scores = np.array([score, *rng.uniform(10.0, 45.0, n_others)])
    return ShotCandidates(f"{number:02d}", NONE, NONE, np.concatenate([mine[None], others]), scores)


def test_two_lattices_are_two_clusters():
    rng = np.random.default_rng(1)
    one, other = np.linalg.inv(b_matrix(P21)), np.diag([79.3, 79.3, 37.8])
    shots = [draw_shot(k, one if k % 3 else other, rng) for k in range(12)]
    first, second = find_clusters(shots, 0.03, 2)
    assert [k for k, _ in first.members] == [k for k in range(12) if k % 3]
    assert [k for k, _ in second.members] == [0, 3, 6, 9]
    lengths = compute_lengths(np.array([first.basis, one, second.basis, other]))
    assert measure_distances(lengths[::2], lengths[1::2]).max() < 0.01


def test_members_have_axes_that_agree():
    rng = np.random.default_rng(2)
    shots = [draw_shot(k, np.linalg.inv(b_matrix(P21)), rng) for k in range(6)]
    cluster = find_clusters(shots, 0.03, 1)[0]
    wanted = cluster.basis @ cluster.basis.T
    assert all(np.abs(m @ m.T - wanted).max() < 0.05 * wanted.max() for _, m in cluster.members)


def test_a_shot_has_one_vote():
    rng = np.random.default_rng(3)
    shot = draw_shot(0, np.diag([50.0, 60.0, 70.0]), rng, n_others=0)
    double = ShotCandidates("double", NONE, NONE, np.concatenate([shot.bases] * 5), np.repeat(shot.scores, 5))
    cluster = find_clusters([shot, double], 0.03, 1)[0]
    assert cluster.votes == 80.0
    assert len(cluster.members) == 2


def test_no_candidates_give_no_clusters():
    assert find_clusters([], 0.03) == []
