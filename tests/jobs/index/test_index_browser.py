"""outputs/index.html in a real browser, opened as a file: no error, no request, links that lead somewhere, sorting."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest

from apm_exp.jobs.index.page import write_index
from tests.jobs.index.test_index import LINE, run, sweep
from tests.report.test_browser import browser, column, pytestmark, show

__all__ = ["browser", "pytestmark"]
LONG = f"model.path=/a/rather/long/path/to/a/model/{'without-a-space-' * 8}"
RUNS = ["map-x-cccccc", "uniform-x-bbbbbb", "map-x-aaaaaa"]  # the newest first


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of an output_root whose name has characters that links escape."""
    root = tmp_path_factory.mktemp("index") / "my outputs #1 100%"
    sweep(root, "multirun-12345678", "done", "done", "failed")
    run(root, "20261124-031404-map-x-aaaaaa", "metric=map", "alpha=2", LONG)
    run(root, "20261126-020104-uniform-x-bbbbbb", "metric=uniform", sweep="multirun-12345678")
    run(root, "20261127-020104-map-x-cccccc", "metric=map", state="failed", reason="no room", page=False)
    write_index(root)
    return root / "index.html"


def names(browser: Any) -> list[str]:
    """The names in the table of runs, as they are shown."""
    script = """const table = document.querySelector('#runs').closest('section').querySelector('table');
      return [...table.tBodies[0].rows].map(row => row.cells[0].innerText.split('\\n')[0].trim());"""
    return browser.execute_script(script)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_it_can_be_read_without_a_request(browser: Any, page: Path, width: int, scheme: str) -> None:
    show(browser, page, width, scheme)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert column(browser, 1) == [LINE]
    assert names(browser) == RUNS


def test_every_link_leads_to_a_page_or_a_record(browser: Any, page: Path) -> None:
    show(browser, page, 1200, "light")
    links = browser.execute_script("return [...document.querySelectorAll('a')].map(link => link.href)")
    assert len(links) == 7  # a run without a page has a record
    assert {urlparse(link).scheme for link in links} == {"file"}
    assert all(Path(unquote(urlparse(link).path)).exists() for link in links)
    browser.find_element("css selector", "#runs + .scroll tbody a").click()  # the record of the newest run
    assert unquote(browser.current_url).endswith(f"runs/20261127-020104-{RUNS[0]}/")
    browser.get_log("browser")  # of Chromium's own page, which lists a folder
    browser.back()
    browser.find_element("link text", "multirun-12345678").click()
    assert browser.find_element("tag name", "body").text == "page"


def test_a_heading_sorts_the_runs(browser: Any, page: Path) -> None:
    show(browser, page, 1200, "light")
    heading = browser.find_element("css selector", "#runs + .scroll thead th:nth-child(4) button")
    heading.click()
    assert names(browser) == RUNS[::-1]
    heading.click()
    assert names(browser) == RUNS
    assert browser.get_log("browser") == []
