"""Output files that appear whole or not at all, pairs of them that appear together, and inputs that are files."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from xdp.errors import DiskError, XdpError
from xdp.protection import refuse_input

#: What a disk says that takes no more: it is full, the user's share or the size of a file is used up, it is ailing or
#: cannot be written to at all.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
#: Letters of an output's name that its temporary name shows: names must stay below 255 bytes.
_SHOWN = 50


@contextlib.contextmanager
def atomic_output(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; rename it to `path` when the block ends well.

    The temporary name lies in the same folder, so that the rename is atomic; it is removed if the block raises, and by
    the next run that writes `path` if the process was killed. Repeating the block replaces the file, so a task that
    runs twice leaves one result. Within :func:`together` the rename waits for the other files.

    Raises
    ------
    DiskError
        If the disk is full, or takes no more for another reason; the message names `path`.
    XdpError
        If the folder does not exist or cannot be written to, `path` is a folder or a device, or it is an input of what
        runs now (see :mod:`xdp.protection`).
    """
    target = Path(path)
    refuse_input(target)
    check_output(target)
    handle, part = _temporary(target, ".part")
    waiting = _waiting.get()
    waits = False
    try:
        with disk_errors(target):
            yield part
            with open(part, "rb") as written:
                os.fsync(written.fileno())
        os.chmod(part, 0o666 & ~_umask())
        if waiting is None:
            _put_in_place([(part, target)])
        else:
            waiting.files.append((part, target))
            waiting.handles.append(handle)
            waits = True
    finally:
        if not waits:
            os.close(handle)
            part.unlink(missing_ok=True)


@dataclass
class _Waiting:
    """Files that are complete and wait for others."""

    files: list[tuple[Path, Path]] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)


_waiting: ContextVar[_Waiting | None] = ContextVar("xdp_waiting", default=None)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Let all outputs of the block appear together, at its end, or none of them.

    Within the block none of them can be read under its name. If one of them cannot be put in its place, those before
    it are put back as they were.

    Raises
    ------
    XdpError
        If one of them cannot be written.
    """
    if _waiting.get() is not None:  # the outer block's files wait for ours
        yield
        return
    waiting = _Waiting()
    token = _waiting.set(waiting)
    try:
        yield
        _put_in_place(waiting.files)
    finally:
        _waiting.reset(token)
        for handle in waiting.handles:
            os.close(handle)
        for part, _ in waiting.files:
            part.unlink(missing_ok=True)


def _put_in_place(files: list[tuple[Path, Path]]) -> None:
    """Rename temporary files to their targets: all, or in the end none."""
    for _, target in files:
        check_output(target)
    placed: list[tuple[Path, Path | None]] = []
    olds: list[Path] = []
    try:
        for part, target in files:
            is_new = not os.path.lexists(target)
            old = None if is_new or len(files) == 1 else _keep_aside(target)
            olds += [old] if old else []
            os.replace(part, target)
            placed += [(target, old)] if is_new or old else []
    except OSError as error:
        for place, old in reversed(placed):
            with contextlib.suppress(OSError):
                place.unlink() if old is None else os.replace(old, place)
        raise XdpError(f"{target}: cannot be put in its place: {error.strerror}") from error
    finally:
        for old in olds:
            old.unlink(missing_ok=True)


def _keep_aside(target: Path) -> Path | None:
    """Give the file that is there another name; None where the file system has no second names."""
    name = target.with_name(f".{target.name[:_SHOWN]}.{secrets.token_hex(4)}.old")
    try:
        os.link(target, name)
    except OSError:
        return None
    return name


@contextlib.contextmanager
def scratch_file(folder: str | os.PathLike, name: str) -> Iterator[Path]:
    """A new, empty, private file for scratch, removed at the end of the block.

    Parameters
    ----------
    folder : path
        Where it lies.
    name : str
        What it belongs to. If the process is killed, the next one that asks for scratch of that name removes it.

    Raises
    ------
    DiskError
        If the disk is full, or takes no more for another reason.
    XdpError
        If the folder cannot be written to.
    """
    handle, path = _temporary(Path(folder) / name, ".scratch")
    try:
        with disk_errors(path):
            yield path
    finally:
        os.close(handle)
        path.unlink(missing_ok=True)


def _temporary(target: Path, ending: str) -> tuple[int, Path]:
    """A new file beside the target, open and locked, and its path; what killed runs have left of it is removed."""
    remove_leftovers(target.parent, target.name)
    while True:
        try:
            handle, name = tempfile.mkstemp(prefix=f".{target.name[:_SHOWN]}.", suffix=ending, dir=target.parent)
        except OSError as error:
            raise XdpError(f"{target}: cannot write into {target.parent}: {error.strerror}") from error
        lock_file(handle)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # another run took it for a leftover before it was locked


def check_output(target: str | os.PathLike) -> None:
    """Raise XdpError where something is that cannot be, or must not be, replaced by a file of ours."""
    try:
        mode = os.stat(target).st_mode
    except OSError:
        return
    if stat.S_ISDIR(mode):
        raise XdpError(f"{target}: is a folder, a file is to be written there")
    if not stat.S_ISREG(mode):
        raise XdpError(f"{target}: is a device or pipe; an output must be a file, which can be replaced whole")


def lock_file(handle: int) -> None:
    """Mark an open file as in use until it is closed, which the end of the process does at the latest."""
    with contextlib.suppress(OSError):  # a file system without locks: leftovers stay there
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_leftovers(folder: str | os.PathLike, name: str) -> None:
    """Remove temporary files that killed runs have left of an output or, ending in ``.scratch``, beside it.

    Files that another process holds are left alone. A folder is looked at once a process, since one of many files is
    slow to list.
    """
    place = os.path.abspath(folder)
    if place not in _temporaries:
        with contextlib.suppress(OSError):
            _temporaries[place] = [name for name in os.listdir(place) if _TEMPORARY.fullmatch(name)]
    for found in _temporaries.get(place, ()):
        match = _TEMPORARY.fullmatch(found)
        if match and match[1] == name[:_SHOWN] and _is_left(path := os.path.join(place, found)):
            with contextlib.suppress(OSError):
                os.unlink(path)


_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.(?:part|old|scratch)", re.DOTALL)
_temporaries: dict[str, list[str]] = {}


def _is_left(path: str) -> bool:
    """Whether nobody writes a temporary file any more."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def open_input(path: str | os.PathLike, *, buffering: int = -1) -> BinaryIO:
    """Open a file that the user named for reading; a pipe, which may never give a byte, or a device is none.

    Parameters
    ----------
    path : path
    buffering : int
        As of :func:`open`.

    Raises
    ------
    OSError
        If it cannot be opened, or is no file: a pipe or device is told in `strerror`.
    """
    return open(path, "rb", buffering=buffering, opener=_open_file)  # type: ignore[return-value]


def check_input(path: str | os.PathLike) -> None:
    """Raise OSError where :func:`open_input` does, for files that a library opens by their names."""
    os.close(_open_file(os.fspath(path), os.O_RDONLY))


def _open_file(name: str, flags: int) -> int:
    """A descriptor of a file; a pipe is opened without waiting for who writes it, and refused."""
    handle = os.open(name, flags | os.O_NONBLOCK)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return handle
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    raise OSError(errno.EINVAL, f"it is a {'pipe' if stat.S_ISFIFO(mode) else 'device'}, a file is wanted", name)


@contextlib.contextmanager
def disk_errors(path: str | os.PathLike) -> Iterator[None]:
    """Turn what a full or ailing disk says, if need be in HDF5's or a zip file's words, into an error with a name.

    Raises
    ------
    DiskError
        The message names `path`.
    """
    try:
        yield
    except XdpError:
        raise
    except Exception as error:
        code = _disk_error(error)
        if code is None:
            raise
        raise DiskError(f"{os.fspath(path)}: cannot be written: {os.strerror(code)}") from error


def name_what_is_kept(error: DiskError, folder: str | os.PathLike) -> DiskError:
    """The error with the folder in which finished work waits for the next run."""
    return DiskError(f"{error}; what is finished is kept in {os.fspath(folder)}: make room, and start the run again to "
                     "go on there")


def _disk_error(error: BaseException | None) -> int | None:
    """The number of the disk's complaint behind an error, None where there is none."""
    while error is not None:
        said = re.search(r"errno = (\d+)", str(error))  # HDF5 gives it in its text only
        code = getattr(error, "errno", None) or (int(said[1]) if said else None)
        if code in _DISK_ERRORS:
            return code
        error = error.__cause__ or error.__context__
    return None


def make_folder(path: str | os.PathLike) -> Path:
    """A folder for output, made if it is not there.

    Raises
    ------
    XdpError
        If it cannot be made.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise XdpError(f"{folder}: this folder for output cannot be made: {error.strerror}") from error
    return folder


def _umask() -> int:
    """The process's umask, which mkstemp's 0600 does not honour."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
