"""Files of a report."""

from __future__ import annotations

import json

from xdp.options.named import make_options
from xdp.report.page.options import ReportOptions
from xdp.report.page.write import write_report


def test_only_what_is_asked_for_is_written(tmp_path):
    options = make_options(ReportOptions, {"output.html": None, "output.json": str(tmp_path / "r.json")})
    written = write_report("<p>", {"a": 1}, [], options)
    assert written == [str(tmp_path / "r.json")]
    assert json.loads((tmp_path / "r.json").read_text()) == {"a": 1}
    assert len(list(tmp_path.iterdir())) == 1
