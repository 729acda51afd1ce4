"""Tables and reports: what a stage found, as data that is printed, written as JSON or XML, or shown in a notebook."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xdp.display import format_value, html_table
from xdp.errors import OptionError
from xdp.files import atomic_output


@dataclass(frozen=True)
class Table:
    """A table of text cells.

    Attributes
    ----------
    name, title : str
        Its key in the file, and its heading.
    columns : dict of str to str
        Heading of each column by its key; "\\n" begins a second line.
    rows : tuple of tuples of str
        The cells.

    Examples
    --------
    >>> print(Table("cells", "Unit cells", {"a": "a (A)", "c": "c (A)"}, (("79.34", "37.81"),)).text())
     Unit cells
    +-------+-------+
    | a (A) | c (A) |
    |-------+-------|
    | 79.34 | 37.81 |
    +-------+-------+
    <BLANKLINE>
    """

    name: str
    title: str
    columns: Mapping[str, str]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """Draw the table with its title in a box; columns of numbers are aligned to the right.

        Returns
        -------
        str
            Several lines; a heading that holds a line break takes two.
        """
        heads = [heading.split("\n") for heading in self.columns.values()]
        depth = max(map(len, heads))
        lines = [tuple(head[i].strip() if i < len(head) else "" for head in heads) for i in range(depth)]
        widths = [max(map(len, column)) for column in zip(*lines, *self.rows, strict=True)]
        rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
        # A column counts as numbers only if all its cells are.
        numeric = [all(_is_number(row[i]) for row in self.rows) for i in range(len(widths))]

        def line(row: Sequence[str]) -> str:
            cells = (cell.rjust(width) if right else cell.ljust(width)
                     for cell, width, right in zip(row, widths, numeric, strict=True))
            return "| " + " | ".join(cells) + " |"

        head = [f" {self.title}", rule, *map(line, lines), f"|{rule[1:-1]}|"]
        return "\n".join([*head, *map(line, self.rows), rule, ""])

    def to_dict(self) -> dict:
        """Give the title, the headings, and a dictionary for each row, as the file holds them."""
        return {"title": self.title, "cols": dict(self.columns),
                "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows]}

    def _repr_html_(self) -> str:
        return html_table(self.title, self.rows, list(self.columns.values()))


@dataclass(frozen=True)
class Report:
    """What a stage found: single facts, tables, and arrays (such as the reference profiles) by name.

    Attributes
    ----------
    tables : tuple of Table
        In the order of the log.
    arrays : dict of str to (title, array)
        For the file only.
    facts : dict of str to value
        Numbers and words that sum up the stage.
    """

    tables: tuple[Table, ...] = ()
    arrays: Mapping[str, tuple[str, np.ndarray]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __add__(self, other: Report) -> Report:
        """Both reports in one."""
        return Report(self.tables + other.tables, {**self.arrays, **other.arrays}, {**self.facts, **other.facts})

    def text(self) -> str:
        """Write the facts, a line each, and all tables, for the log.

        Examples
        --------
        >>> print(Report(facts={"spots": 812, "d_min": 1.5}).text())
        spots: 812
        d_min: 1.5
        """
        lines = [f"{name}: {format_value(value)}" for name, value in self.facts.items()]
        return "\n".join([*lines, *(table.text() for table in self.tables)])

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        rows = [(name, format_value(value)) for name, value in self.facts.items()]
        return (html_table("", rows) if rows else "") + "".join(table._repr_html_() for table in self.tables)

    def to_dict(self) -> dict:
        """Give what the file holds: tables, arrays, and facts where there are any.

        Returns
        -------
        dict
            In JSON's types; an array is its title, its shape, and its values in a row.
        """
        arrays = {name: {"title": title, "shape": list(array.shape), "data": array.ravel().tolist()}
                  for name, (title, array) in self.arrays.items()}
        content: dict = {"tables": {table.name: table.to_dict() for table in self.tables}, "arrays": arrays}
        return {**content, "facts": dict(self.facts)} if self.facts else content

    def write(self, path: str | os.PathLike) -> None:
        """Write the report as JSON or XML, as the ending of the name says.

        Raises
        ------
        OptionError
            If the name ends otherwise.
        """
        ending = check_report_name(path)
        # The outermost element's name is that of DIALS' reports, which readers of XML look for.
        text = json.dumps(self.to_dict(), indent=2) if ending == ".json" else _xml("DIALS", self.to_dict(), 0)
        with atomic_output(path) as part:
            part.write_text(text if ending == ".json" else f'<?xml version="1.0" ?>\n{text}', encoding="utf-8")


def _is_number(cell: str) -> bool:
    """Whether a cell reads as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _xml(name: str, value: object, depth: int) -> str:
    """One element; names that XML does not allow (such as "0") get an underscore before them."""
    # Two blanks a level, for people who look into the file.
    pad, tag = "  " * depth, name if name[:1].isalpha() else f"_{name}"
    if isinstance(value, Mapping):
        children: Iterable[tuple[str, object]] = value.items()
    elif isinstance(value, list):
        children = ((str(i), v) for i, v in enumerate(value))
    else:
        return f"{pad}<{tag}>{html.escape(str(value), quote=False)}</{tag}>\n"
    return f"{pad}<{tag}>\n{''.join(_xml(str(k), v, depth + 1) for k, v in children)}{pad}</{tag}>\n"


def check_report_name(path: str | os.PathLike) -> str:
    """Check that the name of a report says its format: there is no parameter for it.

    Parameters
    ----------
    path : path

    Returns
    -------
    str
        The ending, in small letters: ``.json`` or ``.xml``.

    Raises
    ------
    OptionError
        If the name ends otherwise.

    Examples
    --------
    >>> check_report_name("integration.JSON")
    '.json'
    """
    ending = os.path.splitext(path)[1].lower()
    if ending not in (".json", ".xml"):
        raise OptionError(f"output.report={os.fspath(path)}: the name must end in .json or .xml")
    return ending
