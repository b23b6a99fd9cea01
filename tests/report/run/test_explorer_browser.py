"""The explorer's sliders in a real browser: what they keep is what the metric and the keep rule keep."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apm_exp.pipeline.stages.report import report
from apm_exp.selection.keep.top_fraction import top_fraction
from tests.report import finished_run as made
from tests.report.test_browser import browser, pytestmark, show

__all__ = ["browser", "pytestmark"]
ATTACK = "</script><script>document.title = 'attacked'</script>"
ALPHAS = [0.0, 0.5, 0.85, 2.5, 100.0]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("explorer")
    report(root, **made.finished_run(root / "artifacts", texts=ATTACK))
    return root / "report.html"


def part(browser: Any, name: str) -> Any:
    return browser.find_element("css selector", f'.explorer [data-part="{name}"]')


def slide(browser: Any, name: str, place: int | float) -> None:
    """Move a slider, as a drag does."""
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    browser.execute_script(script, part(browser, name), place)


def slide_alpha(browser: Any, alpha: float) -> None:
    """Move the slider until it says so."""
    places = int(part(browser, "alpha").get_attribute("max")) + 1
    script = """const [slider, said, wanted] = arguments;
      let [low, high] = [0, slider.max - 0];
      while (low < high) { const middle = (low + high) >> 1; slider.value = middle;
        slider.dispatchEvent(new Event('input'));
        if (Number(said.textContent) < wanted) low = middle + 1; else high = middle; }
      slider.value = low; slider.dispatchEvent(new Event('input')); return Number(said.textContent);"""
    assert browser.execute_script(script, part(browser, "alpha"), part(browser, "alpha-value"), alpha) == alpha
    assert places > 300


def listed(browser: Any, which: str) -> list[str]:
    script = """const [select, which] = arguments; select.value = which; select.dispatchEvent(new Event('input'));
      return [...document.querySelectorAll('[data-part="list"] code')].map(code => code.textContent);"""
    return browser.execute_script(script, part(browser, "which"), which)


def row(browser: Any, table: str, number: int) -> list[str]:
    script = "return [...arguments[0].rows[arguments[1]].cells].map(cell => cell.textContent)"
    return browser.execute_script(script, part(browser, table), number)


def test_it_begins_at_the_runs_own_selection(browser: Any, page: Path) -> None:
    show(browser, page, 1280, "light")
    assert browser.get_log("browser") == []
    assert part(browser, "command").text == made.COMMAND
    assert part(browser, "keep-value").text == "40.0%, 4 of 10"
    assert sorted(listed(browser, "kept")) == made.names(10)[1:5]
    assert row(browser, "overlap", 0) == ["this run's selection", "4 (100.0%)", "1.00"]
    assert row(browser, "overlap", 1) == ["explicit", "3 (75.0%)", "0.60"]
    assert row(browser, "lengths", 0) == ["kept", "4", "+5.0", "75.0%"]
    assert row(browser, "lengths", 1) == ["not kept", "6", "+3.3", "50.0%"]


@pytest.mark.parametrize("thousandths", [100, 400, 1000])
def test_what_the_sliders_keep_is_what_the_metric_keeps(browser: Any, page: Path, thousandths: int) -> None:
    show(browser, page, 1280, "light")
    explicit, implicit = np.abs(made.EXPLICIT_MARGINS), np.abs(made.IMPLICIT_MARGINS)
    ids = np.array(made.names(10))
    slide(browser, "keep", thousandths)
    for alpha in ALPHAS:
        slide_alpha(browser, alpha)
        kept = ids[top_fraction(explicit - alpha * implicit, ids, fraction=thousandths / 1000)].tolist()
        assert sorted(listed(browser, "kept")) == kept, alpha
        assert sorted(listed(browser, "other")) == sorted({*ids.tolist()} - {*kept}), alpha
        by_map = f"metric=map alpha={alpha:g} metric.rescale=false keep=top_fraction"
        assert part(browser, "command").text == f"{made.COMMAND} {by_map} keep.fraction={thousandths / 1000:g}"


def test_the_scatter_is_drawn_again_and_the_run_comes_back(browser: Any, page: Path) -> None:
    show(browser, page, 1280, "light")
    pixels = "return arguments[0].toDataURL()"
    before = browser.execute_script(pixels, part(browser, "scatter"))
    slide_alpha(browser, 0.0)
    assert row(browser, "overlap", 1)[1] == "4 (100.0%)"
    assert browser.execute_script(pixels, part(browser, "scatter")) != before
    part(browser, "reset").click()
    assert browser.execute_script(pixels, part(browser, "scatter")) == before
    assert part(browser, "command").text == made.COMMAND


def test_the_list_is_searched_and_its_texts_stay_text(browser: Any, page: Path) -> None:
    show(browser, page, 390, "dark")
    part(browser, "search").send_keys("PAIR-00007")
    assert listed(browser, "all") == ["pair-00007"]
    browser.execute_script("document.querySelector('[data-part=\"list\"] details').open = true")
    entry = part(browser, "list").text
    assert f"p {ATTACK} 7" in entry
    assert "pairs.jsonl:8" in entry
    # Rank 7: values 7.9, 6.8, 5.9, 4.95, 4.5, 2.85, then 2 - 0.5 * 0.1.
    words = "rank 7 of 10 · value 1.95 = 2.00 \N{MINUS SIGN} 0.05 · not kept: reward sees 2 reward units, policy 0.1"
    assert f"{words} nats per token" in entry.splitlines()
    assert browser.title != "attacked"
    assert len(browser.find_elements("css selector", "script")) == 1
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    assert browser.get_log("browser") == []


def test_without_rewards_only_the_share_can_be_chosen(browser: Any, tmp_path: Path) -> None:
    arguments = made.finished_run(tmp_path / "artifacts", with_rewards=False)
    arguments["config"] = {**arguments["config"], "metric": made.IMPLICIT}
    report(tmp_path, **arguments)
    show(browser, tmp_path / "report.html", 1280, "light")
    assert not part(browser, "alpha").is_displayed()
    slide(browser, "keep", 200)
    assert sorted(listed(browser, "kept")) == ["pair-00004", "pair-00007"]
    assert part(browser, "command").text.endswith("metric=implicit keep=top_fraction keep.fraction=0.2")
    assert browser.get_log("browser") == []


def test_one_pair_is_all_that_can_be_kept(browser: Any, tmp_path: Path) -> None:
    arguments = made.finished_run(tmp_path / "artifacts")
    chosen = {"selection": made.write_selection(tmp_path, np.array([1.5]), np.array([0.5]), 1)}
    arguments["shown"] = arguments["shown"] | chosen
    report(tmp_path, **arguments)
    show(browser, tmp_path / "report.html", 1280, "light")
    slide(browser, "keep", 0)  # the browser stops at the lowest share that keeps a pair
    assert part(browser, "keep-value").text == "100.0%, 1 of 1"
    assert browser.get_log("browser") == []


def ranks(browser: Any) -> dict[str, int]:
    """The ranks of the pairs that are shown."""
    script = """return [...document.querySelectorAll('[data-part="list"] details')].map(entry =>
      [entry.querySelector('code').textContent, entry.querySelector('.numbers').textContent]);"""
    return {name: int(text.split()[1].replace(",", "")) for name, text in browser.execute_script(script)}


def test_equal_values_are_ranked_by_pair_id(browser: Any, tmp_path: Path) -> None:
    arguments = made.finished_run(tmp_path / "artifacts")
    chosen = {"selection": made.write_selection(tmp_path, np.full(10, 0.1), np.full(10, 0.3), 4)}
    arguments["shown"] = arguments["shown"] | chosen
    report(tmp_path, **arguments)
    show(browser, tmp_path / "report.html", 1280, "light")
    assert "All pairs have the same value, so pair_id alone decides" in browser.page_source
    assert ranks(browser) == {name: rank for rank, name in enumerate(made.names(10), 1)}
    assert sorted(listed(browser, "kept")) == made.names(10)[:4]
    assert browser.get_log("browser") == []


def test_a_hundred_thousand_pairs_stay_small_and_move_without_lag(browser: Any, tmp_path: Path) -> None:
    pairs, stream = 100_000, np.random.default_rng(0)
    arguments = made.finished_run(tmp_path / "artifacts")
    texts = [f"prompt {number} " + "word " * 60 for number in range(pairs)]
    lengths = stream.integers(1, 2000, (2, pairs)).tolist()
    explicit, implicit = stream.normal(size=(2, pairs))
    arguments["shown"] = arguments["shown"] | {
        "pairs": made.write_pairs(tmp_path, texts, texts, texts),
        "logps": made.write_logps(tmp_path, *lengths),
        "selection": made.write_selection(tmp_path, explicit, implicit, 40_000),
    }
    assert report(tmp_path, **arguments)["bytes"] < 2_000_000
    show(browser, tmp_path / "report.html", 1280, "light")
    assert part(browser, "command").text == made.COMMAND
    assert row(browser, "overlap", 0)[1] == "40,000 (100.0%)"
    slide_alpha(browser, 2.5)
    order = np.argsort(-(np.abs(explicit) - 2.5 * np.abs(implicit)), kind="stable").tolist()
    found = ranks(browser)
    assert found == {name: order.index(int(name[5:])) + 1 for name in found}
    assert min(found.values()) < 40_000 < max(found.values())
    times = []
    for place in range(100, 300, 5):
        slide(browser, "alpha", place)
        times.append(float(browser.execute_script("return document.querySelector('.explorer').dataset.milliseconds")))
    assert min(times) < 50, times  # the quickest, as other programs may use the same cores


@pytest.mark.parametrize("width", [1200, 390])
def test_the_numbers_of_the_axis_are_beside_its_name(browser: Any, tmp_path: Path, width: int) -> None:
    arguments = made.finished_run(tmp_path / "artifacts")
    small = made.write_selection(tmp_path, np.array(made.EXPLICIT_MARGINS), np.array(made.IMPLICIT_MARGINS) / 1000, 4)
    report(tmp_path, **arguments | {"shown": arguments["shown"] | {"selection": small}})
    show(browser, tmp_path / "report.html", width, "light")
    script = """const canvas = arguments[0], pen = canvas.getContext('2d'), height = canvas.height - 40;
      const inked = x => pen.getImageData(x, 0, 1, height).data.some(part => part);
      return [...Array(30).keys()].map(x => Number(inked(x))).join('');"""
    inked = browser.execute_script(script, part(browser, "scatter"))
    assert re.fullmatch("0*1{8,18}0{3,}1.*", inked), inked
