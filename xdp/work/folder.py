"""The work folder of an output: a hidden folder beside it, where an unfinished run keeps the results of its tasks.

It belongs to one run at a time. The lock is a file in it that the process holds with ``flock``: the system releases it
when the process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from xdp.errors import DiskError, XdpError
from xdp.files import name_what_is_kept
from xdp.protection import refuse_input

_LOCK = ".lock"
"""Name of the file in a work folder that its run holds locked; it says which process that is."""


def name_work_folder(path: Path) -> Path:
    """Name the folder in which the task results of an unfinished output lie.

    Parameters
    ----------
    path : Path
        The output.

    Examples
    --------
    >>> name_work_folder(Path("run1/strong.refl")).name
    '.xdp-strong.refl.work'
    """
    return path.with_name(f".xdp-{path.name}.work")


@contextlib.contextmanager
def open_work_folder(path: Path, *, is_folder: bool = False) -> Iterator[Path]:
    """Open the work folder of an output: made if need be, and this run's alone while the block runs.

    When the block ends well, the folder is removed. After a failure it is kept where there is something in it, so that
    the next run goes on there.

    Parameters
    ----------
    path : Path
        The output.
    is_folder : bool, default False
        Whether the output is to be a folder, such as a zarr store; then one may be there already.

    Yields
    ------
    Path
        The folder.

    Raises
    ------
    XdpError
        If a file is to be written where there is a folder, the output is an input, it cannot be written in its folder,
        or another run is writing it.
    DiskError
        If the disk is full in the block; the message says what is kept.
    """
    if path.is_dir() and not is_folder:
        raise XdpError(f"{path}: is a folder, a file is to be written there")
    folder = name_work_folder(path)
    refuse_input(path, is_folder=is_folder)
    refuse_input(folder, is_folder=True)
    with _locked(folder, path):
        try:
            yield folder
            shutil.rmtree(folder, ignore_errors=True)
        except DiskError as error:
            # the lock is always there
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
            # another run has removed the folder between the two calls
            if path.parent.is_dir():
                continue
            raise XdpError(f"{path}: cannot write into {path.parent}: there is no such folder") from None
        except OSError as error:
            raise XdpError(f"{path}: cannot write into {path.parent}: {error.strerror}") from error
        try:
            _hold(lock, folder, path)
            # the run that had the lock may have removed the file while this one waited for it: then begin anew
            if _is_there(lock, folder / _LOCK):
                yield
                return
        finally:
            os.close(lock)


def _hold(lock: int, folder: Path, path: Path) -> None:
    """Lock an open file and write into it which process holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 200).decode(errors="replace") or "another process"
        raise XdpError(f"{path}: is being written by {holder}: wait for it, or give this run another output (if that "
                       f"process is gone for good, remove {folder / _LOCK})") from None
    except OSError:
        # a file system without locks (ENOLCK): two runs at a time are the user's to avoid
        return
    with contextlib.suppress(OSError):  # a full disk shows when there are results to keep
        os.truncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)


def _is_there(lock: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(lock), os.stat(path))
    except FileNotFoundError:
        return False
