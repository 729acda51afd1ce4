"""Parameters of xdp report."""

from xdp.options.files import list_output_files
from xdp.options.named import make_options
from xdp.report.page.options import ReportOptions


def test_all_files_are_known_as_outputs():
    options = make_options(ReportOptions, {"output.json": "a.json", "output.plots": "p"})
    assert {file.name for file in list_output_files(options)} >= {"xdp.report.html", "a.json"}
