"""The page: complete, without requests, names as text."""

from __future__ import annotations

import base64
import gzip
import json
import re

import pytest
from report_data import make_clean

from xdp.report.page.contents import build_contents
from xdp.report.page.html import assemble_page, make_page, pack_base64, read_static, write_figure

pytestmark = pytest.mark.kernels


def unpack(page: str, name: str) -> bytes:
    """A packed block of a page."""
    return gzip.decompress(base64.b64decode(re.search(rf'id="{name}">([^<]*)<', page)[1]))


@pytest.fixture(scope="module")
def contents():
    return build_contents(*make_clean(), ["imported.expt", '<img src=x onerror="alert(1)">.refl'])


def test_the_page_has_all_plots_and_their_numbers(contents):
    page = make_page(contents)
    assert json.loads(unpack(page, "plots")) == json.loads(json.dumps([plot.to_dict() for plot in contents.plots]))
    for plot in contents.plots:
        assert f'id="plot-{plot.name}"' in page
    assert b"Bokeh" in unpack(page, "bokeh")
    assert len(page) < 1_500_000


def test_nothing_is_asked_of_other_places(contents):
    page = re.sub(r'<script type="text/plain".*?</script>', "", make_page(contents), flags=re.DOTALL)
    assert "default-src 'none'" in page
    assert not re.findall(r"""(?:src|href)=["']?(?!#|data:)\w""", page.replace("src=x onerror", ""))
    assert "http://" not in page
    assert "https://" not in page


def test_names_are_text(contents):
    page = make_page(contents)
    assert "<img" not in page
    assert "&lt;img src=x" in page


def test_the_same_data_make_the_same_page(contents):
    assert make_page(contents) == make_page(contents)
    assert pack_base64(b"a") == pack_base64(b"a")


def test_a_page_without_lines_needs_no_bokeh(contents):
    maps = [plot for plot in contents.plots if plot.grid is not None]
    assert 'id="bokeh"' not in assemble_page("t", "".join(map(write_figure, maps)), maps)
    assert "Bokeh" in read_static("report.js")
