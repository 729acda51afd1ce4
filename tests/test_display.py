"""How models, tables, options and results show themselves."""

from __future__ import annotations

import pytest

import xdp
from xdp.display import Displayed, format_value, html_table
from xdp.experiment import Experiment, ImageSet
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan, make_spots

MODELS = [make_beam(), make_detector(), make_detector()[0], make_goniometer(), make_scan(5), make_crystal(),
          ImageSet("ImageSequence", "<b>_####.cbf"), make_spots()[0], make_spots()[0][0], make_spots()[1]]


@pytest.mark.parametrize("thing", MODELS, ids=lambda thing: type(thing).__name__)
def test_models_show_themselves_in_a_few_lines(thing):
    text = repr(thing)
    assert text.startswith(f"<{type(thing).__name__}:")
    assert len(text.splitlines()) <= 10
    page = thing._repr_html_()
    assert page.startswith("<table>")
    assert page.endswith("</table>")
    assert "<b>" not in page


def test_facts_are_those_of_the_model():
    assert "P 43 21 2" in repr(make_crystal())
    assert "79.34" in repr(make_crystal())
    assert "1 to 5" in repr(make_scan(5))
    assert f"rows {len(make_spots()[1])}" in repr(make_spots()[1])


def test_nothing_in_a_value_acts_as_html():
    experiment = Experiment(identifier="<script>alert(1)</script>")
    assert "<script>" not in experiment._repr_html_()
    assert "<td" in html_table("", [["<td>"]])
    assert "&lt;td&gt;" in html_table("", [["<td>"]])


def test_options_show_what_was_changed():
    options = xdp.FindSpotsOptions(spotfinder={"filter": {"d_min": 2.0}, "scan_range": ((1, 5), (7, 9))})
    assert repr(options) == ("<FindSpotsOptions: spotfinder.scan_range=1 5, spotfinder.scan_range=7 9, "
                             "spotfinder.filter.d_min=2>")
    assert repr(xdp.FindSpotsOptions()) == "<FindSpotsOptions: all defaults>"
    assert "spotfinder.filter.d_min" in options._repr_html_()


def test_long_facts_get_a_line_each():
    class Long(Displayed):
        """Many facts."""

        def _facts(self):
            return [(f"name{i}", "x" * 30) for i in range(5)]

    assert len(repr(Long()).splitlines()) == 6


def test_values_are_short():
    assert format_value(1.23456789) == "1.23457"
    assert format_value([1, None, "a"]) == "1 - a"
