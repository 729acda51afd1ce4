"""What an unfinished run leaves on disk: results of its tasks in a hidden folder beside the output, under keys."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from xdp.errors import DiskError, XdpError
from xdp.files import disk_errors, name_what_is_kept
from xdp.protection import refuse_input

_LOCK = ".lock"


def work_folder(path: Path) -> Path:
    """Where the task results of an unfinished output lie: a hidden folder beside it."""
    return path.with_name(f".xdp-{path.name}.work")


@contextlib.contextmanager
def open_work_folder(path: Path) -> Iterator[Path]:
    """The work folder of an output: removed when all is done, kept after a failure where there is something in it.

    It is one run's alone: another one would lose its results when the first is done.

    Raises
    ------
    XdpError
        If the output is a folder or an input, cannot be written in its folder, or is being written by another run.
    """
    if path.is_dir():
        raise XdpError(f"{path}: is a folder, a file is to be written there")
    folder = work_folder(path)
    refuse_input(path)
    refuse_input(folder, is_folder=True)
    with _locked(folder, path):
        try:
            yield folder
            shutil.rmtree(folder, ignore_errors=True)
        except DiskError as error:
            if len(os.listdir(folder)) > 1:
                raise name_what_is_kept(error, folder) from error
            raise
        finally:
            with contextlib.suppress(OSError):
                (folder / _LOCK).unlink()
            with contextlib.suppress(OSError):  # not empty, or not there any more
                folder.rmdir()


@contextlib.contextmanager
def _locked(folder: Path, path: Path) -> Iterator[None]:
    """Make the work folder of the output `path` and hold the lock in it, which ends with the process at the latest."""
    while True:
        try:
            folder.mkdir(exist_ok=True)
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            if path.parent.is_dir():  # another run has just removed the folder
                continue
            raise XdpError(f"{path}: cannot write into {path.parent}: there is no such folder") from None
        except OSError as error:
            raise XdpError(f"{path}: cannot write into {path.parent}: {error.strerror}") from error
        try:
            _hold(lock, folder, path)
            if _is_there(lock, folder / _LOCK):
                yield
                return
        finally:
            os.close(lock)


def _hold(lock: int, folder: Path, path: Path) -> None:
    """Lock an open file and leave a word in it about who has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 200).decode(errors="replace") or "another process"
        raise XdpError(f"{path}: is being written by {holder}: wait for it, or give this run another output (if that "
                       f"process is gone for good, remove {folder / _LOCK})") from None
    except OSError:  # a file system without locks: two runs at a time are the user's to avoid
        return
    with contextlib.suppress(OSError):  # a full disk shows when there are results to keep
        os.truncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)


def _is_there(lock: int, path: Path) -> bool:
    """Whether an open file is still the one of that name; the run that had it before may have removed it."""
    try:
        return os.path.samestat(os.fstat(lock), os.stat(path))
    except FileNotFoundError:
        return False


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a file that appears whole or not at all; a task that runs twice leaves one file."""
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with disk_errors(path):
            with open(part, "wb") as stream:
                np.savez(stream, allow_pickle=False, **arrays)
            os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def load_arrays(path: Path, wanted: tuple[str, ...] = ("",)) -> dict[str, np.ndarray] | None:
    """The arrays of a file whose names begin as `wanted`, None where it does not exist or is damaged."""
    try:
        with np.load(path, allow_pickle=False) as saved:
            return {name: saved[name] for name in saved.files if name.startswith(wanted)}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None


def stamp(path: str | os.PathLike) -> list:
    """A file's path, size in bytes and time of change in ns; None for both of a file that is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return [os.path.abspath(path), None, None]
    return [os.path.abspath(path), status.st_size, status.st_mtime_ns]
