"""Which reflections and experiments are given in the end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from integration_data import options

from xdp.cli.inputs import read_pairs
from xdp.experiment import ExperimentList, ImageSet
from xdp.experiment.imageset import SEQUENCE
from xdp.integration.integrate import integrate_to_file
from xdp.reflections.flags import Flag
from xdp.reflections.refl import read_reflections
from xdp.reflections.table import ReflectionTable

pytestmark = pytest.mark.kernels


def test_unusable_spots_follow_their_experiments_through_the_significance_filter(series, tmp_path):
    """Of two experiments the first has nothing but background: it goes, and its unusable spots with it."""
    stack = np.load(series.folder / "frames.npy")
    np.save(tmp_path / "empty.npy", np.random.default_rng(1).poisson(2.0, stack.shape).astype(stack.dtype))
    empty = ImageSet(SEQUENCE, template=str(tmp_path / "empty.npy"))
    experiments = ExperimentList([replace(series.experiments[0], identifier="empty", imageset=empty),
                                  series.experiments[0]])
    spots = series.reference
    ids = np.repeat(np.array([0, 1], np.int32), len(spots))
    unindexed = np.flatnonzero(~np.tile(spots.flags(Flag.INDEXED), 2))
    ids[unindexed[-2:]] = -1
    both = ReflectionTable.concatenate([spots, spots])
    both["id"], both.identifiers = ids, {}
    files = [str(tmp_path / "out.expt"), str(tmp_path / "out.refl")]
    integrate_to_file(experiments, both, options(
        "significance_filter.enable=True", "include_bad_reference=True", "profile.fitting=False",
        f"output.experiments={files[0]}", f"output.reflections={files[1]}"))
    table = read_reflections(files[1])
    bad = table.flags(Flag.BAD_REFERENCE)
    assert np.unique(table["id"][~bad]).tolist() == [0]
    assert np.unique(table["id"][bad], return_counts=True)[1].tolist() == [2, len(unindexed) // 2 - 2]
    assert set(table["id"][bad].tolist()) == {-1, 0}
    found, _ = read_pairs(files, "integrate")  # they belong together
    assert [e.identifier for e in found] == [series.experiments[0].identifier]
