"""The reflection table: named columns of equal length, one row a reflection."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence
from typing import Any

import numpy as np

from xdp.display import Displayed, html_table
from xdp.errors import ColumnError
from xdp.reflections.columns import as_column, type_name
from xdp.reflections.flags import Flag
from xdp.reflections.shoeboxes import Shoeboxes


class ReflectionTable(Displayed):
    """Columns by name, all with the same number of rows; DIALS' names and types.

    Parameters
    ----------
    columns : mapping, optional
        Arrays (see :data:`xdp.reflections.columns.COLUMN_TYPES`), :class:`Shoeboxes` or lists of text.
    identifiers : mapping of int to str, optional
        The experiment's identifier for each value of column ``id``.
    n_rows : int, optional
        Number of rows, needed only where there are no columns.

    Raises
    ------
    ValueError
        If columns differ in length, or a type cannot be stored.
    """

    def __init__(self, columns: Mapping[str, Any] | None = None, identifiers: Mapping[int, str] | None = None,
                 n_rows: int | None = None):
        self._columns: dict[str, Any] = {}
        self._n_rows = n_rows
        self.identifiers: dict[int, str] = dict(identifiers or {})
        for name, values in (columns or {}).items():
            self[name] = values

    def __getitem__(self, name: str) -> Any:
        try:
            return self._columns[name]
        except KeyError:
            raise ColumnError(f"the reflections have no column '{name}'; there are "
                              f"{', '.join(self._columns) or 'none'}") from None

    def __setitem__(self, name: str, values: Any) -> None:
        column = as_column(name, values)
        if self._n_rows is not None and len(column) != self._n_rows:
            raise ValueError(f"column '{name}' must have {self._n_rows} rows, got {len(column)}")
        self._n_rows = len(column)
        self._columns[name] = column

    def __delitem__(self, name: str) -> None:
        self[name]  # raises what names the columns
        del self._columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        """Return the number of rows (not of columns)."""
        return self._n_rows or 0

    def keys(self) -> KeysView[str]:
        """The columns' names, in the order in which they were set.

        Returns
        -------
        KeysView
        """
        return self._columns.keys()

    def items(self) -> ItemsView[str, Any]:
        """The columns' names with the columns.

        Returns
        -------
        ItemsView
            Pairs; the arrays are the table's own.
        """
        return self._columns.items()

    def get(self, name: str, default: Any = None) -> Any:
        """A column, or a default where there is none of that name.

        Parameters
        ----------
        name : str
        default : object

        Examples
        --------
        >>> ReflectionTable({"id": [0, 1]}).get("partiality", 1.0)
        1.0
        """
        return self._columns.get(name, default)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReflectionTable):
            return NotImplemented
        return (len(self) == len(other) and self.identifiers == other.identifiers
                and self._columns.keys() == other._columns.keys()
                and all(_same(self[name], other[name]) for name in self))

    # A table can change, so that its hash could not stay what it was.
    __hash__ = None  # type: ignore[assignment]

    def _facts(self) -> list[tuple[str, Any]]:
        return [("rows", len(self)), ("columns", len(self._columns)), ("names", " ".join(self._columns))]

    def _repr_html_(self) -> str:
        rows = [(name, type_name(name, column)) for name, column in self._columns.items()]
        return html_table(f"{len(self)} reflections", rows, ["column", "type"])

    def copy(self) -> ReflectionTable:
        """A table of its own.

        Returns
        -------
        ReflectionTable
            Columns can be added and replaced in it; the arrays are the same objects.
        """
        return ReflectionTable(self._columns, self.identifiers, self._n_rows)

    def with_columns(self, **columns: Any) -> ReflectionTable:
        """A copy with columns added or replaced.

        Parameters
        ----------
        **columns
            Values by name; names with dots by ``**{"xyzcal.px": values}``.

        Examples
        --------
        >>> list(ReflectionTable({"id": [0, 1]}).with_columns(panel=[3, 3]))
        ['id', 'panel']
        """
        table = self.copy()
        for name, values in columns.items():
            table[name] = values
        return table

    def select(self, which: np.ndarray | slice | Sequence[int]) -> ReflectionTable:
        """Some of the rows.

        Parameters
        ----------
        which : array, sequence or slice
            A mask, indices or a slice; their order is that of the result.

        Examples
        --------
        >>> ReflectionTable({"id": [5, 6, 7]}).select([2, 0])["id"].tolist()
        [7, 5]
        """
        if not isinstance(which, slice):
            # An empty list becomes an array of floats, which indexes nothing.
            which = np.asarray(which) if len(which) else np.zeros(0, np.int64)
        index = np.arange(len(self))[which]
        picked = {name: _pick(column, index) for name, column in self._columns.items()}
        return ReflectionTable(picked, self.identifiers, len(index))

    def flags(self, flag: Flag) -> np.ndarray:
        """Which rows have all bits of a flag set.

        Parameters
        ----------
        flag : Flag

        Returns
        -------
        array (n,), bool
        """
        bits = np.uint64(flag)
        return (self["flags"] & bits) == bits

    def any_flags(self, flag: Flag) -> np.ndarray:
        """Which rows have any bit of a flag set.

        Parameters
        ----------
        flag : Flag

        Returns
        -------
        array (n,), bool
        """
        return (self["flags"] & np.uint64(flag)) != 0

    @classmethod
    def concatenate(cls, tables: Iterable[ReflectionTable]) -> ReflectionTable:
        """The rows of all tables, one table after the other; identifiers are joined.

        Raises
        ------
        ValueError
            If columns or their types differ, or one id has two identifiers.
        """
        tables = list(tables)
        if not tables:
            return cls()
        first = tables[0]
        for table in tables[1:]:
            _check_joinable(first, table)
        identifiers: dict[int, str] = {}
        for table in tables:
            for key, name in table.identifiers.items():
                # One id for two experiments would make their reflections one.
                if identifiers.setdefault(key, name) != name:
                    raise ValueError(f"experiment {key} has two identifiers: {identifiers[key]}, {name}")
        columns = {name: _join([table[name] for table in tables]) for name in first}
        return cls(columns, identifiers, sum(len(table) for table in tables))


def _check_joinable(first: ReflectionTable, table: ReflectionTable) -> None:
    """Raise ValueError unless both have the same columns of the same types."""
    kinds, others = ({name: type_name(name, t[name]) for name in t} for t in (first, table))
    if kinds != others:
        differing = sorted(set(kinds.items()) ^ set(others.items()))
        raise ValueError(f"tables to join must have the same columns; these differ: {differing}")


def _join(parts: list[Any]) -> Any:
    """One column of many."""
    if isinstance(parts[0], Shoeboxes):
        return Shoeboxes.concatenate(parts)
    if isinstance(parts[0], list):
        return [value for part in parts for value in part]
    return np.concatenate(parts)


def _pick(column: Any, index: np.ndarray) -> Any:
    """Rows of one column."""
    if isinstance(column, Shoeboxes):
        return column.select(index)
    if isinstance(column, list):
        return [column[i] for i in index]
    return column.take(index, axis=0)  # three times as fast as column[index] where columns have several components


def _same(a: Any, b: Any) -> bool:
    """Whether two columns are equal in type and value, NaN equal to NaN."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return type(a) is type(b) and a == b
