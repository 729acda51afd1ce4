"""The table of shots: parts written whole and renamed, in a zarr group that may be read while the run goes on."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xdp.errors import FormatError, XdpError
from xdp.files import disk_errors
from xdp.protection import refuse_input

ATTRIBUTE = "xdp_shots"
"""The attribute of a group that makes it a table of shots; its value is the version."""
VERSION = 1
TEXT = "text"
"""The attribute of a column of text: UTF-8, one line a row."""
COLUMNS: dict[str, str] = {
    "index": "int64", "id": TEXT, "time": "int64", "timestamp": TEXT, "photon_energy": "float64",
    "distance": "float64", "pulse_energy": "float64", "n_peaks": "int64", "resolution": "float64",
    "background": "float64", "verdict": TEXT, "reason": TEXT, "message": TEXT,
}
"""Columns of each table and their types. Times are nanoseconds since 1970, -1 where unknown; energies eV and mJ,
distance mm, resolution Å, NaN where unknown; verdict is hit, miss or failed."""

Columns = dict[str, np.ndarray]


def join_columns(parts: Sequence[Columns]) -> Columns:
    """Put tables one below the other.

    Parameters
    ----------
    parts : sequence of dict of str to (n,) array
        With the same columns.

    Returns
    -------
    dict of str to (n,) array
        Without parts the columns of every table, empty.
    """
    if not parts:
        return {name: np.zeros(0, object if kind == TEXT else kind) for name, kind in COLUMNS.items()}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class ShotTableWriter:
    """Writes a table part by part.

    Parameters
    ----------
    path : path
        The folder; an older table of shots there is replaced.
    n_parts : int, default 0
        Parts that are there and stay.

    Raises
    ------
    XdpError
        If there is something else, or an input.
    """

    def __init__(self, path: str | os.PathLike, n_parts: int = 0) -> None:
        self.path = Path(path)
        self.n_parts = n_parts
        refuse_input(self.path)
        if n_parts:
            return
        if self.path.exists():
            if not is_shot_table(self.path):
                raise XdpError(f"{self.path}: is there and is no table of shots; give another output.table")
            shutil.rmtree(self.path)
        with disk_errors(self.path):
            self.path.mkdir(parents=True)
            _write_group(self.path, {ATTRIBUTE: VERSION})

    def append(self, columns: Mapping[str, np.ndarray]) -> None:
        """Write a part of the table: it is whole or absent.

        Parameters
        ----------
        columns : dict of str to (n,) array
        """
        name = f"part-{self.n_parts:06d}"
        with disk_errors(self.path):
            work = Path(tempfile.mkdtemp(prefix=".part-", dir=self.path))
            try:
                _write_part(work / name, columns)
                os.replace(work / name, self.path / name)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        self.n_parts += 1


def _write_group(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Make a zarr group of a folder."""
    import zarr

    zarr.create_group(store=str(folder), attributes=dict(attributes), overwrite=False, zarr_format=3)


def _write_part(folder: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write columns as arrays of a group."""
    import zarr

    group = zarr.create_group(store=str(folder), zarr_format=3)
    for name, values in columns.items():
        is_text = values.dtype == object
        # zarr's own types for text are not settled: bytes, a line a row, are read by everybody
        data = np.frombuffer("".join(f"{' '.join(str(v).split())}\n" for v in values).encode(), np.uint8) if (
            is_text) else values
        array = group.create_array(name, shape=data.shape, dtype=data.dtype, chunks=(max(1, data.size),))
        array[...] = data
        if is_text:
            array.attrs[TEXT] = True


def is_shot_table(path: str | os.PathLike) -> bool:
    """Whether a folder is a table of shots.

    Parameters
    ----------
    path : path

    Returns
    -------
    bool
    """
    import json

    try:
        return ATTRIBUTE in json.loads((Path(path) / "zarr.json").read_text()).get("attributes", {})
    except (OSError, ValueError):
        return False


def keep_parts(path: str | os.PathLike, n_parts: int) -> bool:
    """Keep the first parts of a table that a run left, and remove others and what is half written.

    Parameters
    ----------
    path : path
        The folder.
    n_parts : int
        How many are kept.

    Returns
    -------
    bool
        False where they are not all there; then nothing is removed.
    """
    names = [f"part-{number:06d}" for number in range(n_parts)]
    if not is_shot_table(path) or not all((Path(path) / name).is_dir() for name in names):
        return False
    for entry in Path(path).iterdir():
        if entry.name.lstrip(".").startswith("part-") and entry.name not in names:
            shutil.rmtree(entry, ignore_errors=True)
    return True


def iterate_parts(path: str | os.PathLike) -> Iterator[Columns]:
    """Read a table of shots part by part.

    Parameters
    ----------
    path : path

    Yields
    ------
    dict of str to (n,) array
        Text as objects.

    Raises
    ------
    FormatError
        If it is no table of shots, or damaged.
    """
    import zarr

    if not is_shot_table(path):
        raise FormatError(f"{path}: is no table of shots, as xdp find_hits writes it")
    for name in sorted(entry for entry in os.listdir(path) if entry.startswith("part-")):
        try:
            group = zarr.open_group(os.path.join(path, name), mode="r")
            columns = {}
            for key, array in group.arrays():
                values = np.asarray(array[...])
                if array.attrs.get(TEXT):
                    lines: list[Any] = values.tobytes().decode().split("\n")[:-1]
                    values = np.array(lines, dtype=object)
                columns[key] = values
        except (OSError, ValueError, KeyError) as error:
            raise FormatError(f"{path}: {name} is damaged ({error})") from error
        if len({len(values) for values in columns.values()}) > 1:
            raise FormatError(f"{path}: {name} is damaged (columns of different lengths)")
        yield columns


def read_shot_table(path: str | os.PathLike) -> Columns:
    """Read a table of shots.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict of str to (n,) array
        See :data:`COLUMNS`; besides the scalars that the user named.

    Raises
    ------
    FormatError
        If it is no table of shots, or damaged.
    """
    return join_columns(list(iterate_parts(path)))


def check_parquet() -> None:
    """Refuse to write parquet where pyarrow is not installed.

    Raises
    ------
    XdpError
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise XdpError("output.parquet needs pyarrow: pip install pyarrow; the zarr table has the same columns"
                       ) from None


def write_shot_parquet(path: str | os.PathLike, columns: Mapping[str, np.ndarray]) -> None:
    """Write a table as a parquet file.

    Parameters
    ----------
    path : path
    columns : dict of str to (n,) array

    Raises
    ------
    XdpError
        If pyarrow is not installed.
    """
    check_parquet()
    import pyarrow
    from pyarrow import parquet

    from xdp.files import atomic_output

    table = pyarrow.table({name: list(values) if values.dtype == object else values
                           for name, values in columns.items()})
    with atomic_output(path) as part:
        parquet.write_table(table, part)
