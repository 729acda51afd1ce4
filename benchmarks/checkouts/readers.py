"""Files of results as plain arrays and values, read without `xdp`, whose modules may move."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

TYPES = {"int": "<i4", "std::size_t": "<u8", "double": "<f8", "float": "<f4", "bool": "?", "vec2<double>": "<2f8",
         "vec3<double>": "<3f8", "mat3<double>": "<9f8", "int6": "<6i4", "cctbx::miller::index<>": "<3i4"}
"""Types of columns in a reflection file and what their bytes are."""


def read_arrays(name: str, content: bytes) -> dict[str, np.ndarray] | None:
    """Arrays of a reflection table, MTZ, HDF5, NumPy or picture file by name; None for files of other kinds."""
    reader = {".refl": _read_refl, ".mtz": _read_mtz, ".h5": _read_hdf5, ".png": _read_png, ".npz": _read_npz,
              ".npy": _read_npy}.get(Path(name).suffix)
    return reader(content) if reader else None


def read_values(name: str, content: bytes) -> dict[str, Any] | None:
    """Values of a JSON file by their place (``crystal.0.space_group``); None for files of other kinds."""
    if Path(name).suffix not in (".json", ".expt"):
        return None
    values: dict[str, Any] = {}
    _flatten(json.loads(content), "", values)
    return values


def _flatten(value: Any, place: str, values: dict[str, Any]) -> None:
    """Put the values below one into `values`; the order of keys is one too."""
    if isinstance(value, dict):
        values[f"{place or '.'} (keys)"] = list(value)
        below = list(value.items())
    elif isinstance(value, list):
        values[f"{place or '.'} (length)"] = len(value)
        below = list(enumerate(value))
    else:
        values[place] = value
        below = []
    for key, one in below:
        _flatten(one, f"{place}.{key}" if place else str(key), values)


def _read_refl(content: bytes) -> dict[str, np.ndarray]:
    """Columns; those without a fixed size (shoeboxes, texts) as bytes."""
    import msgpack

    kind, version, table = msgpack.unpackb(content, strict_map_key=False)
    columns = {"(head)": np.array([kind, str(version), str(table["nrows"]), str(table["identifiers"])])}
    for name, (form, (n_rows, packed)) in table["data"].items():
        columns[name] = np.frombuffer(packed, TYPES.get(form, "u1"))
        columns[f"{name} (type)"] = np.array([form, str(n_rows)])
    return columns


def _read_mtz(content: bytes) -> dict[str, np.ndarray]:
    """Columns, and the lines of the header."""
    import gemmi

    with tempfile.NamedTemporaryFile(suffix=".mtz") as file:  # gemmi reads from the disk only
        file.write(content)
        file.flush()
        mtz = gemmi.read_mtz_file(file.name)
    columns = {column.label: np.array(column) for column in mtz.columns}
    head = [mtz.title, *mtz.history, mtz.spacegroup.xhm(), str(mtz.cell), str(len(mtz.batches))]
    floats = [number for batch in mtz.batches for number in (*batch.floats, *batch.ints)]
    return {**columns, "(head)": np.array(head), "(batches)": np.array(floats, float)}


def _read_hdf5(content: bytes) -> dict[str, np.ndarray]:
    """All datasets and attributes."""
    import h5py
    import hdf5plugin  # noqa: F401  registers the compressions

    found: dict[str, np.ndarray] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item[()])
            found[f"{name} (layout)"] = np.array([str(item.chunks), str(item.compression), str(item.dtype)])
        found.update({f"{name}@{key}": np.asarray(value) for key, value in item.attrs.items()})

    with h5py.File(io.BytesIO(content)) as file:
        visit("", file)
        file.visititems(visit)
    return found


def _read_png(content: bytes) -> dict[str, np.ndarray]:
    """The pixels."""
    from PIL import Image

    return {"pixels": np.asarray(Image.open(io.BytesIO(content)))}


def _read_npz(content: bytes) -> dict[str, np.ndarray]:
    """The arrays."""
    return dict(np.load(io.BytesIO(content)))


def _read_npy(content: bytes) -> dict[str, np.ndarray]:
    """The array."""
    return {"array": np.load(io.BytesIO(content))}
