"""Parameters of ``xdp report``."""

from __future__ import annotations

from xdp.options import FilePath, Options, option


class ReportOutput(Options):
    """Files that are written."""

    html: FilePath | None = option("xdp.report.html", "The page: one file with all that it needs.", file="output")
    json_: FilePath | None = option(None, "The plots, their numbers and the verdict as JSON.", file="output")
    plots: FilePath | None = option(None, "A folder for the plots as PNG and SVG files; it is made if need be.",
                                    file="folder")


class ReportOptions(Options):
    """Parameters of ``xdp report``."""

    output: ReportOutput = option(ReportOutput(), "Files that are written.")
