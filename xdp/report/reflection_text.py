"""A reflection table in words and numbers: its columns' ranges, its flags, its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from xdp.reflections import Flag, MaskCode, ReflectionTable, Shoeboxes

# as users of DIALS know them; columns not listed get three decimals, counts none
_FORMATS = {
    "d": ".2f", "lp": ".3f", "partiality": ".4f",
    "xyzcal.mm": ".2f", "xyzcal.px": ".2f", "xyzobs.mm.value": ".2f", "xyzobs.px.value": ".2f",
    "xyzobs.mm.variance": ".4e", "xyzobs.px.variance": ".4f", "s1": ".4f", "rlp": ".4f",
}
_INTENSITIES = ("miller_index", "d", "intensity.prf.value", "intensity.prf.variance", "intensity.sum.value",
                "intensity.sum.variance", "background.mean", "profile.correlation", "profile.rmsd")
_PROFILES = ("miller_index", "d")
_CENTROIDS = ("miller_index", "d", "xyzcal.mm", "xyzcal.px", "xyzobs.mm.value", "xyzobs.mm.variance",
              "xyzobs.px.value", "xyzobs.px.variance")


def describe_reflections(table: ReflectionTable) -> str:
    """Describe a table: its number of reflections, and each column's least, greatest and mean value.

    Parameters
    ----------
    table : ReflectionTable
        Columns of text and of truth values have no range and are left out.
    """
    lines = ["", f"Reflection list contains {len(table)} reflections"]
    if len(table):
        with np.errstate(all="ignore"):  # what is no number is shown as such
            rows = [row for name in sorted(table) for row in _range_rows(name, table[name])]
        lines += format_text_table([("Column", "min", "max", "mean"), *rows])
    return "\n".join(lines)


def describe_flags(table: ReflectionTable) -> str:
    """Count the reflections that have each flag.

    Parameters
    ----------
    table : ReflectionTable
        With a column ``flags``. A flag that sums up others counts where any of its bits is set; it is indented.
    """
    rows = [("Flag", "Count", "%")]
    # Of several names of one flag the last one stays, each bit pattern is listed once.
    for flag, name in sorted({flag: name for name, flag in Flag.__members__.items()}.items()):
        count = int(np.count_nonzero(table.any_flags(flag)))
        # More than one bit: a flag that sums up others.
        indent = "  " if flag.value & (flag.value - 1) else ""
        rows.append((indent + name.lower(), str(count), f"{100 * count / max(len(table), 1):.1f}"))
    return "\n".join(["Reflection flags:", *format_text_table(rows)])


def describe_identifiers(table: ReflectionTable) -> str:
    """Say which experiment each value of the column ``id`` means, a line each."""
    lines = ["Experiment identifiers id-map values:"]
    lines += [f"id:{key} -> experiment identifier:{name}" for key, name in table.identifiers.items()]
    return "\n".join(lines)


def choose_columns(table: ReflectionTable, *, intensities: bool, profiles: bool, centroids: bool, all_data: bool
                     ) -> list[str]:
    """Choose the columns that are printed row by row.

    Parameters
    ----------
    table : ReflectionTable
    intensities, profiles, centroids : bool
        Groups of columns that the user asks for.
    all_data : bool
        All columns.

    Returns
    -------
    list of str
        In order, each once; columns that the table lacks are left out.
    """
    wanted = [*(_INTENSITIES if intensities else ()), *(_PROFILES if profiles else ()),
              *(_CENTROIDS if centroids else ()), *(sorted(table) if all_data else ())]
    return [name for name in dict.fromkeys(wanted) if name in table]


def describe_rows(table: ReflectionTable, names: Sequence[str], max_rows: int | None = None) -> str:
    """Print the rows of some columns.

    Parameters
    ----------
    table : ReflectionTable
    names : sequence of str
        Columns that the table has.
    max_rows : int, optional
        Print at most so many; None: all.
    """
    n = len(table) if max_rows is None else min(max_rows, len(table))
    part = table.select(slice(0, n))
    columns = [[name if name != "shoebox" else "shoebox (N pix)", *_cells(name, part[name])] for name in names]
    widths = [max(map(len, column)) for column in columns]
    lines = ["", f"Printing {n} of {len(table)} reflections:"]
    for row in zip(*columns, strict=True):
        lines.append(" ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    return "\n".join(lines)


def format_text_table(rows: Sequence[Sequence[str]]) -> list[str]:
    r"""Draw a box around rows of cells; the first row is the head.

    Examples
    --------
    >>> print("\n".join(format_text_table([("Flag", "Count"), ("strong", "3")])))
    +--------+-------+
    | Flag   | Count |
    |--------|-------|
    | strong | 3     |
    +--------+-------+
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
             for row in rows]
    return [rule, lines[0], rule.replace("+-", "|-").replace("-+", "-|"), *lines[1:], rule]


def _range_rows(name: str, column: object) -> Iterator[tuple[str, str, str, str]]:
    """One row of the table of ranges; shoeboxes have four, text has none."""
    if isinstance(column, Shoeboxes):
        yield name, "", "", ""
        for label, values in _shoebox_numbers(column):
            yield _range_row(f"  {label}", values, ".1f")
    elif isinstance(column, np.ndarray) and column.dtype != bool and column.shape[1:] in ((), (2,), (3,)):
        yield _range_row(name, column, _format(name, column))


def _range_row(name: str, values: np.ndarray, style: str) -> tuple[str, str, str, str]:
    three = np.min(values, axis=0), np.max(values, axis=0), np.mean(values, axis=0)
    low, high, mean = (", ".join(format(float(v), style) for v in np.atleast_1d(x)) for x in three)
    return name, low, high, mean


def _shoebox_numbers(boxes: Shoeboxes) -> Iterator[tuple[str, np.ndarray]]:
    """Per shoebox: summed counts less background of foreground pixels, pixels in the box, valid foreground pixels."""
    needed = MaskCode.VALID | MaskCode.FOREGROUND
    used = (boxes.mask & needed) == needed
    yield "summed I", _sums(np.where(used, boxes.data - boxes.background, 0.0), boxes)
    yield "N pix", boxes.volumes
    yield "N valid foreground pix", _sums(used, boxes)


def _sums(values: np.ndarray, boxes: Shoeboxes) -> np.ndarray:
    """Sum of a pixel quantity over each shoebox."""
    # Differences of running sums: a box is a slice of one long column of pixels.
    totals = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return totals[boxes.offsets[1:]] - totals[boxes.offsets[:-1]]


def _format(name: str, column: np.ndarray) -> str:
    if name in _FORMATS:
        return _FORMATS[name]
    # Counts and intensities: a tenth of a count is enough.
    if name.startswith(("intensity.", "background.", "n_signal")):
        return ".1f"
    return ".0f" if column.dtype.kind in "iu" else ".3f"


def _cells(name: str, column: object) -> list[str]:
    """Each row of a column as text."""
    if isinstance(column, Shoeboxes):
        return [str(int(n)) for n in column.volumes]
    if not isinstance(column, np.ndarray):
        return [str(value) for value in column]  # type: ignore[attr-defined]
    style = _format(name, column) if column.dtype != bool else ""
    if column.ndim == 1:
        return [format(value.item(), style) for value in column]
    if not len(column):
        return []
    cells = [[format(float(v), style) for v in row] for row in column.reshape(len(column), -1)]
    widths = [max(map(len, part)) for part in zip(*cells, strict=True)]
    return [", ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
