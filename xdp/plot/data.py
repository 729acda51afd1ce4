"""A plot as data: axes, series or a grid, and a line that says what good and bad look like.

The report's page, matplotlib and JSON are made of the same :class:`Plot`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

#: Significant digits of every number of a plot: more than a screen shows. The report of another program grew to 26 MB
#: by points of 17 digits.
N_DIGITS = 5
#: Points that a scatter plot has at most; more become a grid of counts, which also shows where they lie on each other.
MAX_POINTS = 5000


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes
    ----------
    label : str
        What is along it.
    unit : str
        Empty for numbers without one.
    is_log : bool
        Whether its scale is logarithmic.
    ticks : tuple of (float, str)
        Where the axis is labelled, and how; empty: the renderer chooses.
    """

    label: str
    unit: str = ""
    is_log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()

    @property
    def text(self) -> str:
        """The label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def to_dict(self) -> dict[str, Any]:
        """Give the axis in JSON's types."""
        ticks = [[round_number(at), text] for at, text in self.ticks]
        return {"label": self.label, "unit": self.unit, "log": self.is_log, "ticks": ticks}


@dataclass(frozen=True)
class Series:
    """Values along the horizontal axis.

    Attributes
    ----------
    name : str
        As the legend has it.
    x, y : (n,) float64
        NaN where there is no value.
    kind : "line", "points" or "bars"
        How they are drawn; bars are as wide as the values are apart.
    error : (n,) float64 or None
        Standard uncertainty of y.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    kind: Literal["line", "points", "bars"] = "line"
    error: np.ndarray | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the series in JSON's types, numbers rounded, None for what is no number."""
        error = None if self.error is None else round_values(self.error)
        return {"name": self.name, "kind": self.kind, "x": round_values(self.x), "y": round_values(self.y),
                "error": error}


@dataclass(frozen=True)
class Grid:
    """Values on a grid of rectangles.

    Attributes
    ----------
    label : str
        What the colours mean.
    x_range, y_range : (float, float)
        Outer borders.
    values : (n_y, n_x) float64
        NaN where there is nothing.
    is_square : bool
        Whether both axes have one scale, as on a detector.
    is_signed : bool
        Whether zero is in the middle of the colours.
    """

    label: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    values: np.ndarray
    is_square: bool = False
    is_signed: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Give the grid in JSON's types."""
        return {"label": self.label, "x": round_values(self.x_range), "y": round_values(self.y_range),
                "square": self.is_square, "signed": self.is_signed,
                "values": [round_values(row) for row in self.values]}


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes
    ----------
    name : str
        Its key: that of the function in ``xdp.plot``.
    title : str
    caption : str
        What good and bad look like.
    x, y : Axis
    series : tuple of Series
        Empty where there is a grid.
    grid : Grid or None
    marks : tuple of (float, str)
        Vertical lines with a word to each, such as rings of ice.
    """

    name: str
    title: str
    caption: str
    x: Axis
    y: Axis
    series: tuple[Series, ...] = ()
    grid: Grid | None = None
    marks: tuple[tuple[float, str], ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Give the plot in JSON's types: the form of ``xdp report json=`` (docs/report.md)."""
        return {"name": self.name, "title": self.title, "caption": self.caption, "x": self.x.to_dict(),
                "y": self.y.to_dict(), "series": [series.to_dict() for series in self.series],
                "grid": None if self.grid is None else self.grid.to_dict(),
                "marks": [[round_number(at), text] for at, text in self.marks]}


def round_number(value: float) -> float | int | None:
    """Round to :data:`N_DIGITS` significant digits; None for what is no finite number.

    Examples
    --------
    >>> round_number(3.14159265), round_number(1234567.0), round_number(float("nan"))
    (3.1416, 1234600, None)
    """
    if not np.isfinite(value):
        return None
    rounded = float(f"{value:.{N_DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded


def round_values(values: Sequence[float] | np.ndarray) -> list[float | int | None]:
    """Round each of some values as :func:`round_number` does.

    Examples
    --------
    >>> round_values([0.1 + 0.2, 1e-7 / 3])
    [0.3, 3.3333e-08]
    """
    return [round_number(value) for value in np.asarray(values, np.float64).tolist()]
