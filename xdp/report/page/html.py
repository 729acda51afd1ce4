"""The page: one HTML file with styles, scripts and data in it, that asks for nothing else."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from importlib import resources
from pathlib import Path

import xdp
from xdp.plot.data import Plot
from xdp.report.page.contents import ReportContents
from xdp.report.page.findings import Finding

#: No request, no form, no frame: only what stands in the page itself.
_POLICY = ("default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
           "base-uri 'none'; form-action 'none'")
#: Severity from which a line of the verdict is a fault, not a hint.
_BAD = 0.5


def make_page(contents: ReportContents) -> str:
    """Make the HTML of a report of one data set.

    Parameters
    ----------
    contents : ReportContents

    Returns
    -------
    str
    """
    first = (f"<h1>{escape(contents.title)}</h1>\n<p class=\"what\">{escape(_describe_stage(contents))}</p>\n"
             f"{_write_verdict(contents.findings)}\n{_write_facts(contents.facts)}")
    sections = "\n".join(_write_section(heading, plots) for heading, plots in contents.sections)
    return assemble_page(contents.title, f"{first}\n{sections}", contents.plots)


def assemble_page(title: str, body: str, plots: Sequence[Plot]) -> str:
    """Put a page together: head, body, data and scripts.

    Parameters
    ----------
    title : str
        Of the window; escaped here.
    body : str
        HTML.
    plots : sequence of Plot
        Those that the body has figures for.

    Returns
    -------
    str
    """
    data = json.dumps([plot.to_dict() for plot in plots], separators=(",", ":"), allow_nan=False)
    needs_bokeh = any(plot.grid is None for plot in plots)
    packed = {"plots": pack_base64(data.encode()), **(_pack_bokeh() if needs_bokeh else {})}
    blocks = "\n".join(f'<script type="text/plain" id="{name}">{text}</script>' for name, text in packed.items())
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)} - xdp report</title>
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>{read_static("report.css")}</style></head>
<body>
{body}
<noscript><p>The plots are drawn by JavaScript, which is switched off.</p></noscript>
<h2>Made by</h2><p class="what">xdp {escape(xdp.__version__)}</p>
{blocks}
<script>{read_static("report.js")}</script>
</body></html>
"""


def read_static(name: str) -> str:
    """Read a file of the folder ``xdp/report/static``."""
    return (resources.files("xdp.report") / "static" / name).read_text(encoding="utf-8")


def pack_base64(data: bytes) -> str:
    """Compress bytes, as base64 text, for a page that unpacks them itself."""
    # No time stamp: the same data give the same page.
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode("ascii")


@lru_cache(maxsize=1)
def _pack_bokeh() -> dict[str, str]:
    """Bokeh's JavaScript, from the installed package, without importing its Python."""
    folder = Path(str(resources.files("bokeh"))) / "server" / "static" / "js"
    return {name: pack_base64((folder / f"{name}.min.js").read_bytes()) for name in ("bokeh", "bokeh-api")}


def _describe_stage(contents: ReportContents) -> str:
    """A sentence about what the data are."""
    words = {"models": "Models", "spots": "Found spots", "indexed": "Indexed spots", "refined": "Refined models and "
"spots",
             "integrated": "Integrated intensities", "scaled": "Scaled intensities"}
    return f"{words[contents.stage]}. Files: {', '.join(contents.files) or 'none'}"


def _write_verdict(findings: Sequence[Finding]) -> str:
    """The verdict as a list, each line with a link to its plot."""
    lines = []
    for finding in findings:
        kind, word = ("good", "Good") if finding.severity <= 0 else ("bad", "Fault") if finding.severity >= _BAD else (
            "warn", "Look at")
        link = f' <a href="#plot-{escape(finding.plot)}">See the plot</a>' if finding.plot else ""
        lines.append(f'<li class="{kind}"><b>{word}</b><span>{escape(finding.text)}{link}</span></li>')
    return f'<ul class="verdict" aria-label="Verdict">{"".join(lines)}</ul>' if lines else ""


def _write_facts(facts: Sequence[tuple[str, str]]) -> str:
    """Facts in two columns of a table each where the page is wide."""
    half = (len(facts) + 1) // 2
    tables = []
    for part in (facts[:half], facts[half:]):
        rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
                       for name, value in part)
        tables.append(f"<table>{rows}</table>" if rows else "")
    return f'<div class="facts">{"".join(tables)}</div>'


def _write_section(heading: str, plots: Sequence[Plot]) -> str:
    """A heading with its figures."""
    return f'<h2>{escape(heading)}</h2>\n<div class="plots">{"".join(map(write_figure, plots))}</div>'


def write_figure(plot: Plot) -> str:
    """Write the HTML of a figure; its script draws it from the page's data.

    Parameters
    ----------
    plot : Plot

    Returns
    -------
    str
    """
    name, title = escape(plot.name), escape(plot.title)
    return (f'<figure id="plot-{name}" '
            f'data-plot="{name}"><h3>{title}</h3><figcaption>{escape(plot.caption)}</figcaption>'
            f'<div class="plot" role="img" aria-label="{title}"></div>'
            '<details><summary>As a table</summary><div class="wide"></div></details></figure>')
