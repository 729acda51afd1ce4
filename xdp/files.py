"""Output files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from xdp.errors import XdpError
from xdp.protection import refuse_input


@contextlib.contextmanager
def atomic_output(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; rename it to `path` when the block ends well.

    The temporary name lies in the same folder, so that the rename is atomic; it is removed if the block raises.
    Repeating the block replaces the file, so a task that runs twice leaves one result.

    Raises
    ------
    XdpError
        If the folder does not exist or cannot be written to, `path` is a folder, or it is an input of what runs now
        (see :mod:`xdp.protection`).
    """
    target = Path(path)
    folder = target.parent
    refuse_input(target)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=folder)
    except OSError as error:
        raise XdpError(f"{target}: cannot write into {folder or Path('.')}: {error.strerror}") from error
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with open(part, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(part, 0o666 & ~_umask())
        if target.is_dir():
            raise XdpError(f"{target}: is a folder, a file is to be written there")
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


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
