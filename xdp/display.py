"""How models, tables, options and results show themselves: a few lines on a terminal, a plain table in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_CELL = 'style="text-align:left;padding:0 1em 0 0"'


class Displayed:
    """Base of classes that show themselves by their facts.

    A class gives its facts as pairs of a name and a value (:meth:`_facts`). ``repr`` prints them on one line, or a line
    each where they are long; notebooks show a table. Values are escaped: nothing in them acts as HTML.

    Examples
    --------
    >>> class Beam(Displayed):
    ...     def _facts(self):
    ...         return [("wavelength", "0.9795 Å"), ("polarisation", 0.99)]
    >>> Beam()
    <Beam: wavelength 0.9795 Å, polarisation 0.99>
    >>> Beam()._repr_html_().count("<tr>")
    2
    """

    def _facts(self) -> Sequence[tuple[str, Any]]:
        """Names and values that tell what this is."""
        raise NotImplementedError(type(self).__name__)

    def __repr__(self) -> str:
        pairs = [f"{name} {format_value(value)}".strip() for name, value in self._facts()]
        line = ", ".join(pairs)
        name = type(self).__name__
        return f"<{name}: {line}>" if len(line) < 100 else "\n    ".join([f"<{name}:", *pairs]) + ">"

    def _repr_html_(self) -> str:
        return html_table(type(self).__name__, [(name, format_value(value)) for name, value in self._facts()])


def format_value(value: Any) -> str:
    """A value as a reader wants it: numbers with six digits, sequences with blanks, None as a dash.

    Examples
    --------
    >>> format_value((79.3441234, 37.81)), format_value(None), format_value("P 43 21 2")
    ('79.3441 37.81', '-', 'P 43 21 2')
    """
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return " ".join(format_value(item) for item in value)
    return str(value)


def html_table(title: str, rows: Iterable[Sequence[str]], heads: Sequence[str] = ()) -> str:
    """A table as plain HTML without scripts; title, heads and cells are escaped.

    Parameters
    ----------
    title : str
        Stands above the table; empty for none.
    rows : iterable of sequences of str
        The cells.
    heads : sequence of str
        Headings of the columns, if any.

    Returns
    -------
    str

    Examples
    --------
    >>> html_table("a < b", [["1"]])[:31]
    '<table><caption>a &lt; b</capti'
    """
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    head = "".join(f"<th {_CELL}>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td {_CELL}>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{caption}{f'<tr>{head}</tr>' if head else ''}{body}</table>"
