"""The pages in a real browser: no console error, every figure visible, no sideways scrolling, legible in the dark."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apm_exp.pipeline.stages.report import report
from apm_exp.report.sweep.page import write_sweep_report
from tests.report.finished_run import finished_run
from tests.report.finished_sweep import finished_sweep, sweep_folder
from tests.report.iterated_run import iterated_run
from tests.report.sweep.test_page import failed

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.skipif(CHROMEDRIVER is None, reason="chromedriver is not installed"),
    pytest.mark.timeout(180),
]
BOXES = """return [...document.querySelectorAll('figure svg')].map(svg => {
  const box = svg.getBoundingClientRect(), inner = svg.getBBox();
  return Math.min(box.width, box.height, inner.width, inner.height); })"""
# The contrast of each text in a figure with the page behind it, as WCAG defines it.
CONTRASTS = """
const channels = color => color.match(/[0-9.]+/g).slice(0, 3).map(Number);
const light = color => { const [r, g, b] = channels(color).map(c => c / 255)
  .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const page = light(getComputedStyle(document.body).backgroundColor);
return [...document.querySelectorAll('figure svg text')].map(text => {
  const ink = light(getComputedStyle(text).fill);
  return (Math.max(page, ink) + 0.05) / (Math.min(page, ink) + 0.05); })"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    driver.set_page_load_timeout(30)
    driver.set_script_timeout(30)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pages")
    report(root, **finished_run(root / "artifacts", texts="word " * 60 + "w" * 200))
    grid = {"metric": ("map", "uniform"), "alpha": ("0.25", "2.5"), "loss.gamma_beta_ratio": ("0.1", "0.5")}
    jobs = finished_sweep(root, grid)
    reason = "keep.fraction=0.001: would keep 0 of 10 pairs; give a larger fraction"
    jobs.append(failed(8, reason, metric="explicit", alpha="1", **{"loss.gamma_beta_ratio": "0.1"}))
    sweep = write_sweep_report(sweep_folder(root), "metrics-12345678", "python -m apm_exp -m " + "x" * 200, jobs)
    (root / "iterations").mkdir()
    report(root / "iterations", **iterated_run(root / "iterated", text="word " * 60 + "w" * 200))
    return {"run": root / "report.html", "sweep": sweep, "iterations": root / "iterations" / "report.html"}


def show(browser: Any, page: Path, width: int, scheme: str) -> None:
    """Open a page at a width (CSS pixels) in a color scheme, with everything that folds opened."""
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(page.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(details => details.open = true)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize(("name", "figures"), [("run", 11), ("sweep", 7), ("iterations", 18)])
def test_a_page_can_be_read(
    browser: Any, pages: dict[str, Path], name: str, figures: int, width: int, scheme: str
) -> None:
    show(browser, pages[name], width, scheme)
    assert browser.get_log("browser") == []
    sizes = browser.execute_script(BOXES)
    assert len(sizes) == figures
    assert min(sizes) > 50
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    contrasts = browser.execute_script(CONTRASTS)
    assert min(contrasts) >= 4.5
    dark = browser.execute_script("return getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


@pytest.mark.parametrize("name", ["run", "iterations"])
def test_a_wide_window_shows_the_runs_tables_whole(browser: Any, pages: dict[str, Path], name: str) -> None:
    show(browser, pages[name], 1200, "light")
    wide = "return [...document.querySelectorAll('.scroll, .drawn')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert browser.execute_script(wide) == 0
    breaks = "return getComputedStyle(document.querySelector('.keys tbody th')).whiteSpace"
    assert browser.execute_script(breaks) == "nowrap"


def test_a_narrow_window_shows_the_headline_score_and_whole_legible_figures(
    browser: Any, pages: dict[str, Path]
) -> None:
    show(browser, pages["sweep"], 380, "light")
    right = "return document.querySelector('table.sortable td.n').getBoundingClientRect().right"
    assert browser.execute_script(right) <= 380
    whole = "return [...document.querySelectorAll('.drawn')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert browser.execute_script(whole) == 0
    heights = "[...document.querySelectorAll('figure svg text')].map(text => text.getBoundingClientRect().height)"
    assert browser.execute_script(f"return Math.min(...{heights})") >= 8


def column(browser: Any, place: int) -> list[str]:
    """A column of the first table, as it is shown."""
    script = (
        "return [...document.querySelector('table.sortable').tBodies[0].rows].map(r => r.cells[arguments[0]].innerText)"
    )
    return browser.execute_script(script, place)


def test_a_heading_sorts_its_table_by_mouse_and_by_key(browser: Any, pages: dict[str, Path]) -> None:
    show(browser, pages["sweep"], 1280, "light")
    given = column(browser, 1)
    assert given == ["0.25", "0.25", "2.5", "2.5", "0.25, 2.5", "0.25, 2.5", "1"]
    ratio = browser.find_element("css selector", "table.sortable thead th:nth-child(3) button")
    ratio.click()
    assert column(browser, 2) == ["0.1"] * 4 + ["0.5"] * 3
    ratio.send_keys("\ue007")  # Enter, on the heading that has the focus
    assert column(browser, 2) == ["0.5"] * 3 + ["0.1"] * 4
    heading = browser.find_element("css selector", "table.sortable thead th:nth-child(3)")
    assert heading.get_attribute("aria-sort") == "descending"
    ratio.click()
    assert column(browser, 1) == given
    assert browser.get_log("browser") == []
