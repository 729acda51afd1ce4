"""Output files that appear whole or not at all, and their folders."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys

import pytest

from xdp.errors import DiskError, XdpError
from xdp.files import atomic_output, disk_errors, make_folder, together
from xdp.work.folder import open_work_folder
from xdp.work.store import save_arrays


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_output(path) as part:
        part.write_text("half")
        assert not path.exists()
        assert part.parent == tmp_path
    assert path.read_text() == "half"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with atomic_output(path) as part:
            part.write_text("new")
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    with atomic_output(tmp_path / "a") as part:
        part.write_text("")
    (tmp_path / "b").write_text("")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


def test_no_folder_no_file(tmp_path):
    def write():
        with atomic_output(tmp_path / "none" / "a") as part:
            part.write_text("")

    with pytest.raises(XdpError, match="cannot write into"):
        write()


def test_folders_are_made(tmp_path):
    made = make_folder(tmp_path / "a" / "b")
    assert made.is_dir()
    assert make_folder(made) == made


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(XdpError, match=r"a/b: this folder for output cannot be made"):
        make_folder(tmp_path / "a" / "b")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_replaced(tmp_path, make):
    make(tmp_path / "a")
    with pytest.raises(XdpError, match="is a "), atomic_output(tmp_path / "a"):
        raise AssertionError
    assert os.listdir(tmp_path) == ["a"]


def test_long_names(tmp_path):
    name = "n" * 250
    with atomic_output(tmp_path / name) as part:
        part.write_text("x")
    assert os.listdir(tmp_path) == [name]


# ---- pairs


def write(path, text):
    with atomic_output(path) as part:
        part.write_text(text)


def write_pair(folder):
    with together():
        write(folder / "a.expt", "new")
        assert not (folder / "a.expt").exists() or (folder / "a.expt").read_text() == "old"
        write(folder / "a.refl", "new")


def test_pairs_appear_together(tmp_path):
    write_pair(tmp_path)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.expt": "new", "a.refl": "new"}


@pytest.mark.parametrize("old", [True, False])
def test_where_the_second_file_cannot_be_written_the_first_stays(tmp_path, old):
    if old:
        (tmp_path / "a.expt").write_text("old")
    (tmp_path / "a.refl").mkdir()
    with pytest.raises(XdpError, match=r"a\.refl: is a folder"):
        write_pair(tmp_path)
    assert sorted(os.listdir(tmp_path)) == (["a.expt", "a.refl"] if old else ["a.refl"])
    assert not old or (tmp_path / "a.expt").read_text() == "old"


@pytest.mark.parametrize("old", [True, False])
def test_where_the_second_file_cannot_be_put_in_its_place_the_first_is_put_back(tmp_path, monkeypatch, old):
    if old:
        (tmp_path / "a.expt").write_text("old")
    replace = os.replace

    def fail(source, target):
        if str(target).endswith(".refl"):
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(XdpError, match=r"a\.refl: cannot be put in its place"):
        write_pair(tmp_path)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == ({"a.expt": "old"} if old else {})


def test_an_error_between_the_two_leaves_neither(tmp_path):
    def fail():
        with together():
            write(tmp_path / "a.expt", "new")
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert os.listdir(tmp_path) == []


def test_blocks_within_blocks_wait_for_the_outer_one(tmp_path):
    with together():
        with together():
            write(tmp_path / "a", "x")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_text() == "x"


# ---- disks that take no more


@pytest.fixture
def small_files():
    """No file of this process may grow beyond 10 kB: what a full disk does, without one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_names_the_file(tmp_path, small_files):
    with pytest.raises(DiskError, match=rf"{tmp_path}/a: cannot be written: File too large"):
        write(tmp_path / "a", "x" * 20_000)
    assert os.listdir(tmp_path) == []


def test_hdf5_says_it_in_its_own_words(tmp_path, small_files):
    import h5py
    import numpy as np

    def fill():
        with atomic_output(tmp_path / "a") as part, h5py.File(part, "w", locking=False) as file:
            file["x"] = np.zeros(20_000)

    with pytest.raises(DiskError, match=rf"{tmp_path}/a: cannot be written: File too large"):
        fill()


def test_what_is_finished_stays_in_the_work_folder(tmp_path, small_files):
    import numpy as np

    def run():
        with open_work_folder(tmp_path / "a.refl") as folder:
            save_arrays(folder / "one.npz", {"x": np.zeros(10)})
            save_arrays(folder / "two.npz", {"x": np.zeros(20_000)})

    with pytest.raises(DiskError, match=r"two\.npz: cannot be written: File too large; what is finished is kept in"):
        run()
    assert os.listdir(tmp_path / ".xdp-a.refl.work") == ["one.npz"]


def test_other_errors_stay_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path / "a"):
        (tmp_path / "none").read_bytes()


# ---- killed runs

_KILLED = """
import os, signal, sys
from xdp.files import atomic_output
with atomic_output(sys.argv[1]) as part:
    part.write_text("half")
    print(part, flush=True)
    sys.stdin.read()
"""


def start_writer(path):
    process = subprocess.Popen([sys.executable, "-c", _KILLED, str(path)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    return process, os.path.basename(process.stdout.readline().strip())


def test_the_next_run_removes_what_a_killed_one_has_left_but_not_what_another_writes(tmp_path):
    killed, left = start_writer(tmp_path / "a.h5")
    living, kept = start_writer(tmp_path / "a.h5")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    others = [".a.h5.part", ".a.h5.abcdefgh.part.txt", ".b.h5.abcdefgh.part", "a.h5.abcdefgh.part"]
    for name in others:
        (tmp_path / name).write_text("not ours")
    assert left in os.listdir(tmp_path)
    subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "a.h5")], check=True, stdin=subprocess.DEVNULL)
    assert sorted(os.listdir(tmp_path)) == sorted(["a.h5", kept, *others])
    living.communicate("")
    assert (tmp_path / "a.h5").read_text() == "half"
