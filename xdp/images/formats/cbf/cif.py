"""The tables of a CIF's text, as much of the syntax as imgCIF headers use.

References
----------
S. R. Hall, F. H. Allen and I. D. Brown, Acta Cryst. A47, 655 (1991), doi:10.1107/S010876739101067X
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Table = dict[str, list[str | None]]

# A text field (from a semicolon that begins a line to the next that does), a comment, a quoted or a bare word.
_TOKEN = re.compile(
    r"""(?:^|(?<=\n));(?P<text>.*?)\n;|(?P<comment>\#[^\n]*)|'(?P<single>[^\n]{0,2048}?)'(?=\s|\Z)"""
    r"""|"(?P<double>[^\n]{0,2048}?)"(?=\s|\Z)|(?P<bare>\S+)""", re.DOTALL)


def parse_cif(text: str) -> dict[str, Table]:
    """The tables of a CIF: category -> column -> values, names in lower case; ``.`` and ``?`` are None.

    Single items make a table of one row. What is no CIF gives whatever tables can be made out, never an error.
    """
    tables: dict[str, Table] = {}
    columns: list[Table] = []
    names: list[str] = []
    in_header = False
    n_values = 0
    item: str | None = None
    for word, is_quoted in _words(text.replace("\r\n", "\n").replace("\r", "\n")):
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
            tables[category][name] = [_value(word, is_quoted)]
            item = None
        elif columns:
            in_header = False
            which = n_values % len(columns)
            columns[which][names[which]].append(_value(word, is_quoted))
            n_values += 1
    return tables


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """The words of a CIF, and whether each was quoted; comments are left out."""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind != "comment" and kind is not None:
            yield match[kind], kind != "bare"


def _value(word: str, is_quoted: bool) -> str | None:
    return None if word in (".", "?") and not is_quoted else word


def rows(table: Table | None) -> list[dict[str, str | None]]:
    """The rows of a table, each a dictionary; cut to the shortest column."""
    if not table:
        return []
    n = min(len(values) for values in table.values())
    return [{name: values[i] for name, values in table.items()} for i in range(n)]
