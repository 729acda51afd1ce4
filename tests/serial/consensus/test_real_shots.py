"""The consensus on shots of the larger data sets: an independent simulation with truth, and real shots."""

import json
from dataclasses import replace

import numpy as np
import pytest

import xdp
from xdp.indexing.lattice.basis import measure_misorientation, span_same_lattice
from xdp.indexing.options import KnownSymmetry
from xdp.serial.consensus.candidates import ShotCandidates, find_candidate_cells, pool_shot
from xdp.serial.consensus.find import find_consensus
from xdp.serial.consensus.form_lattices import find_form_lattices
from xdp.serial.consensus.options import ConsensusOptions
from xdp.serial.consensus.pool import merge_pools

TRUE_CELL = (79.344, 79.344, 37.810)


@pytest.fixture(scope="module")
def hits(shared_data):
    """Experiment, spots and true axes of each hit of stills_dev."""
    truth = json.loads((shared_data / "stills_dev/truth.json").read_text())
    experiments = xdp.import_images([str(shared_data / "stills_dev/stills_dev.h5")]).experiments
    spots = xdp.find_spots(experiments).reflections
    return [(experiments[s["index"]], spots.select(spots["id"] == s["index"]),
             [np.linalg.inv(np.reshape(c["A"], (3, 3))) for c in s["crystals"]])
            for s in truth["shots"] if s["kind"] == "hit"]


def count_right(found, true_axes):
    """How many lattices are those of crystals, within 1 degree, and how many are not."""
    right = 0
    for lattice in found.lattices:
        axes = lattice.crystal.real_space_matrix
        for truth in true_axes:
            if span_same_lattice(axes[None], truth)[0]:
                same = np.round(truth @ np.linalg.inv(axes)) @ axes
                right += measure_misorientation(np.linalg.inv(same), np.linalg.inv(truth)) < 1.0
    return right, len(found.lattices) - right


def test_fifteen_hits_give_the_cell_that_all_hits_have(hits):
    form, = find_consensus(merge_pools(
        pool_shot(spots, experiment, key=f"{k:02d}") for k, (experiment, spots, _) in enumerate(hits[:15]))).forms
    assert form.lattice == "tP"
    assert np.abs(np.array(form.unit_cell[:3]) / TRUE_CELL - 1.0).max() < 0.0005  # 0.3 % are asked for
    known = KnownSymmetry(unit_cell=form.unit_cell, space_group=form.space_group)
    counts = [count_right(find_form_lattices(e, spots, [known]).found, axes) for e, spots, axes in hits]
    assert min(right for right, _ in counts) >= 1
    assert np.sum(counts, axis=0).tolist() == [32, 0]


def test_thinned_hits_are_indexed_without_a_known_cell(hits):
    """With 25 spots of each hit, and nothing known."""
    rng, thinned = np.random.default_rng(1), []
    for experiment, spots, axes in hits:
        rows = np.sort(rng.choice(len(spots), min(25, len(spots)), replace=False))
        thinned.append((experiment, spots.select(rows), axes))
    form, = find_consensus(merge_pools(
        pool_shot(spots, experiment, key=f"{k:02d}") for k, (experiment, spots, _) in enumerate(thinned))).forms
    known = KnownSymmetry(unit_cell=form.unit_cell, space_group=form.space_group)
    counts = np.array([count_right(find_form_lattices(e, spots, [known]).found, axes) for e, spots, axes in thinned])
    assert np.count_nonzero(counts[:, 0]) == 30  # 27 are asked for
    assert counts[:, 1].sum() == 0


def test_five_stills_of_which_two_tell_the_cell(shared_data):
    """CuNiR, P213, 96.4 Å: the cell that two shots have is found in the other three."""
    folder = shared_data / "cunir_stills"
    experiments = xdp.read_experiments(folder / "imported_with_ref_5.expt")
    spots = xdp.read_reflections(folder / "strong_5.refl")
    shots = [pool_shot(spots.select(spots["id"] == k), replace(experiments[k], crystal=None), key=str(k))
             for k in range(5)]
    form, = find_consensus(merge_pools(shots)).forms
    assert form.lattice == "cP"
    assert form.unit_cell[0] == pytest.approx(96.4, rel=0.003)
    assert len(form.shots) == 5


def test_spot_lists_of_one_orientation(shared_data):
    """Crystals that all lie alike, with a distance that is wrong by 0.8 % and split spots: still tetragonal."""
    shots = []
    for path in sorted((shared_data / "indexing_spot_lists").glob("image*_local.txt")):
        points = np.loadtxt(path, skiprows=1)
        rays = points + np.array([0.0, 0.0, 1.0])  # 1 Å: |q|^2 = -2 q_z
        rays /= np.linalg.norm(rays, axis=1)[:, None]
        shots.append(ShotCandidates(path.name, points, rays, *find_candidate_cells(points, ConsensusOptions())))
    form, = find_consensus(merge_pools(shots)).forms
    assert form.lattice == "tP"
    # the true cell is 78.95, 36.9 Å
    assert np.abs(np.array(form.unit_cell[:3]) / (78.95, 78.95, 36.9) - 1.0).max() < 0.01
