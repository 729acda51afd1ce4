"""Plots of experiments and reflection tables, as matplotlib figures: ``xdp.plot.spots_per_image(table)``.

Each function takes a table of reflections and, where models are needed, the experiments, and returns a figure. The
names
are those of :data:`xdp.plot.catalogue.BUILDERS`. What a plot holds, as numbers, gives
:func:`xdp.plot.catalogue.build_plot`.

Examples
--------
>>> import xdp.plot
>>> from xdp.reflections import ReflectionTable
>>> figure = xdp.plot.spots_per_image(ReflectionTable({"xyzobs.px.value": [[1.0, 2.0, 0.5], [3.0, 4.0, 1.5]]}))
>>> figure.axes[0].get_title()
'Spots per image'
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Give the function that draws the plot of a name (PEP 562): nothing is imported before it is used."""
    from xdp.plot.catalogue import BUILDERS, make_drawing_function

    if name.startswith("_") or name not in BUILDERS:
        raise AttributeError(f"module 'xdp.plot' has no attribute {name!r}")
    return make_drawing_function(name)


def __dir__() -> list[str]:
    """Names of the plots."""
    from xdp.plot.catalogue import BUILDERS

    return sorted({*globals(), *BUILDERS})
