"""Plots drawn by matplotlib: for PNG and SVG files and notebooks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xdp.files import atomic_output
from xdp.plot.data import Axis, Plot, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours that the colour-blind tell apart (Okabe and Ito), and dashes, so that lines also differ by shape.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_DASHES = ("-", "--", "-.", ":")


def draw_plot(plot: Plot) -> Figure:
    """Draw a plot.

    Parameters
    ----------
    plot : Plot

    Returns
    -------
    matplotlib.figure.Figure
        Without pyplot: nothing has to be closed, and no display is needed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(plot.title)
    if plot.grid is not None:
        _draw_grid(plot, axes)
    for i, series in enumerate(plot.series):
        _draw_series(axes, series, i)
    for at, _ in plot.marks:
        axes.axvline(at, color="0.75", linewidth=0.8, zorder=0)
    _set_axis(axes.xaxis, plot.x, axes.set_xlabel, axes.set_xscale)
    _set_axis(axes.yaxis, plot.y, axes.set_ylabel, axes.set_yscale)
    if len(plot.series) > 1:
        axes.legend(frameon=False)
    return figure


def _set_axis(axis, source: Axis, set_label, set_scale) -> None:
    """Label, scale and ticks of one axis."""
    set_label(source.text)
    if source.is_log:
        set_scale("log")
    if source.ticks:
        axis.set_ticks([at for at, _ in source.ticks], [text for _, text in source.ticks])


def _draw_series(axes: Axes, series: Series, i: int) -> None:
    """Draw one series."""
    colour = COLOURS[i % len(COLOURS)]
    if series.kind == "bars":
        width = float(series.x[1] - series.x[0]) if len(series.x) > 1 else 1.0
        axes.bar(series.x, series.y, width, color=colour, label=series.name)
    elif series.kind == "points":
        axes.plot(series.x, series.y, ".", markersize=3, color=colour, label=series.name)
    else:
        axes.plot(series.x, series.y, _DASHES[i % 4], linewidth=1.3, color=colour, label=series.name)
    if series.error is not None:
        axes.errorbar(series.x, series.y, series.error, fmt="none", ecolor=colour, linewidth=0.8)


def _draw_grid(plot: Plot, axes: Axes) -> None:
    """Draw the grid, with the scale of its colours."""
    grid = plot.grid
    assert grid is not None
    reach = float(np.nanmax(np.abs(grid.values))) if np.isfinite(grid.values).any() else 1.0
    limits = {"vmin": -reach, "vmax": reach, "cmap": "RdBu_r"} if grid.is_signed else {"cmap": "viridis"}
    # Detectors are shown as they are looked at: slow goes down.
    extent = (*grid.x_range, *(grid.y_range[::-1] if grid.is_square else grid.y_range))
    image = axes.imshow(grid.values, origin="upper" if grid.is_square else "lower", extent=extent,
                        aspect="equal" if grid.is_square else "auto", interpolation="nearest", **limits)
    axes.figure.colorbar(image, ax=axes, label=grid.label)


def save_plots(plots: list[Plot], folder: str | os.PathLike, formats: tuple[str, ...] = ("png", "svg")) -> list[Path]:
    """Write plots as pictures.

    Parameters
    ----------
    plots : list of Plot
    folder : path
        Is there already.
    formats : tuple of str
        Endings.

    Returns
    -------
    list of Path
        ``NAME.png`` and ``NAME.svg`` for each plot.
    """
    written = []
    for plot in plots:
        figure = draw_plot(plot)
        for ending in formats:
            path = Path(folder) / f"{plot.name}.{ending}"
            with atomic_output(path) as part:
                figure.savefig(part, format=ending, dpi=120)
            written.append(path)
    return written
