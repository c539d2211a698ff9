"""A real browser without a window, driven by tests."""

import os
import shutil
from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium, driven; skips where it is missing."""
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("Programs 'chromium' and 'chromedriver' are expected; .ci/run installs Debian's.")
    options = Options()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(argument)
    service = Service(executable_path=driver, env=os.environ | {"HOME": str(tmp_path_factory.mktemp("home"))})
    started = webdriver.Chrome(options=options, service=service)
    started.set_script_timeout(30)
    try:
        yield started
    finally:
        started.quit()


def list_errors(opened: webdriver.Chrome) -> list[str]:
    """What the pages so far have said on their console, as far as it is an error."""
    return [entry["message"] for entry in opened.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]
