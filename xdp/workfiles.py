"""What an unfinished run leaves on disk: results of its tasks in a hidden folder beside the output, under keys."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from xdp.errors import XdpError


def work_folder(path: Path) -> Path:
    """Where the task results of an unfinished output lie: a hidden folder beside it."""
    return path.with_name(f".xdp-{path.name}.work")


@contextlib.contextmanager
def open_work_folder(path: Path) -> Iterator[Path]:
    """The work folder of an output: removed when all is done, and kept after a failure where there is something in it.

    Raises
    ------
    XdpError
        If the output is a folder, or the folder it is to lie in cannot be written to.
    """
    if path.is_dir():
        raise XdpError(f"{path}: is a folder, a file is to be written there")
    folder = work_folder(path)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise XdpError(f"{path}: cannot write into {path.parent}: {error.strerror}") from error
    try:
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        with contextlib.suppress(OSError):  # not empty, or not there any more
            folder.rmdir()


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a file that appears whole or not at all; a task that runs twice leaves one file."""
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
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
