"""The tables of a CIF's text, as much of the syntax as imgCIF headers use.

References
----------
S. R. Hall, F. H. Allen and I. D. Brown, Acta Cryst. A47, 655 (1991), doi:10.1107/S010876739101067X
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Table = dict[str, list[str | None]]
"""Values of each column by its name."""

# A text field (from a semicolon that begins a line to the next that does), a comment, a quoted or a bare word.
_TOKEN = re.compile(
    r"""(?:^|(?<=\n));(?P<text>.*?)\n;|(?P<comment>\#[^\n]*)|'(?P<single>[^\n]{0,2048}?)'(?=\s|\Z)"""
    r"""|"(?P<double>[^\n]{0,2048}?)"(?=\s|\Z)|(?P<bare>\S+)""", re.DOTALL)


def parse_cif(text: str) -> dict[str, Table]:
    """Parse the tables of a CIF.

    Parameters
    ----------
    text : str
        Of the CIF. Text that is no CIF gives whatever tables can be made out, never an error.

    Returns
    -------
    dict
        Category -> column -> values, names in lower case; ``.`` and ``?`` are None. Single items make a table of one
        row.

    Examples
    --------
    >>> parse_cif("data_x _a.b 1 loop_ _t.x _t.y 2 ? 'three four' 5")
    {'a': {'b': ['1']}, 't': {'x': ['2', 'three four'], 'y': [None, '5']}}
    """
    # Where the next value goes: to the columns of a loop in turn, or to a single item.
    tables: dict[str, Table] = {}
    columns: list[Table] = []
    names: list[str] = []
    in_header = False
    n_values = 0
    item: str | None = None
    for word, is_quoted in _split_words(text.replace("\r\n", "\n").replace("\r", "\n")):
        lower = word.lower()
        if not is_quoted and lower == "loop_":
            columns, names, in_header, n_values, item = [], [], True, 0, None
        elif not is_quoted and lower.startswith("data_"):
            columns, names, in_header, item = [], [], False, None
        elif not is_quoted and word.startswith("_") and "." in word:
            category, _, name = lower[1:].partition(".")
            table = tables.setdefault(category, {})
            if in_header:
                table[name] = []
                columns.append(table)
                names.append(name)
            else:
                columns, names, item = [], [], lower
        elif item is not None:
            category, _, name = item[1:].partition(".")
            tables[category][name] = [_convert_value(word, is_quoted)]
            item = None
        elif columns:
            in_header = False
            which = n_values % len(columns)
            columns[which][names[which]].append(_convert_value(word, is_quoted))
            n_values += 1
    return tables


def _split_words(text: str) -> Iterator[tuple[str, bool]]:
    """Cut a CIF into words, each with whether it was quoted; comments are left out."""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind != "comment" and kind is not None:
            yield match[kind], kind != "bare"


def _convert_value(word: str, is_quoted: bool) -> str | None:
    """A word as a value; the bare words . and ? stand for no value."""
    return None if word in (".", "?") and not is_quoted else word


def list_rows(table: Table | None) -> list[dict[str, str | None]]:
    """List the list_rows of a table.

    Parameters
    ----------
    table : Table or None
        None, or one without columns, has no list_rows.

    Returns
    -------
    list of dict
        Value of each column by its name. A damaged loop may lack values: as many list_rows as the shortest column has.
    """
    if not table:
        return []
    n = min(len(values) for values in table.values())
    return [{name: values[i] for name, values in table.items()} for i in range(n)]
