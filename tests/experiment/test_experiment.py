from __future__ import annotations

import dataclasses
import pickle

import pytest
from experiment_examples import experiments

from xdp.errors import XdpError
from xdp.experiment import Experiment, ExperimentList, Goniometer, Scan
from xdp.experiment.io import experiments_from_dict, experiments_to_dict


def test_it_is_a_sequence():
    both = experiments()
    assert (len(both), both[1].identifier, both[-1] is both[1]) == (2, "id1", True)
    assert isinstance(both[:1], ExperimentList)
    assert [e.identifier for e in both[:1]] == ["id0"]
    with pytest.raises(IndexError):
        both[2]


def test_known_models_are_the_models_or_an_error():
    one = experiments()[0]
    for name in ("beam", "detector", "goniometer", "scan", "crystal", "imageset"):
        assert getattr(one.known, name) is getattr(one, name)
        with pytest.raises(XdpError, match=f"experiment id0 has no {name}, which is needed here"):
            getattr(dataclasses.replace(one, **{name: None}).known, name)
    with pytest.raises(XdpError, match="an experiment has no profile"):
        _ = Experiment().known.profile


def test_unique_models_are_distinct_objects_in_order():
    both = experiments()
    assert len(both.unique("detector")) == 1
    assert both.unique("crystal") == [both[0].crystal, both[1].crystal]
    assert both.unique("profile") == []


def test_shared_models_are_written_once():
    written = experiments_to_dict(experiments())
    assert [e["crystal"] for e in written["experiment"]] == [0, 1]
    assert [e["beam"] for e in written["experiment"]] == [0, 0]
    assert {name: len(written[name]) for name in ("beam", "detector", "goniometer", "scan", "crystal", "imageset",
                                                  "profile", "scaling_model")} == {
        "beam": 1, "detector": 1, "goniometer": 1, "scan": 1, "crystal": 2, "imageset": 1, "profile": 0,
        "scaling_model": 0}


def test_equal_models_that_are_two_objects_stay_two():
    first = experiments()[0]
    copy = dataclasses.replace(first, beam=dataclasses.replace(first.beam))
    assert len(experiments_to_dict(ExperimentList([first, copy]))["beam"]) == 2


def test_sharing_survives_reading_and_pickling():
    for both in (experiments_from_dict(experiments_to_dict(experiments())), pickle.loads(pickle.dumps(experiments()))):
        assert both[0].detector is both[1].detector
        assert both[0].crystal is not both[1].crystal
        assert both == experiments()


def test_stills():
    assert Experiment().is_still
    assert Experiment(goniometer=Goniometer(), scan=Scan((1, 1), (0.0, 0.0))).is_still
    assert not Experiment(goniometer=Goniometer(), scan=Scan((1, 1), (0.0, 0.1))).is_still
