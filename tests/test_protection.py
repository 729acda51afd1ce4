"""No output over an input: files are told apart by what they are, not by their names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from xdp.errors import XdpError
from xdp.files import atomic_output
from xdp.logs import start_log, stop_log
from xdp.protection import Input, Inputs, command_scope, declare, protect, refuse_input
from xdp.work.folder import open_work_folder


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """A file of raw data in the current folder, as the only input."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw.cbf").write_bytes(b"counts")
    yield Inputs(lambda: [Input("raw.cbf", "an input of this run")])
    assert (tmp_path / "raw.cbf").read_bytes() == b"counts"


def linked(name, make):
    make("raw.cbf", name)
    return name


SPELLINGS = {
    "as it is": lambda: "raw.cbf",
    "whole path": lambda: os.path.abspath("raw.cbf"),
    "dots": lambda: "./nowhere/../raw.cbf" if os.mkdir("nowhere") is None else "",
    "symbolic link": lambda: linked("soft", os.symlink),
    "hard link": lambda: linked("hard", os.link),
    "folder's link": lambda: (os.symlink(".", "here"), "here/raw.cbf")[1],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_file_is_known_under_any_name(raw, spelling):
    name = SPELLINGS[spelling]()
    with pytest.raises(XdpError, match=r"raw\.cbf, an input of this run") as caught:
        raw.refuse(name, "output.log")
    assert f"output.log={name}" in str(caught.value)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_whoever_writes_asks(raw, spelling):
    name = SPELLINGS[spelling]()
    with protect(raw):
        for write in (atomic_output(name), open_work_folder(Path(name))):
            with pytest.raises(XdpError, match="would replace"):
                write.__enter__()
        with pytest.raises(XdpError, match="would replace"):
            start_log(name)
    stop_log()


def test_what_is_not_there_is_no_input(raw):
    raw.refuse("new.refl")
    raw.refuse("no/such/folder/x")


def test_devices_are_no_inputs(raw):
    Inputs(lambda: [Input("/dev/null", "an input of this run")]).refuse("/dev/null")


def test_inputs_are_sought_once_and_only_where_an_output_is_there():
    asked = []
    inputs = Inputs(lambda: asked.append(1) or [])
    inputs.refuse("/no/such/file")
    assert asked == []
    inputs.refuse(__file__)
    inputs.refuse(__file__)
    assert asked == [1]


def test_a_released_file_may_be_replaced(raw):
    raw.release("raw.cbf")
    raw.refuse("raw.cbf")


def test_folders_that_are_inputs_and_that_hold_inputs(tmp_path):
    store = tmp_path / "data" / "images.zarr"
    (store / "counts").mkdir(parents=True)
    (store / "zarr.json").write_text("{}")
    inputs = Inputs(lambda: [Input(str(store), "an input of this run")])
    for place in (store, store / "zarr.json", store / "counts"):
        with pytest.raises(XdpError, match=r"images\.zarr"):
            inputs.refuse(place)
    for place in (tmp_path / "data", tmp_path):
        inputs.refuse(place)  # no file can be written there
        with pytest.raises(XdpError, match=r"images\.zarr"):
            inputs.refuse(place, is_folder=True)
    (tmp_path / "data" / "other").write_text("")
    inputs.refuse(tmp_path / "data" / "other")


def test_a_file_that_may_be_an_input_is_asked(raw):
    verdicts = iter([False, True])
    inputs = Inputs(lambda: [Input("raw.cbf", "an input of this run", lambda path: next(verdicts))])
    inputs.refuse("raw.cbf")
    with pytest.raises(XdpError):
        inputs.refuse("raw.cbf")


def test_what_a_command_declares_ends_with_it(raw):
    declare(raw)
    refuse_input("raw.cbf")  # no command runs
    with command_scope():
        declare(raw)
        with command_scope():
            refuse_input("raw.cbf")  # a command within a command has its own inputs
        with pytest.raises(XdpError):
            refuse_input("raw.cbf")
    refuse_input("raw.cbf")
