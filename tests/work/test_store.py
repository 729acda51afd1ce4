"""Results by name in files and in memory, and arrays in files that appear whole."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.work import store as module
from xdp.work.store import ResultStore, load_arrays, save_arrays


def test_arrays_come_back_all_or_some(tmp_path):
    path = tmp_path / "a.npz"
    save_arrays(path, {"x.one": np.arange(3), "x.two": np.ones(2), "y": np.zeros(0)})
    assert set(load_arrays(path)) == {"x.one", "x.two", "y"}
    assert set(load_arrays(path, ("x.t", "y"))) == {"x.two", "y"}
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_missing_and_damaged_files_are_none(tmp_path):
    path = tmp_path / "a.npz"
    assert load_arrays(path) is None
    save_arrays(path, {"x": np.arange(1000)})
    path.write_bytes(path.read_bytes()[:500])
    assert load_arrays(path) is None


@pytest.fixture(params=["memory", "files", "files and memory"])
def store(request, tmp_path):
    return ResultStore(None if request.param == "memory" else tmp_path, request.param != "files")


def test_results_come_back_under_their_names(store):
    assert not store.has("one")
    assert store.load("one") is None
    store.save("one", {"x": np.arange(3)})
    store.save("two", {"x": np.arange(4)})
    assert store.has("one")
    assert store.load("one")["x"].tolist() == [0, 1, 2]
    store.save("one", {"x": np.arange(5)})
    assert len(store.load("one")["x"]) == 5
    with store.open("two") as arrays:
        assert list(arrays) == ["x"]
        assert len(arrays["x"]) == 4


def test_what_lies_in_files_is_there_for_the_next_run(tmp_path):
    ResultStore(tmp_path).save("one", {"x": np.arange(3)})
    later = ResultStore(tmp_path)
    assert later.has("one")
    assert later.load("one")["x"].tolist() == [0, 1, 2]


def test_only_what_is_asked_for_is_read_from_a_file(tmp_path):
    store = ResultStore(tmp_path, keeps=False)
    store.save("one", {"x.a": np.arange(3), "y.a": np.arange(3)})
    assert set(store.load("one", ("x.",))) == {"x.a"}


def test_memory_is_bounded_where_there_are_files(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_IN_MEMORY", 100)
    store = ResultStore(tmp_path)
    for name in ("one", "two", "three"):
        store.save(name, {"x": np.zeros(6)})  # 48 bytes
    for name in ("one", "two", "three"):
        store.path(name).unlink()
    assert [store.has(name) for name in ("one", "two", "three")] == [True, True, False]
    store.drop("t")
    assert not store.has("two")
    store.save("four", {"x": np.zeros(6)})
    store.path("four").unlink()
    assert store.has("four")  # in the room of the dropped one


def test_results_of_this_run_go_to_files_when_memory_is_used_up(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_IN_MEMORY", 100)
    store = ResultStore(tmp_path)
    for number in range(3):
        store.save_for_now(str(number), {"x": np.full(6, number)})
    assert [path.name for path in tmp_path.iterdir()] == ["2.npz"]
    for number in range(3):
        with store.open(str(number)) as arrays:
            assert arrays["x"].tolist() == [number] * 6
    store.save_for_now("0", {"x": np.zeros(20)})  # larger than before, and too large
    with store.open("0") as arrays:
        assert len(arrays["x"]) == 20


def test_a_damaged_result_is_made_again(tmp_path):
    store = ResultStore(tmp_path, keeps=False)
    made = []

    def make():
        made.append(1)
        store.save("one", {"x": np.arange(1000)})

    make()
    store.path("one").write_bytes(store.path("one").read_bytes()[:500])
    assert len(store.load_or_make("one", make)["x"]) == 1000
    assert len(store.load_or_make("one", make)["x"]) == 1000
    assert len(made) == 2


def test_a_result_that_is_damaged_each_time_is_an_error(tmp_path):
    store = ResultStore(tmp_path)
    with pytest.raises(XdpError, match=r"one\.npz: is damaged again and again"):
        store.load_or_make("one", lambda: store.path("one").write_bytes(b"PK"))


def test_a_worker_sees_the_files_and_not_the_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = ResultStore(tmp_path.relative_to(tmp_path))
    store.save("one", {"x": np.arange(3)})
    there = pickle.loads(pickle.dumps(store))
    assert there.folder == tmp_path
    assert there.load("one")["x"].tolist() == [0, 1, 2]
    there.save("two", {"x": np.arange(3)})
    there.path("two").unlink()
    assert not there.has("two")


def test_a_task_that_is_tried_again_saves_into_the_same_store():
    store = ResultStore(None)
    copy.deepcopy({"store": store})["store"].save("one", {"x": np.arange(3)})
    assert store.has("one")
