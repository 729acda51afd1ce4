"""Which frames are searched together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sweeps import background, stills, sweep

from xdp.errors import OptionError, XdpError
from xdp.experiment import ExperimentList, ImageSet
from xdp.spotfinding.run.searches import plan_searches


def test_sweep_is_one_search_with_z_of_its_array_range(tmp_path):
    search, = plan_searches(sweep(tmp_path, background(4), first_image=11))
    assert search.z_of.tolist() == search.label_frames.tolist() == [10, 11, 12, 13]
    assert search.frame_of.tolist() == [0, 1, 2, 3]
    assert search.owners == ((0, 10, 14),)
    assert not search.is_flat


def test_scan_ranges_are_searches_of_their_own(tmp_path):
    first, second = plan_searches(sweep(tmp_path, background(9), first_image=11), [(12, 13), (19, 19)])
    assert first.z_of.tolist() == [11, 12]
    assert second.z_of.tolist() == [18]
    assert second.frame_of.tolist() == [8]


@pytest.mark.parametrize("wrong", [(13, 12), (10, 12), (15, 20)])
def test_scan_ranges_outside_are_refused(tmp_path, wrong):
    with pytest.raises(OptionError, match="scan_range"):
        plan_searches(sweep(tmp_path, background(9), first_image=11), [wrong])


def test_still_sweeps_and_force_2d_are_flat(tmp_path):
    one, = sweep(tmp_path, background(3))
    still = dataclasses.replace(one, scan=dataclasses.replace(one.scan, oscillation=(0.0, 0.0)))
    assert plan_searches(ExperimentList([still]))[0].is_flat
    assert plan_searches(ExperimentList([one]), force_2d=True)[0].is_flat


def test_stills_of_the_same_models_are_one_search(tmp_path):
    search, = plan_searches(stills(tmp_path, background(5)))
    assert search.z_of.tolist() == [0, 1, 2, 3, 4]
    assert search.id_of.tolist() == [0, 1, 2, 3, 4]
    assert search.is_flat
    assert search.find_ids(np.array([3, 1]), np.zeros(2)).tolist() == [3, 1]


def test_stills_of_other_models_and_sweeps_between_them_part(tmp_path):
    some = list(stills(tmp_path, background(4)))
    moved = dataclasses.replace(some[2].beam, wavelength=2.0)
    mixed = [*some[:2], *(dataclasses.replace(s, beam=moved) for s in some[2:]), *sweep(tmp_path, background(2))]
    searches = plan_searches(ExperimentList(mixed))
    assert [s.n_frames for s in searches] == [2, 2, 2]
    assert [s.number for s in searches] == [0, 2, 4]
    assert searches[2].find_ids(np.zeros(1, int), np.array([0.7])).tolist() == [4]


def test_single_files_all_have_z_zero(tmp_path):
    one = stills(tmp_path, background(1))[0]
    files = [dataclasses.replace(one, imageset=ImageSet("ImageSet", images=(f"{i}.cbf",))) for i in range(3)]
    search, = plan_searches(ExperimentList(files))
    assert search.z_of.tolist() == [0, 0, 0]
    assert search.label_frames.tolist() == [0, 1, 2]


def test_of_experiments_on_the_same_frames_the_last_gets_the_spots(tmp_path):
    one, = sweep(tmp_path, background(6))
    search, = plan_searches(ExperimentList([one, dataclasses.replace(one, identifier="second lattice")]))
    assert search.find_ids(np.zeros(1, int), np.array([2.5])).tolist() == [1]


def test_experiments_without_images_are_refused(tmp_path):
    one, = sweep(tmp_path, background(2))
    with pytest.raises(XdpError, match="experiment 0 has no images"):
        plan_searches(ExperimentList([dataclasses.replace(one, imageset=None)]))
