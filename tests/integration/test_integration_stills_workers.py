"""Stills on the workers of a Dask client: the spots and the intensities of threads, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from stills_data import make_shots

from xdp.cluster import ClusterOptions, MpOptions, connect
from xdp.integration.stills import integrate_stills as stills
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.spotfinding.find import find_spots
from xdp.spotfinding.options import FindSpotsOptions

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def shots(tmp_path_factory):
    return make_shots(tmp_path_factory.mktemp("shots"), size=(260, 240), d_min=2.4)


@pytest.fixture(scope="module")
def client():
    with connect(MpOptions(method="multiprocessing", nproc=2), ClusterOptions(dashboard="none")) as client:
        yield client


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name in expected:
        ours, theirs = found[name], expected[name]
        if isinstance(theirs, Shoeboxes):
            assert ours == theirs
        else:
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_spots_of_stills(shots, client):
    options = FindSpotsOptions(spotfinder={"mp": {"chunksize": 1}})
    expected = find_spots(shots.experiments, options).reflections
    assert len(expected) > 20
    assert_same(find_spots(shots.experiments, options, client=client).reflections, expected)


def test_integrated_stills(shots, client, monkeypatch, tmp_path):
    monkeypatch.setattr(stills, "IMAGES_A_TASK", 1)  # three tasks of the three images
    expected = shots.integrate()
    assert len(expected.reflections) > 100
    for folder in (None, tmp_path):
        found = shots.integrate(client=client, folder=folder)
        assert [e.identifier for e in found.experiments] == [e.identifier for e in expected.experiments]
        assert_same(found.reflections, expected.reflections)
