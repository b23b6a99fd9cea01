"""The report on a multirun: arms, what they are worth against the baseline, selections, cost, and what is missing."""

import html
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from apm_exp.report.render import NONE
from apm_exp.report.sweep.page import context, write_sweep_report
from apm_exp.report.sweep.sentence import p_words
from apm_exp.report.sweep.verdict import read_verdict
from apm_exp.selection.stability import jaccard
from tests.report.finished_run import score
from tests.report.finished_sweep import COMMAND, finished_sweep, sweep_folder

GRID = {"alpha": ("0.25", "1", "5"), "loss.gamma_beta_ratio": ("0.1", "0.5")}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """An output_root with two metrics x two alphas x two seeds; the records of the jobs."""
    root = tmp_path_factory.mktemp("swept")
    return root, finished_sweep(root)


def failed(number: int, reason: str, **swept: str) -> dict[str, Any]:
    """A job that ended before it had anything, as the sweep reads it: it names the steps that it was to use."""
    job = {"number": number, "swept": swept, "state": "failed", "reason": reason, "scores": {}, "report": None}
    return job | {"steps": {"policy": {"key": "k", "folder": "policy/dpo-01234567"}}}


def made(root: Path, jobs: list[dict[str, Any]]) -> dict[str, Any]:
    return context(sweep_folder(root), "metrics-12345678", COMMAND, jobs)


def page_of(root: Path, jobs: list[dict[str, Any]]) -> str:
    path = write_sweep_report(sweep_folder(root), "metrics-12345678", COMMAND, jobs)
    assert path == sweep_folder(root) / "report.html"
    return path.read_text()


def rows_of(page: str, name: str) -> list[str]:
    """The rows of the table in the region of that name, as plain text."""
    region = page[page.index(f'aria-label="{name}"') :]
    body = region[region.index("<tbody>") : region.index("</tbody>")]
    rows = re.findall(r"<tr>(.*?)</tr>", body, flags=re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", row)).replace(NONE, "none").split()) for row in rows]


def test_an_arm_has_its_seeds_settings_score_and_links(swept: tuple[Path, list[dict[str, Any]]]) -> None:
    page = page_of(*swept)
    rows = rows_of(page, "Table of arms")
    starts = [r"map 0\.5 7\d\.\d%", r"map 2\.5 5\d\.\d%", r"uniform 0\.5, 2\.5 5\d\.\d%"]  # settings, then the win rate
    assert all(re.match(start, row) for row, start in zip(rows, starts, strict=True))
    # After n: jobs, seeds, kept, steps, seconds of two jobs.
    ends = ["n = 50 0 1 2 24 30 62.5 s", "n = 50 2 3 2 24 30 62.5 s"]
    assert all(row.endswith(end) for row, end in zip(rows[:2], ends, strict=True))
    assert 'href="../../report/map-0.5-seed0/report.html"' in page
    assert COMMAND in html.unescape(page)
    assert "python -m apm_exp metric=uniform alpha=2.5 seed=1" in page


def test_the_starting_policys_scores_stand_beside_those_of_the_same_name(
    swept: tuple[Path, list[dict[str, Any]]],
) -> None:
    root, jobs = swept
    said = "Starting policy, in every job: reward 0.600 ± 0.010 (n = 400)."
    page = page_of(root, jobs)
    assert page.count(said) == 1  # with every score of every job; no arm's row has a reward
    assert page.index(said) > page.index("Every score of every job")
    started = [job | {"scores": job["scores"] | {"starting_win_rate": score(0.5, 0.01, 50, "share")}} for job in jobs]
    page = page_of(root, started)
    assert "Starting policy, in every job: win rate 50.0% ± 1.0 (n = 50)." in page[: page.index("</caption>")]


def test_what_jobs_and_points_share_is_explained_only_where_they_do(
    swept: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    shared, apart = page_of(*swept), page_of(tmp_path, finished_sweep(tmp_path, GRID, prompts=12))
    few = "Some differences are over 12 prompts only: the intervals hold, but only large differences are significant"
    assert (few in apart, "Some differences are over" in shared) == (True, False)
    assert "no interval includes the variation between such sets" in shared
    for words in ("the identical policy of that", "Points of one arm at several values are the same policy"):
        assert (words in shared, words in apart) == (True, False)


def test_the_value_of_an_arm_is_the_mean_over_its_seeds(swept: tuple[Path, list[dict[str, Any]]]) -> None:
    root, jobs = swept
    wins = [pq.read_table(root / "evaluation" / f"map-0.5-seed{seed}" / "evaluation.parquet") for seed in (0, 1)]
    mean = np.mean([table["win_rate"].to_numpy() for table in wins])
    assert made(root, jobs)["arms"][0]["scores"][0]["sort"] == pytest.approx(mean)


def test_differences_are_to_uniform_and_never_a_bare_ranking(swept: tuple[Path, list[dict[str, Any]]]) -> None:
    found = made(*swept)
    win_rate, length = found["comparisons"]
    assert found["baseline"] == "uniform"
    better, same = win_rate["rows"]
    assert re.match(
        r"map, alpha 0.5: 20\.0+ points above uniform \(95% interval .* over 50 prompts", better["sentence"]
    )
    assert re.search(r"over 50 prompts and 2 seeds; p (<|=) 0\.\d+\)\.$", better["sentence"])
    none = "no prompt's outcome differs from that of uniform; 50 prompts cannot show a small difference."
    assert same["sentence"] == f"map, alpha 2.5: {none}"
    assert (same["value"], same["interval"]) == ("0", None)
    assert (better["noise"], same["noise"]) == (False, True)
    assert (length["headline"], length["unit"]) == (False, "tokens")


def test_a_baseline_can_be_chosen_and_a_wrong_one_is_said(swept: tuple[Path, list[dict[str, Any]]]) -> None:
    root, jobs = swept
    found = made(root, [job | {"baseline": ["map", 2.5]} for job in jobs])
    assert (found["baseline"], found["remark"]) == ("map, alpha 2.5", None)
    assert "baseline=m1: no arm of this sweep has it" in page_of(root, [job | {"baseline": "m1"} for job in jobs])


def test_one_seed_says_that_it_is_one(swept: tuple[Path, list[dict[str, Any]]]) -> None:
    root, jobs = swept
    assert "With two seeds" not in page_of(root, jobs[::2])
    found = made(root, jobs[::2])["comparisons"][0]
    assert "over 50 prompts, one seed; p" in found["rows"][0]["sentence"]
    assert found["summary"] == (
        "1 of 2 arms differ from uniform: map, alpha 0.5. 1 is inside the noise. "
        "With one seed this is about these policies, not about the settings: another seed may reverse it."
    )


def test_the_page_begins_with_the_verdict_on_each_arm_and_the_table_of_arms_is_before_the_figures(
    swept: tuple[Path, list[dict[str, Any]]],
) -> None:
    root, jobs = swept
    page = page_of(root, jobs)
    row, lines = made(root, jobs)["comparisons"][0]["rows"][0], made(root, jobs)["verdicts"]
    numbers = f"{row['value']} points, {row['interval']}"
    assert numbers == "+20.000 points, +20.000 to +20.000"
    assert lines[0] == f"win rate: map, alpha 0.5 - uniform: {numbers}, significant, p {row['p_holm']}; 2 seeds"
    assert lines[1:] == ["win rate: map, alpha 2.5 - uniform: no outcome differs; 2 seeds"]
    assert (
        page.index("<h1>")
        < page.index(html.escape(lines[0]))
        < page.index('aria-label="Table of arms"')
        < page.index("<svg")
    )


def test_the_verdict_is_kept_for_the_screen_with_a_table_of_the_arms(
    swept: tuple[Path, list[dict[str, Any]]],
) -> None:
    root, jobs = swept
    page_of(root, jobs)
    record = read_verdict(sweep_folder(root)) or {}
    heading, *rows = record["table"]
    assert record["verdict"] == made(root, jobs)["verdicts"]
    assert heading.split() == ["arm", "win", "rate", "seeds", "kept", "optimizer", "steps", "time"]
    assert [re.split(r"  +", row)[0] for row in rows] == ["map, alpha 0.5", "map, alpha 2.5", "uniform"]
    for row, arm in zip(rows, made(root, jobs)["arms"], strict=True):
        score = arm["scores"][0]
        assert re.split(r"  +", row)[1] == f"{score['value']} ({score['interval'].replace('%', '')})"


def test_the_verdicts_file_has_the_numbers_of_the_page(swept: tuple[Path, list[dict[str, Any]]]) -> None:
    root, jobs = swept
    page_of(root, jobs)
    record = read_verdict(sweep_folder(root)) or {}
    assert [arm["arm"] for arm in record["arms"]] == ["map, alpha 0.5", "map, alpha 2.5", "uniform"]
    first, *_, random = record["arms"]
    assert (first["seeds"], first["kept"], first["optimizer_steps"]) == (2, 24, 30)
    headline, *_ = (each for each in record["differences"] if each["score"] == "win rate")
    assert (headline["arm"], headline["baseline"], headline["seeds"]) == ("map, alpha 0.5", "uniform", 2)
    assert headline["difference"] == pytest.approx(first["win rate"] - random["win rate"])
    assert headline["low"] <= headline["difference"] <= headline["high"]
    assert headline["significant"] == (headline["p_holm"] <= 0.05)
    shown = {row["label"]: row["p_holm"] for row in made(root, jobs)["comparisons"][0]["rows"]}
    assert p_words(headline["p_holm"]).removeprefix("p ") == shown["map, alpha 0.5"]


def test_trainings_of_few_optimizer_steps_are_said_after_the_differences(tmp_path: Path) -> None:
    jobs = finished_sweep(tmp_path, {"metric": ("map", "uniform")})
    for job in jobs:
        job["steps"]["policy"]["counts"]["optimizer_steps"] = 1
    *_, last = made(tmp_path, jobs)["verdicts"]
    assert last == (
        "trainings of 1 optimizer step: fewer than 20 change the policy little, so equal scores say nothing about the "
        "pairs; take a smaller trainer.global_batch"
    )


def test_a_sweep_over_seeds_alone_says_that_nothing_is_compared(tmp_path: Path) -> None:
    (line,) = made(tmp_path, finished_sweep(tmp_path, {"seed": ("0", "1", "2")}))["verdicts"]
    assert re.fullmatch(r"win rate \d+\.\d% \(.* to .*\): not compared, there is only one arm", line)
    waiting = [failed(0, "no", metric="map"), failed(1, "no", metric="uniform")]
    assert made(tmp_path, waiting)["verdicts"] == ["nothing to compare: no job finished with an evaluation"]


def test_of_many_arms_those_that_differ_come_first_and_the_others_are_counted(tmp_path: Path) -> None:
    alphas = (*(str(number) for number in range(1, 11)), "0.5")
    lines = made(tmp_path, finished_sweep(tmp_path, {"metric": ("uniform", "map"), "alpha": alphas}))["verdicts"]
    assert lines[0].startswith("win rate: map, alpha 0.5 - uniform: +")
    assert len(lines) == 10
    assert lines[8] == "win rate: 3 more arms in the report, 3 of them inside the noise"
    assert lines[9].startswith("With one seed ")


def test_a_job_that_failed_is_said_and_the_others_are_compared(swept: tuple[Path, list[dict[str, Any]]]) -> None:
    root, jobs = swept
    reason = "trainer: <b>the loss is not finite</b>"
    left = [*jobs[:3], failed(3, reason, metric="map", alpha="2.5", seed="1"), *jobs[4:]]
    page = page_of(root, left)
    assert "<b>1 of 8 jobs without a result.</b>" in page
    assert html.escape(reason) in page
    assert reason not in page
    assert "and 2 seeds" in page
    assert page.count("With two seeds the intervals are wide") == 1
    seeds = [row["seeds"] for row in made(root, left)["comparisons"][0]["rows"]]
    assert seeds == [2, 1]  # map at 2.5 has only seed 0 in common


def test_an_arm_without_a_finished_job_is_not_compared(swept: tuple[Path, list[dict[str, Any]]]) -> None:
    root, jobs = swept
    waiting = {"number": 8, "swept": {"metric": "m1", "alpha": "1", "seed": "0"}, "state": "waiting"}
    page = page_of(root, [*jobs, waiting])
    assert "Not compared, as no job with one of the baseline's seeds is finished: m1, alpha 1." in html.unescape(page)
    assert "9 jobs: 8 done, 1 waiting" in page


def test_when_all_failed_there_is_still_a_page(tmp_path: Path) -> None:
    page = page_of(tmp_path, [failed(0, "first reason", alpha="1"), failed(1, "second reason", alpha="2")])
    assert [row[-4:] for row in rows_of(page, "Table of jobs")] == ["none"] * 2
    assert "failed: second reason" in page
    assert "Nothing to compare: no job finished with an evaluation." in page
    assert "<figure>" not in page


def test_without_a_finished_baseline_nothing_is_compared(swept: tuple[Path, list[dict[str, Any]]]) -> None:
    root, jobs = swept
    gone = [failed(job["number"], "no disk", **job["swept"]) for job in jobs[4:]]
    page = page_of(root, [*jobs[:4], *gone])
    assert "Not compared: no finished job of the baseline arm (uniform, alpha 0.5) has it." in page


def test_seeds_alone_have_nothing_to_be_compared_with(tmp_path: Path) -> None:
    page = page_of(tmp_path, finished_sweep(tmp_path, {"seed": ("0", "1")}))
    assert "Not compared: there is only one arm." in page
    assert "There is only one selection" in page


def test_outcomes_that_are_gone_leave_the_recorded_means(tmp_path: Path) -> None:
    jobs = finished_sweep(tmp_path)
    shutil.rmtree(tmp_path / "evaluation")
    shutil.rmtree(tmp_path / "selection")
    found = made(tmp_path, jobs)
    (one,) = found["comparisons"]
    assert "its outcomes cannot be read" in one["problem"]
    mean = np.mean([job["scores"]["win_rate"]["value"] for job in jobs[:2]])
    assert found["arms"][0]["scores"][0]["sort"] == pytest.approx(mean)
    assert all(row["problem"] for row in found["selections"]["rows"])
    assert "not computed" in page_of(tmp_path, jobs)


def test_overlaps_are_those_of_the_selections(swept: tuple[Path, list[dict[str, Any]]]) -> None:
    root, jobs = swept
    section = made(root, jobs)["selections"]
    assert section["overlap"]["labels"] == ["map, alpha 0.5", "map, alpha 2.5", "uniform"]
    tables = [pq.read_table(root / "selection" / name / "selection.parquet") for name in ("map-0.5", "map-2.5")]
    first, second = (np.array(table["kept"].to_pylist()) for table in tables)
    assert section["overlap"]["texts"][0][1] == f"{jaccard(first, second):.2f}"
    assert section["rows"][0]["half"] > section["rows"][1]["double"] > 0.5
    assert "half" not in section["rows"][2]


def test_selections_of_different_pairs_overlap_in_the_pairs_of_both(swept: tuple[Path, list[dict[str, Any]]]) -> None:
    root, jobs = swept
    path = root / "selection" / "uniform0" / "selection.parquet"
    table = pq.read_table(path)
    try:
        pq.write_table(table.slice(10), path)
        texts = made(root, jobs)["selections"]["overlap"]["texts"]
    finally:
        pq.write_table(table, path)
    ids = set(table.slice(10).filter(table.slice(10)["kept"])["pair_id"].to_pylist())
    other = pq.read_table(root / "selection" / "map-0.5" / "selection.parquet")
    others = set(other.filter(other["kept"])["pair_id"].to_pylist())
    assert texts[2][0] == f"{len(ids & others) / len(ids | others):.2f}"


def test_cost_counts_what_was_made_once(swept: tuple[Path, list[dict[str, Any]]]) -> None:
    root, jobs = swept
    cost = made(root, jobs)["cost"]
    first, _, uniform = cost["rows"]
    assert (first["scored"], first["scored_tokens"]) == (60, 6000)
    assert first["trained"] == (2 * 2 * 24, 2 * 2 * 24 * 10)  # two seeds, two epochs of 24 pairs, 10 tokens each
    assert (first["cells"][0]["made"], uniform["cells"][0]) == (10.0, {"made": None, "there": 10.0})
    # Once: log-probs, six policies with their evaluations, four selections.
    assert cost["once"] == 10 + 6 * 25 + 4 * 0.5
    assert cost["apart"] == 8 * 35.5


def test_swept_numbers_have_curves_and_a_heat_map(tmp_path: Path) -> None:
    found = made(tmp_path, finished_sweep(tmp_path, GRID))
    assert [drawn["title"] for drawn in found["curves"]] == ["win rate over alpha", "win rate over gamma/beta"]
    (grid,) = found["grids"]
    cells = re.findall(r">(\d\d\.\d ±\d\.\d)<", grid["svg"])
    assert len(cells) == 6
    assert found["selections"]["overlap"]["labels"] == ["alpha 0.25", "alpha 1", "alpha 5"]  # shared by both ratios


def test_a_sweep_over_iterations_has_a_curve_of_the_results_and_no_arms_of_earlier_policies(tmp_path: Path) -> None:
    jobs = finished_sweep(tmp_path, {"metric": ("map", "uniform"), "iterations": ("1", "2", "3")})
    for job in jobs:
        for iteration in range(1, int(job["swept"]["iterations"])):
            early = job["steps"]["evaluation.win_rate"] | {"key": f"early-{iteration}"}
            job["steps"][f"evaluation.{iteration}-win_rate"] = early
    page = made(tmp_path, jobs)
    assert [words for words, _ in page["headlines"]] == ["win rate"]
    (curve,) = page["curves"]
    assert curve["title"] == "win rate over iterations"
    assert [f">{name}<" in curve["svg"] for name in ("map", "uniform", "1", "2", "3")] == [True] * 5


def test_alpha_auto_stands_on_the_curve_at_the_number_that_it_chose(tmp_path: Path) -> None:
    jobs = finished_sweep(tmp_path, {"alpha": ("0.5", "1", "2.5")})
    jobs[1] |= {"swept": {"alpha": "auto"}, "alpha": 1.0}
    (curve,) = made(tmp_path, jobs)["curves"]
    assert curve["notes"] == ["alpha=auto chose 1."]
    assert [f">{number}<" in curve["svg"] for number in ("0.5", "1.0", "1", "2.5")] == [True, False, True, True]


def test_an_arm_that_kept_fewer_pairs_is_said_to_be_so(swept: tuple[Path, list[dict[str, Any]]]) -> None:
    root, jobs = swept
    fewer = {"key": "fewer", "folder": "selection/map-0.5", "seconds": 0.5, "reused": False}
    fewer["counts"] = {"pairs": 60, "kept": 12, "within_noise": 0}
    changed = [job | {"steps": job["steps"] | {"selection": fewer}} for job in jobs[:2]]
    page = page_of(root, [*changed, *jobs[2:]])
    assert "Not at equal numbers: 12 pairs kept here, 24 in the baseline." in page
    assert "1 of 2 not at equal numbers of pairs or steps." in page


def iterated(root: Path, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The jobs with an iteration before theirs, which all share, and trained on two parts: the same pairs twice."""
    shared = {"logps.1": "logps/l", "selection.1": "selection/uniform0", "policy.1": "policy/first"}
    counts = {"logps": {"pairs": 60, "tokens": 600}, "selection": {"pairs": 60, "kept": 24}}
    counts["policy"] = {"optimizer_steps": 3}
    (root / "policy" / "first").mkdir(exist_ok=True)
    (root / "policy" / "first" / "metrics.jsonl").write_text('{"step": 3, "pairs_seen": 48}')
    part = "{logps: {artifact: first logps.1}, selection: {artifact: first selection.1}}"
    (root / "policy" / "first" / "inputs.yaml").write_text(f"inputs: {{parts: [{part}, {part}]}}")
    first = {
        name: {"key": f"first {name}", "folder": folder, "seconds": 2.0, "counts": counts[name.partition(".")[0]]}
        for name, folder in shared.items()
    }
    judge = {"key": "judge", "folder": "rewards/j", "seconds": 1.0, "counts": {"responses": 9}, "reused": False}
    made = []
    for job in jobs:
        steps = {name: step | {"reused": job["number"] > 0} for name, step in first.items()}
        steps |= {name if "." in name else f"{name}.2": step for name, step in job["steps"].items()}
        made.append(job | {"steps": steps | {"rewards.win_rate": judge | {"key": str(job["number"])}}})
    return made


def test_jobs_with_two_iterations_are_compared_by_their_last_steps_and_cost_all_of_them(
    swept: tuple[Path, list[dict[str, Any]]],
) -> None:
    root, jobs = swept
    found, plain = made(root, iterated(root, jobs)), made(root, jobs)
    for part in ("arms", "comparisons", "selections"):
        assert found[part] == plain[part]
    cost = found["cost"]
    assert cost["kinds"] == ["logps", "selection", "policy", "evaluation", "rewards"]
    first = cost["rows"][0]
    # Two seeds' own trainings as in one iteration, and the shared one's 48 pairs; 10 tokens each.
    assert first["trained"] == (2 * 2 * 24 + 48, (2 * 2 * 24 + 48) * 10)
    assert (first["scored"], first["scored_tokens"]) == (120, 6600)
    assert first["cells"][0] == {"made": 2.0 + 10.0, "there": None}
    names = {row.pop("name"): row for row in cost["names"]}
    assert names["policy.1"] == {"made": 1, "there": 7, "spent": 2.0, "once": 2.0}
    assert names["rewards.win_rate"] == {"made": 8, "there": 0, "spent": 8.0, "once": 8.0}
    table = rows_of(page_of(root, iterated(root, jobs)), "Cost of the steps")
    assert table[0] == "logps.1 1 2.0 s 7 2.0 s"


def test_the_same_jobs_give_the_same_page(swept: tuple[Path, list[dict[str, Any]]]) -> None:
    assert page_of(*swept) == page_of(*swept)
