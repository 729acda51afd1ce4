"""The column types of a reflection table: DIALS' names for them, and the arrays that hold them here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xdp.reflections.shoeboxes import Shoeboxes

#: DIALS' names of the two types whose elements have no fixed size.
SHOEBOX = "Shoebox<>"
TEXT = "std::string"


@dataclass(frozen=True)
class ColumnType:
    """A type of fixed size: DIALS' name, the element's dtype (little endian), elements a row (None for a scalar)."""

    name: str
    dtype: str
    width: int | None = None

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return np.dtype(self.dtype).itemsize * (self.width or 1)

    def shape(self, n_rows: int) -> tuple[int, ...]:
        """Shape of a column of `n_rows` rows."""
        return (n_rows,) if self.width is None else (n_rows, self.width)


#: Types by their names, as C++ code of DIALS has them.
COLUMN_TYPES = {
    kind.name: kind
    for kind in (
        ColumnType("bool", "|b1"),
        ColumnType("int", "<i4"),
        ColumnType("std::size_t", "<u8"),
        ColumnType("double", "<f8"),
        ColumnType("vec2<double>", "<f8", 2),
        ColumnType("vec3<double>", "<f8", 3),
        ColumnType("mat3<double>", "<f8", 9),
        ColumnType("int6", "<i4", 6),
        ColumnType("cctbx::miller::index<>", "<i4", 3),
    )
}

#: Types by kind of number and elements a row: what an array is stored as.
_BY_FORM = {(kind.dtype[1], kind.width): kind for kind in COLUMN_TYPES.values()}


def as_column(name: str, values: Any) -> np.ndarray | Shoeboxes | list[str]:
    """Bring `values` into the form that a table keeps: one of :data:`COLUMN_TYPES`, shoeboxes or a list of text.

    Whole numbers become int32, unsigned ones uint64, floating ones float64; (n, 3, 3) becomes (n, 9).

    Raises
    ------
    ValueError
        If no column type fits, or a whole number does not fit into 32 bits.
    """
    if isinstance(values, Shoeboxes):
        return values
    if _is_text(values):
        return [str(value) for value in values]
    array = np.asarray(values)
    if array.ndim == 3 and array.shape[1:] == (3, 3):
        array = array.reshape(len(array), 9)
    kind = _kind_of(array)
    if kind is None:
        raise ValueError(f"column '{name}': no column type for dtype {array.dtype}, shape {array.shape}")
    # NumPy would wrap numbers beyond 32 bits silently.
    if kind.dtype == "<i4" and array.dtype.itemsize > 4 and array.size:
        limits = np.iinfo(np.int32)
        if array.min() < limits.min or array.max() > limits.max:
            raise ValueError(f"column '{name}': values beyond 32 bits (use uint64 for large ones)")
    return np.ascontiguousarray(array, dtype=kind.dtype)


def type_name(name: str, column: np.ndarray | Shoeboxes | Sequence[str]) -> str:
    """DIALS' name of the type of a column.

    Parameters
    ----------
    name : str
        The column's name, for the message.
    column : array, Shoeboxes or list of str
        As :func:`as_column` gives it.

    Raises
    ------
    ValueError
        If no type fits.

    Examples
    --------
    >>> type_name("s1", np.zeros((4, 3)))
    'vec3<double>'
    """
    if isinstance(column, Shoeboxes):
        return SHOEBOX
    if _is_text(column):
        return TEXT
    kind = _kind_of(np.asarray(column))
    if kind is None:
        raise ValueError(f"column '{name}': no column type fits")
    return kind.name


def _kind_of(array: np.ndarray) -> ColumnType | None:
    """The column type an array fits into, None if there is none."""
    if array.ndim not in (1, 2):
        return None
    width = None if array.ndim == 1 else array.shape[1]
    return _BY_FORM.get((array.dtype.kind, width))


def _is_text(values: Any) -> bool:
    """Whether `values` is a sequence of str (or a NumPy array of them)."""
    if isinstance(values, np.ndarray):
        return values.dtype.kind in "UT"
    return isinstance(values, list | tuple) and len(values) > 0 and all(isinstance(v, str) for v in values)
