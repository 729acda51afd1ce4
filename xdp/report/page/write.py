"""Reports written: the page, JSON, pictures."""

from __future__ import annotations

import json
from typing import Any

from xdp.files import atomic_output, make_folder
from xdp.plot.data import Plot
from xdp.report.page.options import ReportOptions


def write_report(page: str, content: dict[str, Any], plots: list[Plot], options: ReportOptions) -> list[str]:
    """Write what is asked for.

    Parameters
    ----------
    page : str
        HTML.
    content : dict
        What goes to JSON.
    plots : list of Plot
        What is drawn as pictures.
    options : ReportOptions

    Returns
    -------
    list of str
        The names of what was written; of pictures, their folder.
    """
    output, written = options.output, []
    for path, text in ((output.html, page), (output.json_, None)):
        if path is None:
            continue
        text = json.dumps(content, indent=1, allow_nan=False) if text is None else text
        with atomic_output(path) as part:
            part.write_text(text, encoding="utf-8")
        written.append(str(path))
    if output.plots is not None:
        # Late: matplotlib takes longer to import than all else.
        from xdp.plot.drawing import save_plots

        save_plots(plots, make_folder(output.plots))
        written.append(str(output.plots))
    return written
