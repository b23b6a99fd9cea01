"""The report on a multirun: every arm with its state, its scores with intervals, and what it shares."""

import html
import re
from pathlib import Path
from typing import Any

from apm_exp.report.render import NONE
from apm_exp.report.sweep import context, write_sweep_report
from tests.report.finished_run import score

COMMAND = "python -m apm_exp -m metric=map,uniform alpha=0.5,2.5"


def job(number: int, metric: str, alpha: str, **given: Any) -> dict[str, Any]:
    """A finished job with a win rate."""
    value = 0.5 + number / 20
    made = {
        "number": number,
        "swept": {"metric": metric, "alpha": alpha},
        "state": "done",
        "reason": None,
        "scores": {"win_rate": score(value, 0.02, 400, "share"), "starting_reward": score(0.6, 0.01, 400, "points")},
        "kept": 1938,
        "trained": True,
        "policy_key": f"{metric}-{alpha}",
        "report": f"../../report/{metric}-{alpha}/report.html",
        "seconds": 31.26,
    }
    return made | given


def failed(number: int, metric: str, alpha: str, reason: str) -> dict[str, Any]:
    """A job that ended before it had anything."""
    nothing = {"scores": {}, "kept": None, "trained": None, "policy_key": None, "report": None, "seconds": None}
    return job(number, metric, alpha, state="failed", reason=reason, **nothing)


def rows_of(page: str) -> list[str]:
    """The table's rows as plain text."""
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    rows = re.findall(r"<tr>(.*?)</tr>", body, flags=re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", row)).replace(NONE, "none").split()) for row in rows]


def write(folder: Path, jobs: list[dict[str, Any]]) -> str:
    path = write_sweep_report(folder, "metrics-12345678", COMMAND, jobs)
    assert path == folder / "report.html"
    return path.read_text()


def test_each_arm_has_its_settings_score_interval_and_link(tmp_path: Path) -> None:
    page = write(tmp_path, [job(0, "map", "0.5"), job(1, "map", "2.5")])
    # 0.5 and 0.55, +- 1.96 * 0.02.
    assert rows_of(page) == [
        "0 map 0.5 done 50.0% ± 2.0 46.1% to 53.9%, n = 400 1,938 trained 31.3 s",
        "1 map 2.5 done 55.0% ± 2.0 51.1% to 58.9%, n = 400 1,938 trained 31.3 s",
    ]
    assert 'href="../../report/map-2.5/report.html"' in page
    assert COMMAND in html.unescape(page)
    assert "Starting reward: 0.600 ± 0.010 (n = 400) in every arm" in page
    assert page.count("<figure>") == 1


def test_arms_stay_in_the_order_given_whatever_their_scores(tmp_path: Path) -> None:
    jobs = [job(2, "map", "a"), job(0, "map", "b"), job(1, "map", "c")]
    assert [row.split()[0] for row in rows_of(write(tmp_path, jobs))] == ["0", "1", "2"]


def test_a_failed_job_is_a_row_with_its_reason(tmp_path: Path) -> None:
    page = write(tmp_path, [job(0, "map", "0.5"), failed(1, "map", "9", "trainer: <b>the loss is not finite</b>")])
    assert rows_of(page)[1] == "1 map 9 failed trainer: <b>the loss is not finite</b> none none none"
    assert "2 jobs: 1 done, 1 failed." in page
    assert "<b>the loss" not in page


def test_two_jobs_with_one_policy_are_the_same_model(tmp_path: Path) -> None:
    shared = {"policy_key": "one"}
    jobs = [job(0, "uniform", "1", **shared), job(1, "uniform", "2", trained=False, **shared)]
    jobs.append(job(2, "map", "1", trained=False))
    assert [row["policy"] for row in context("s", COMMAND, jobs)["rows"]] == ["trained", "same as 0", "reused"]
    svg = context("s", COMMAND, jobs)["figures"][0]["svg"]
    assert svg.count("fill-opacity: 0") + svg.count("fill: none; stroke: var(--kept, #0b62c4); stroke-linejoin") == 1


def test_when_all_failed_there_is_still_a_page(tmp_path: Path) -> None:
    page = write(tmp_path, [failed(0, "map", "1", "first reason"), failed(1, "map", "2", "second reason")])
    assert rows_of(page) == [
        "0 map 1 failed first reason none none none",
        "1 map 2 failed second reason none none none",
    ]
    assert "No job finished with a score" in page
    assert "<figure>" not in page


def test_scores_that_only_some_arms_have_are_dashes(tmp_path: Path) -> None:
    jobs = [job(0, "map", "1"), job(1, "map", "2", scores={"accuracy": score(0.75, 0.03, 200, "share")})]
    first, second = rows_of(write(tmp_path, jobs))
    assert first.startswith("0 map 1 done 50.0% ± 2.0 46.1% to 53.9%, n = 400 none ")
    assert second.startswith("1 map 2 done none 75.0% ± 3.0 69.1% to 80.9%, n = 200 ")


def test_starting_scores_that_differ_are_columns() -> None:
    other = {"win_rate": score(0.6, 0.02, 400, "share"), "starting_reward": score(0.7, 0.01, 400, "points")}
    found = context("s", COMMAND, [job(0, "map", "1"), job(1, "map", "2", scores=other)])
    assert found["starting"] == []
    assert [words for _, words in found["score_names"]] == ["win rate", "starting reward"]


def test_the_same_jobs_give_the_same_page(tmp_path: Path) -> None:
    jobs = [job(0, "map", "0.5"), job(1, "map", "2.5")]
    assert write(tmp_path, jobs) == write(tmp_path, jobs)
