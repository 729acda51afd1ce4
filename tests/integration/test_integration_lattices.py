"""Two lattices on the same images: reflections keep their pixels from neighbours, whichever of them are integrated."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
from integration_data import Series, make_series, options, run

from xdp.errors import XdpError
from xdp.experiment import ExperimentList, ImageSet
from xdp.experiment.imageset import SEQUENCE
from xdp.integration.integrate import integrate
from xdp.integration.plan.prepare import prepare
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

pytestmark = pytest.mark.kernels

ALL = "output_unintegrated_reflections=True"
SUMS = ALL, "profile.fitting=False", "hot_pixels.mask=False"
SAMPLE = "sampling.integrate_all_reflections=False", "minimum_sample_size=300", "reflections_per_degree=1"
UNCOVERED = ("max_shoebox_overlap=0.8",)


def numbered(table: ReflectionTable, number: int) -> ReflectionTable:
    """Reflections of experiment 0 as those of another."""
    return ReflectionTable(dict(table.items()) | {"id": np.where(table["id"] < 0, -1, number).astype(np.int32)})


@dataclass(frozen=True)
class Pair:
    """Two lattices on images of their own, and both on the sums of these."""

    apart: tuple[Series, Series]
    experiments: ExperimentList
    reference: ReflectionTable

    def table(self, *words: str, **kwargs) -> ReflectionTable:
        """Both lattices integrated from the common images."""
        return integrate(self.experiments, self.reference, options(*words),
                         **kwargs).reflections

    def alone(self, *words: str) -> ReflectionTable:
        """Each integrated from its own images; rows as of :meth:`table` with all reflections."""
        return ReflectionTable.concatenate([numbered(run(series, *words).reflections, i)
                                            for i, series in enumerate(self.apart)])


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Pair:
    """Some 1500 reflections, of which a third shares foreground with the other lattice."""
    first, second = (make_series(tmp_path_factory.mktemp("lattice"), seed=seed) for seed in (1, 2))
    path = tmp_path_factory.mktemp("both") / "frames.npy"
    np.save(path, sum(np.load(series.folder / "frames.npy") for series in (first, second)))
    images = ImageSet(SEQUENCE, template=str(path))
    experiment = dataclasses.replace(first.experiments[0], imageset=images, identifier="first")
    other = dataclasses.replace(experiment, crystal=second.experiments[0].crystal, identifier="second")
    spots = [numbered(series.reference, i) for i, series in enumerate((first, second))]
    return Pair((first, second), ExperimentList([experiment, other]), ReflectionTable.concatenate(spots))


@pytest.fixture(scope="module")
def whole(pair) -> ReflectionTable:
    """Sums of all reflections."""
    return pair.table(*SUMS)


@pytest.mark.parametrize(("words", "n"), [(UNCOVERED, 1100), (SAMPLE, 600), (SAMPLE + UNCOVERED, 400)])
def test_reflections_that_are_left_out_keep_their_pixels_from_others(words, n, pair, whole, tmp_path):
    found = pair.table(*SUMS, *words)
    assert n <= len(found) < len(whole)
    assert found == whole.select(np.isin(whole["partial_id"], found["partial_id"]))
    blocks = "block.size=3", "block.units=frames", "nproc=2", "n_subset_split=2"
    for _ in range(2):  # the second time from the work folder
        assert pair.table(*SUMS, *words, *blocks, folder=tmp_path) == found


def test_results_of_another_sample_are_not_used(pair, tmp_path):
    words = *SUMS, "sigma_b=0.05", "sigma_m=0.1"  # without reference spots, whose flags would tell samples apart
    whole = integrate(pair.experiments, None, options(*words)).reflections
    for _ in range(2):
        chosen = options(*words, *SAMPLE, "random_seed=None")
        found = integrate(pair.experiments, None, chosen, folder=tmp_path).reflections
        assert found == whole.select(np.isin(whole["partial_id"], found["partial_id"]))


@pytest.mark.parametrize("words", [(), UNCOVERED, SAMPLE])
def test_sums_are_those_of_the_lattice_alone(words, pair):
    alone, found = pair.alone(*SUMS), pair.table(*SUMS, *words)
    alone = alone.select(found["partial_id"])
    assert np.array_equal(alone["miller_index"], found["miller_index"])
    good = alone.flags(Flag.INTEGRATED_SUM) & found.flags(Flag.INTEGRATED_SUM)
    pull = ((found["intensity.sum.value"] - alone["intensity.sum.value"])
            / np.sqrt(alone["intensity.sum.variance"]))[good]
    assert len(pull) > 390
    # a very strong neighbour reaches farther than its outline; without masks of neighbours there are more than twenty
    assert np.count_nonzero(np.abs(pull) > 5.0) <= 1


def test_parts_on_single_frames_are_sampled_with_their_reflection(pair):
    whole = pair.table(*SUMS, "integrator=2d")
    found = pair.table(*SUMS, "integrator=2d", *SAMPLE)
    picked = np.isin(whole["partial_id"], found["partial_id"])
    assert len(np.unique(found["partial_id"])) == 600
    assert np.count_nonzero(picked) == len(found) < len(whole)
    assert found == whole.select(picked)


def test_what_is_not_integrated_is_no_reference(pair, whole):
    prepared = prepare(pair.experiments, pair.reference, options(*SAMPLE))
    assert len(prepared.table) == len(whole)
    assert np.count_nonzero(prepared.chosen) == 600
    references = prepared.table.flags(Flag.REFERENCE_SPOT)
    assert np.array_equal(references, whole.flags(Flag.REFERENCE_SPOT) & prepared.chosen)
    assert prepare(pair.experiments, pair.reference, options()).chosen is None
    with pytest.raises(XdpError, match="minimum_sample_size"):
        prepare(pair.experiments, pair.reference, options(SAMPLE[0], "minimum_sample_size=0",
                                                          "reflections_per_degree=0.1"))


def test_joint_fits_leave_the_pixels_of_other_lattices_out(pair):
    words = ALL, "hot_pixels.mask=False", "fit_method=detector_space", "detector_space.deconvolution=True"
    alone, found = pair.alone(*words), pair.table(*words)
    meets = found.flags(Flag.OVERLAPPED_FG) & ~alone.flags(Flag.OVERLAPPED_FG)
    pulls = (found["intensity.prf.value"] - alone["intensity.prf.value"]) / np.sqrt(
        np.maximum(found["intensity.prf.variance"], 1e-9))
    good = found.flags(Flag.INTEGRATED_PRF) & alone.flags(Flag.INTEGRATED_PRF)
    assert np.count_nonzero(good & meets) > 300
    # tails of strong neighbours beyond their outlines are left; with all pixels of the box it is above 50
    assert np.quantile(pulls[good & meets], 0.95) < 5.0
    assert np.quantile(np.abs(pulls[good & ~meets]), 0.95) < 1.0
    assert pair.table(*words, "block.size=3", "block.units=frames") == found
