from __future__ import annotations

import contextlib
import copy
import json
import os

import pytest
from experiment_examples import experiments, flat_panel
from hypothesis import given, settings
from hypothesis import strategies as st

from xdp.errors import FormatError, OptionError, XdpError
from xdp.experiment import Detector, Experiment, ExperimentList, read_experiments, write_experiments
from xdp.experiment.io import experiments_from_dict, experiments_to_dict


def test_round_trip_through_a_file(tmp_path):
    write_experiments(tmp_path / "a.expt", experiments())
    assert read_experiments(tmp_path / "a.expt") == experiments()
    assert os.listdir(tmp_path) == ["a.expt"]


def test_compact_files_have_the_same_content_on_one_line(tmp_path):
    write_experiments(tmp_path / "a.expt", experiments(), compact=True)
    assert read_experiments(tmp_path / "a.expt") == experiments()
    assert (tmp_path / "a.expt").read_text().count("\n") == 0


def test_unknown_keys_at_every_level_are_kept(tmp_path):
    source = experiments_to_dict(experiments())
    source["history"] = {"by": "somebody"}
    source["experiment"][0]["note"] = [1, 2]
    for name in ("beam", "detector", "goniometer", "scan", "crystal", "imageset"):
        source[name][0]["unknown"] = {name: None}
    source["detector"][0]["panels"][0]["unknown"] = 3.5
    source["profile"] = [{"__id__": "gaussian_rs", "sigma_b": 0.1}]
    source["scaling_model"] = [{"__id__": "physical", "configuration_parameters": {"x": 1}}]
    source["experiment"][1] |= {"profile": 0, "scaling_model": 0}
    (tmp_path / "a.expt").write_text(json.dumps(source))
    write_experiments(tmp_path / "b.expt", read_experiments(tmp_path / "a.expt"))
    assert json.loads((tmp_path / "b.expt").read_text()) == source


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), st.floats(1e-3, 100, exclude_min=True))
def test_numbers_keep_their_last_bit(origin, wavelength):
    source = experiments_to_dict(experiments())
    source["detector"][0]["panels"][0]["origin"] = origin
    source["beam"][0]["wavelength"] = wavelength
    text = json.dumps(experiments_to_dict(experiments_from_dict(source)))
    written = json.loads(text)
    assert [v.hex() for v in written["detector"][0]["panels"][0]["origin"]] == [v.hex() for v in origin]
    assert written["beam"][0]["wavelength"].hex() == wavelength.hex()


def test_missing_models_are_left_out(tmp_path):
    write_experiments(tmp_path / "a.expt", [Experiment(identifier="x")])
    source = json.loads((tmp_path / "a.expt").read_text())
    assert source["experiment"] == [{"__id__": "Experiment", "identifier": "x"}]
    assert read_experiments(tmp_path / "a.expt")[0].beam is None


def test_null_models_of_old_files_are_no_models():
    source = experiments_to_dict(experiments())
    source["goniometer"] = source["detector"] = [None]
    source["scan"], source["experiment"][1]["scan"], source["experiment"][0]["scan"] = [], None, None
    for experiment in experiments_from_dict(source):
        assert experiment.goniometer is experiment.detector is experiment.scan is None


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.expt"
    write_experiments(path, experiments())
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_experiments(path, ExperimentList(experiments(), {"bad": object()}))
    assert path.read_bytes() == before
    with pytest.raises(XdpError, match="nowhere"):
        write_experiments(tmp_path / "nowhere" / "a.expt", experiments())


@pytest.mark.parametrize(("content", "message"), [
    (b"\x93NUMPY\x00\xff", "no text"),
    (b"This is a log file.", "expected experiments as JSON"),
    (b"", "expected experiments as JSON"),
    (b'{"__id__": "ExperimentList", ', "expected experiments as JSON"),
    (b"[" * 100_000, "expected experiments as JSON"),
    (b"[1, 2]", "expected a JSON object"),
    (b'[{"__id__": "DataBlock"}]', "DataBlock of DIALS before 2.0"),
    (b"{}", "'__id__' must be 'ExperimentList', got None"),
    (b'{"__id__": "DataBlock"}', "got 'DataBlock'"),
    (b'{"__id__": "ExperimentList", "experiment": 3}', "'experiment' must be a list"),
    (b'{"__id__": "ExperimentList", "experiment": [3]}', "experiment 0: expected a JSON object"),
    (b'{"__id__": "ExperimentList", "experiment": [{"beam": 0}]}', "'beam' must be an index below 0"),
])
def test_files_that_are_something_else(tmp_path, content, message):
    path = tmp_path / "bad.expt"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message) as caught:
        read_experiments(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FormatError, match="cannot be read"):
        read_experiments(tmp_path / "none.expt")
    with pytest.raises(FormatError, match="cannot be read"):
        read_experiments(tmp_path)


@pytest.mark.parametrize("index", [1, -1, 0.0, True, "beam.json", [0]])
def test_indices_that_point_nowhere(index):
    source = experiments_to_dict(experiments())
    source["experiment"][1]["beam"] = index
    with pytest.raises(FormatError, match="experiment 1: 'beam' must be an index below 1"):
        experiments_from_dict(source)


def test_nan_geometry_names_file_and_panel(tmp_path):
    source = experiments_to_dict(experiments())
    source["detector"][0]["panels"][0]["origin"][2] = float("nan")
    path = tmp_path / "nan.expt"
    path.write_text(json.dumps(source))
    with pytest.raises(FormatError, match=r"nan.expt: detector 0, panel 0: 'origin' must be 3 finite numbers"):
        read_experiments(path)


def leaves(node, path=()):
    """Paths to all values of a JSON tree."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from leaves(value, (*path, key))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_file_is_an_error_with_a_message_or_still_good(data):
    """Any value replaced by any other: FormatError, never another exception."""
    source = copy.deepcopy(experiments_to_dict(experiments()))
    *parents, last = data.draw(st.sampled_from(list(leaves(source))))
    node = source
    for key in parents:
        node = node[key]
    node[last] = data.draw(st.sampled_from(
        [None, 3, -1, 1e308, float("nan"), float("inf"), "x", [], {}, [[]], [None], True, {"panel": "x"}]))
    with contextlib.suppress(FormatError):
        experiments_to_dict(experiments_from_dict(source))


@pytest.mark.parametrize(("written", "kind", "meant"), [
    ([-1, 65535], "SENSOR_PAD", (0.0, 65534.0)),  # DIALS 3.12: both ends excluded
    ([-1, 65535], "SENSOR_CCD", (0.0, 65534.0)),
    ([0, 65535], "SENSOR_PAD", (0.0, 65535.0)),  # later DIALS: both included
    ([-400, 90000], "SENSOR_PAD", (-400.0, 90000.0)),
    ([0, 0], "SENSOR_PAD", (0.0, 0.0)),
])
def test_the_old_convention_is_recognised(written, kind, meant):
    source = experiments_to_dict(experiments())
    source["detector"][0]["panels"][0] |= {"trusted_range": written, "type": kind}
    assert experiments_from_dict(source)[0].detector[0].trusted_range == meant


def test_the_caller_can_say_that_a_file_is_old():
    source = experiments_to_dict(experiments())
    source["detector"][0]["panels"][0]["trusted_range"] = [1, 65535]
    old = experiments_from_dict(source, compatibility="dials-3.12")
    assert old[0].detector[0].trusted_range == (2.0, 65534.0)


@pytest.mark.parametrize("compatibility", [None, "dials-3.12"])
@pytest.mark.parametrize("trusted", [(0.0, 65535.0), (-1.0, 65535.0), (0.0, 0.0), (5.0, float("inf"))])
def test_our_own_files_are_taken_for_what_they_mean(tmp_path, trusted, compatibility):
    ours = [Experiment(detector=Detector((flat_panel(trusted_range=trusted),)))]
    write_experiments(tmp_path / "a.expt", ours, compatibility)
    assert read_experiments(tmp_path / "a.expt")[0].detector[0].trusted_range == trusted


@pytest.mark.parametrize("as_dials_writes_it", [True, False])
def test_an_old_convention_is_kept_from_file_to_file(tmp_path, as_dials_writes_it):
    """Who works with DIALS 3.12 gets files that it understands, without saying so at each step."""
    ours = ExperimentList([Experiment(detector=Detector((flat_panel(trusted_range=(0.0, 65535.0)),)))])
    source = experiments_to_dict(ours, "dials-3.12")
    if as_dials_writes_it:
        del source["xdp"]
    write_experiments(tmp_path / "next.expt", experiments_from_dict(source))
    written = json.loads((tmp_path / "next.expt").read_text())
    assert written["detector"][0]["panels"][0]["trusted_range"] == [-1.0, 65536.0]
    assert read_experiments(tmp_path / "next.expt")[0].detector[0].trusted_range == (0.0, 65535.0)


def test_an_unknown_compatibility_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"dials-3.12"):
        write_experiments(tmp_path / "a.expt", experiments(), "dials-1.0")
