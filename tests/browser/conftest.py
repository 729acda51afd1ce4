"""A headless Chromium that reaches no host; tests are skipped where it, or selenium, is missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture(scope="session")
def open_browser() -> Iterator[Callable]:
    """``open_browser(width, height)`` gives a driver with a window of that size."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (pip install selenium)")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    drivers = []

    def start(width: int, height: int):
        options = Options()
        options.binary_location = chromium
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                     "--host-resolver-rules=MAP * ~NOTFOUND"):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        found = webdriver.Chrome(options=options, service=Service(driver))
        # A window has a least width; a phone is emulated.
        found.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
        drivers.append(found)
        return found

    yield start
    for one in drivers:
        one.quit()
