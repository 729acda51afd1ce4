"""Shots and reflections that a level is refined with."""

from __future__ import annotations

import numpy as np
import pytest
from metrology_data import make_shots

from xdp.errors import XdpError
from xdp.options.named import make_options
from xdp.refinement.options import Outlier
from xdp.serial.metrology.options import RefineMetrologyOptions, RmsdFilter
from xdp.serial.metrology.select import (
    choose_reflections,
    choose_subset,
    compute_shot_rmsds,
    drop_poor_shots,
    filter_shots,
)
from xdp.serial.metrology.shots import pack_stills

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def data():
    _, experiments, table = make_shots(12, {}, n_spots=20)
    packs, kinds = pack_stills(experiments, table, experiments[0].known.detector, 1e4)
    return experiments, table, packs[0], kinds


def choose(table, **named):
    return choose_subset(table, 12, make_options(RefineMetrologyOptions, None, named))


def test_subsets(data):
    _, table, _, _ = data
    assert choose(table).all()
    assert choose(table, n_subset=5).sum() == 5
    assert np.array_equal(choose(table, n_subset=5), choose(table, n_subset=5))
    some = table.select((table["id"] != 4) | (np.arange(len(table)) % 2 == 0))
    assert not choose(some, n_subset=11, n_subset_method="n_refl")[4]
    on_panel = np.bincount(table["id"][table["panel"] == 3], minlength=12)
    assert choose(table, n_subset=1, n_subset_method="n_refl", n_refl_panel_list=(3,))[np.argmax(on_panel)]
    with pytest.raises(XdpError, match="needs intensities"):
        choose(table, n_subset=3, n_subset_method="significance_filter")
    strong = table.with_columns(**{"intensity.sum.value": np.where(table["id"] == 7, 100.0, 1.0),
                                   "intensity.sum.variance": np.full(len(table), 25.0)})
    assert choose(strong, n_subset=1, n_subset_method="significance_filter")[7]


def test_shots_with_large_residuals_are_left_out(data):
    pack = data[2]
    predicted = np.column_stack([pack.spots.xy, np.zeros(len(pack.rows))])
    predicted[:, 0] += 0.02
    predicted[pack.spots.start[5] : pack.spots.start[6], 1] += 0.5
    rmsds = compute_shot_rmsds(pack, predicted, np.ones(len(pack.rows), dtype=bool))
    assert rmsds[0] == pytest.approx(0.02)
    rmsds = rmsds + 1e-4 * np.arange(12)
    assert np.flatnonzero(~filter_shots(rmsds, RmsdFilter())).tolist() == [5]
    assert filter_shots(rmsds, RmsdFilter(enable=False)).all()
    assert filter_shots(rmsds[:6], RmsdFilter()).all()  # too few to tell


@pytest.mark.parametrize("separate", [False, True])
def test_outliers_are_not_used(data, separate):
    experiments, _, pack, _ = data
    predicted = np.column_stack([pack.spots.xy, np.zeros(len(pack.rows))])
    predicted[:, :2] += np.random.default_rng(1).normal(0.0, 0.02, (len(predicted), 2))
    predicted[::20, 0] += 1.0
    predicted[1] = np.nan
    outlier = Outlier(algorithm="tukey", separate_experiments=separate, minimum_number_of_reflections=5)
    use = choose_reflections([pack], [predicted], [np.ones(len(pack.rows), dtype=bool)],
                             experiments[0].known.detector, outlier)[0]
    assert not use[::20].any()
    assert not use[1]
    assert use.mean() > 0.85


def test_poor_shots_are_dropped(data):
    _, _, pack, kinds = data
    use = np.ones(len(pack.rows), dtype=bool)
    use[pack.spots.start[2] + 4 : pack.spots.start[3]] = False  # four reflections are left
    assert drop_poor_shots([pack], [use], [3 + n for n in kinds.counts], 3) == 1
    assert not use[pack.spots.start[2] : pack.spots.start[3]].any()
    assert use.sum() == len(pack.rows) - 20
