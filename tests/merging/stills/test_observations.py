"""Observations of stills: what is left out, partialities of either program, shots and halves."""

from __future__ import annotations

import numpy as np
import pytest
from still_data import draw_stills, get_metric, make_known

from xdp.errors import XdpError
from xdp.experiment.imageset import ImageSet
from xdp.merging.stills.observations import (
    choose_by_resolution,
    find_partialities,
    gather_stills,
    has_partiality_model,
    name_shots,
    share_out_shots,
)
from xdp.reflections.flags import Flag


def test_what_cannot_be_merged_is_left_out():
    drawn = draw_stills(60)
    table, metric = make_known(drawn), get_metric(drawn.experiments)
    value, flags = np.array(table["intensity.sum.value"], float), np.array(table["flags"])
    value[0], flags[1] = np.nan, flags[1] | np.uint64(int(Flag.FOREGROUND_INCLUDES_BAD_PIXELS))
    faulty = table.with_columns(**{"intensity.sum.value": value, "flags": flags})
    seen = gather_stills(drawn.experiments, faulty, metric)
    assert np.all(np.isfinite(seen.value))
    assert seen.partiality.min() >= 0.05
    assert np.all(seen.background > 0.0)
    assert len(seen) == np.count_nonzero(table["partiality"][2:] >= 0.05)
    with pytest.raises(XdpError, match="can be merged"):
        gather_stills(drawn.experiments, table.with_columns(**{"intensity.sum.value": value * np.nan}), metric)
    del table["intensity.sum.variance"]
    with pytest.raises(XdpError, match="not integrated"):
        gather_stills(drawn.experiments, table, metric)


def test_variances_of_partialities_and_of_their_inverses():
    table = make_known(draw_stills(60))
    assert has_partiality_model(table)
    p, relative = find_partialities(table)
    np.testing.assert_allclose(relative, 0.08**2)
    inverse = table.with_columns(**{"partiality.inv.variance": relative / p**2})
    del inverse["partiality.variance"]
    np.testing.assert_allclose(find_partialities(inverse)[1], relative)
    assert not has_partiality_model(draw_stills(60).reflections)


def test_lattices_of_one_image_are_one_shot():
    from dataclasses import replace

    experiments = list(draw_stills(60).experiments)[:3]
    assert name_shots(experiments) == ["shot-0", "shot-1", "shot-2"]
    images = [ImageSet("ImageSet", images=("run.h5",), single_file_indices=(k,)) for k in (3, 3, 4)]
    names = name_shots([replace(e, imageset=i) for e, i in zip(experiments, images, strict=True)])
    assert names == ["run.h5//3", "run.h5//3", "run.h5//4"]


def test_halves_have_whole_shots():
    shots = np.repeat(np.arange(101), 2)
    half = share_out_shots(shots, seed=7)
    assert np.array_equal(half[::2], half[1::2])
    assert abs(int(half[::2].sum()) - 50) <= 1


def test_a_lattice_ends_at_its_own_resolution():
    drawn = draw_stills(60)
    seen = gather_stills(drawn.experiments, make_known(drawn), get_metric(drawn.experiments))
    near, far = (choose_by_resolution(seen, 60, push) for push in (0.0, 50.0))
    assert far.all()
    assert 0.5 < near.mean() < 1.0
