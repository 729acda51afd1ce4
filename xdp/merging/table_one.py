"""Table 1 of a paper: the data set in one column, with the outer shell in brackets."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xdp.errors import OptionError
from xdp.files import atomic_output
from xdp.merging.statistics import ShellStatistics
from xdp.report.tables import Table

_ENDINGS = (".txt", ".csv", ".tex")


@dataclass(frozen=True)
class TableOne:
    """The rows of the table.

    Attributes
    ----------
    rows : tuple of (str, str, str)
        What it is, its value for all data, and that in the outer shell ("" where there is none).

    Examples
    --------
    >>> print(TableOne((("Multiplicity", "6.8", "5.1"), ("Wavelength (Å)", "0.9795", ""))).text())
    Multiplicity    6.8 (5.1)
    Wavelength (Å)  0.9795
    """

    rows: tuple[tuple[str, str, str], ...]

    def text(self) -> str:
        """The table as plain text, a row a line, the outer shell in brackets.

        Returns
        -------
        str
        """
        width = max(len(label) for label, _, _ in self.rows)
        return "\n".join(f"{label.ljust(width)}  {_with_outer(value, outer)}" for label, value, outer in self.rows)

    def csv(self) -> str:
        """The table as comma-separated values, with a line of headings.

        Returns
        -------
        str
        """
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([("", "all", "outer shell"), *self.rows])
        return out.getvalue()

    def latex(self) -> str:
        """The table in LaTeX, without packages.

        Returns
        -------
        str
        """
        lines = [f"{_escape(label)} & {_escape(_with_outer(value, outer))} \\\\" for label, value, outer in self.rows]
        return "\n".join(["\\begin{tabular}{ll}", "\\hline", *lines, "\\hline", "\\end{tabular}", ""])

    def to_table(self) -> Table:
        """The table for reports.

        Returns
        -------
        Table
        """
        return Table("table_one", "Table 1", {"what": "", "all": "all", "outer": "outer shell"}, self.rows)

    def write(self, path: str | os.PathLike) -> None:
        """Write the table in the form that the file's ending names.

        Parameters
        ----------
        path : path
            ``.txt``, ``.csv`` or ``.tex``.

        Raises
        ------
        OptionError
            If the name ends otherwise.
        """
        ending = check_table_name(path)
        text = {".txt": self.text, ".csv": self.csv, ".tex": self.latex}[ending]()
        with atomic_output(path) as part:
            part.write_text(text + "\n" * (not text.endswith("\n")), encoding="utf-8")


def check_table_name(path: str | os.PathLike) -> str:
    """Check that the name of a file says the form of the table.

    Parameters
    ----------
    path : path

    Returns
    -------
    str
        Its ending.

    Raises
    ------
    OptionError
        If there is no such form.

    Examples
    --------
    >>> check_table_name("paper/table1.TEX")
    '.tex'
    """
    ending = Path(path).suffix.lower()
    if ending not in _ENDINGS:
        raise OptionError(f"output.table_one={os.fspath(path)}: the name must end in {', '.join(_ENDINGS[:-1])} or "
                          f"{_ENDINGS[-1]}")
    return ending


_STATISTICS: tuple[tuple[str, Callable[[ShellStatistics], str]], ...] = (
    ("Total reflections", lambda s: str(s.n_observations)),
    ("Unique reflections", lambda s: str(s.n_unique)),
    ("Multiplicity", lambda s: _write(s.multiplicity, ".1f")),
    ("Completeness (%)", lambda s: _write(s.completeness, ".1f")),
    ("Mean I/sigma(I)", lambda s: _write(s.mean_i_over_sigma, ".1f")),
    ("R-merge", lambda s: _write(s.r_merge, ".3f")),
    ("R-meas", lambda s: _write(s.r_meas, ".3f")),
    ("R-pim", lambda s: _write(s.r_pim, ".3f")),
    ("CC1/2", lambda s: _write(s.cc_half, ".3f")),
    ("CC*", lambda s: _write(s.cc_star, ".3f")))
_ANOMALOUS: tuple[tuple[str, Callable[[ShellStatistics], str]], ...] = (
    ("Anomalous completeness (%)", lambda s: _write(s.anomalous_completeness, ".1f")),
    ("Anomalous multiplicity", lambda s: _write(s.anomalous_multiplicity, ".1f")),
    ("CC of anomalous differences", lambda s: _write(s.cc_anomalous, ".3f")))


def make_table_one(all_: ShellStatistics, outer: ShellStatistics, *, space_group: str, cell: Sequence[float],
                   wavelength: float, wilson_b: float | None, anomalous: bool) -> TableOne:
    """Make the table.

    Parameters
    ----------
    all_, outer : ShellStatistics
        Of all data, and of the outer shell.
    space_group : str
    cell : sequence of 6 float
        Å and degrees.
    wavelength : float
        Å.
    wilson_b : float or None
        Å²; None where it is not known.
    anomalous : bool
        With the rows of anomalous data.

    Returns
    -------
    TableOne
    """
    rows = [("Wavelength (Å)", f"{wavelength:.5g}", ""),
            ("Resolution range (Å)", _write_range(all_), _write_range(outer)),
            ("Space group", space_group, ""),
            ("a, b, c (Å)", " ".join(f"{x:.2f}" for x in cell[:3]), ""),
            ("alpha, beta, gamma (°)", " ".join(f"{x:.2f}" for x in cell[3:]), "")]
    chosen = _STATISTICS + _ANOMALOUS if anomalous else _STATISTICS
    rows += [(label, write(all_), write(outer)) for label, write in chosen]
    rows.append(("Wilson B (Å²)", "-" if wilson_b is None else f"{wilson_b:.1f}", ""))
    return TableOne(tuple(rows))


def _write_range(shell: ShellStatistics) -> str:
    return f"{shell.d_max:.2f}-{shell.d_min:.2f}"


def _write(value: float, form: str) -> str:
    return format(value, form) if np.isfinite(value) else "-"


def _with_outer(value: str, outer: str) -> str:
    """A value with that of the outer shell in brackets."""
    return f"{value} ({outer})" if outer else value


def _escape(text: str) -> str:
    """Characters that LaTeX does not print as they are."""
    for sign, instead in {"%": "\\%", "Å": "\\AA{}", "°": "$^\\circ$", "²": "$^2$", "_": "\\_"}.items():
        text = text.replace(sign, instead)
    return text
