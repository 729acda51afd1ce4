"""The report in a real browser: complete, without requests and messages, at the width of a desk and of a phone."""

from __future__ import annotations

import json
import time

import pytest
from report_data import make_indexed, plant_second_lattice

from xdp.report.page.contents import build_contents
from xdp.report.page.html import make_page

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page of indexed spots with a second lattice, and what it was made of."""
    experiments, table = make_indexed()
    contents = build_contents(experiments, plant_second_lattice(experiments, table), ["a.expt", "<b>bold<b>.refl"])
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(make_page(contents), encoding="utf-8")
    return path, contents


def wait_for(driver, script: str, seconds: float) -> None:
    """Wait until a script gives true."""
    end = time.monotonic() + seconds
    while not driver.execute_script(f"return {script}"):
        assert time.monotonic() < end, f"{script} is not true after {seconds} s"
        time.sleep(0.05)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_all_plots_are_drawn_from_the_file_alone(report, open_browser, width, height):
    path, contents = report
    driver = open_browser(width, height)
    driver.get(path.as_uri())
    wait_for(driver, "document.body.dataset.ready === 'yes'", 20)
    for plot in contents.plots:
        driver.execute_script("document.getElementById(arguments[0]).scrollIntoView()", f"plot-{plot.name}")
        wait_for(driver, f"document.getElementById('plot-{plot.name}').dataset.drawn === 'yes'", 20)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert driver.get_log("browser") == []
    asked = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if not url.startswith("data:")] == [path.as_uri()]
    assert driver.find_element("css selector", "h1").text == "a.expt, <b>bold<b>.refl"


def test_the_verdict_leads_to_its_plot_and_tables_hold_its_numbers(report, open_browser):
    path, contents = report
    driver = open_browser(1280, 800)
    driver.get(path.as_uri())
    wait_for(driver, "document.body.dataset.ready === 'yes'", 20)
    first = driver.find_element("css selector", ".verdict li")
    assert first.text.startswith("Fault Second lattice") or "Second lattice" in first.text
    first.find_element("css selector", "a").click()
    assert driver.current_url.endswith("#plot-unindexed_on_detector")
    plot = next(p for p in contents.plots if p.name == "spots_per_image")
    summary = driver.find_element("css selector", "#plot-spots_per_image summary")
    driver.execute_script("arguments[0].scrollIntoView(); arguments[0].click()", summary)
    wait_for(driver, "document.querySelectorAll('#plot-spots_per_image tr').length > 0", 10)
    cells = driver.execute_script("return [...document.querySelectorAll('#plot-spots_per_image tr')]"
                                  ".slice(1).map(r => [...r.cells].map(c => Number(c.textContent)))")
    told = plot.to_dict()["series"]
    assert cells == [[x, *(s["y"][k] for s in told)] for k, x in enumerate(told[0]["x"])]
