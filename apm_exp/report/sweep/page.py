"""The report page of a sweep: its arms in the order they were given, each compared with the baseline."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from apm_exp.report.compare.arms import Arm, arms_of
from apm_exp.report.compare.baseline import baseline_of
from apm_exp.report.render import render, sorting
from apm_exp.report.scores import STARTING, Score, in_words
from apm_exp.report.sweep.comparison import comparison
from apm_exp.report.sweep.cost import cost
from apm_exp.report.sweep.jobs import job_rows, problems
from apm_exp.report.sweep.numbers import curves, grids
from apm_exp.report.sweep.numbers_of_arms import rows_of_arms, rows_of_differences
from apm_exp.report.sweep.scores import ArmScores, scores_of_arms
from apm_exp.report.sweep.selections_section import selection_section
from apm_exp.report.sweep.table import arm_figures, arm_rows
from apm_exp.report.sweep.verdict import arms_table, verdicts, write_verdict


def write_sweep_report(folder: Path, name: str, command: str, jobs: list[dict[str, Any]]) -> Path:
    """Write `folder`/report.html on the jobs of a sweep, finished or not, and its verdict; return the page's path.

    folder: `<output_root>/sweeps/<name>`. A job has: number, swept (key -> value), state, reason, and if it is finished
    the contents of job.py's record (scores, kept, policy_key, steps, ...). Missing entries may be omitted.
    """
    values = context(folder, name, command, jobs)
    page = render("sweep.html.jinja", values, folder / "report.html")
    titles = [words for words, _ in values["headlines"]]
    table = arms_table(values["arms"], titles) if titles else []
    write_verdict(folder, {"verdict": values["verdicts"], "table": table} | values["numbers"])
    return page


def context(folder: Path, name: str, command: str, jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the template's context."""
    root = folder.parent.parent
    jobs = [_EMPTY | job for job in sorted(jobs, key=lambda job: job["number"])]
    arms = arms_of(jobs)
    baseline, remark = _baseline(arms, jobs)
    scores = scores_of_arms(root, arms, baseline)
    headlines = [one for one in scores if one.headline]
    rows = arm_rows(arms, headlines)
    comparisons = [comparison(number, arms, baseline, one) for number, one in enumerate(scores)]
    return {
        "verdicts": verdicts(comparisons, rows),
        "numbers": {
            "arms": rows_of_arms(rows, headlines),
            "differences": rows_of_differences(scores, arms, baseline),
        },
        "title": f"{name} | apm_exp sweep",
        "name": name,
        "command": command,
        **sorting(),
        "states": list(Counter(str(job["state"]) for job in jobs).items()),
        "problems": problems(jobs),
        "starting": _starting(jobs),
        "keys": _in_order(key for arm in arms for key in arm.settings),
        "scored": _scored(headlines, jobs),
        "headlines": [(one.words, one.compared.score.replace("_", " ")) for one in headlines],
        "arms": rows,
        "figures": arm_figures(arms, headlines, jobs),
        "baseline": arms[baseline].label,
        "remark": remark,
        "comparisons": comparisons,
        "curves": [drawn for one in headlines for drawn in curves(arms, one)],
        "grids": [drawn for one in headlines for drawn in grids(arms, one)],
        "selections": selection_section(root, arms),
        "cost": cost(root, arms, jobs),
        "job_keys": _in_order(key for job in jobs for key in job["swept"]),
        "jobs": job_rows(jobs),
    }


_EMPTY: dict[str, Any] = dict.fromkeys(
    ("reason", "kept", "trained", "policy_key", "report", "seconds", "command", "run")
)
_EMPTY |= {"scores": {}, "steps": {}}


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _baseline(arms: list[Arm], jobs: list[dict[str, Any]]) -> tuple[int, str | None]:
    """Return the baseline arm, and a remark if the requested one does not exist."""
    wanted = next((job["baseline"] for job in jobs if job.get("baseline") is not None), None)
    settings = [arm.settings for arm in arms]
    try:
        return baseline_of(settings, wanted), None
    except ValueError as error:
        return baseline_of(settings, None), str(error)


def _scored(headlines: list[ArmScores], jobs: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return what each headline score is of, as the jobs say it; more than one thing if they differ, such as in the
    model.
    """
    found = []
    for one in headlines:
        records = (job["scores"].get(one.compared.score, {}) for job in jobs)
        said = _in_order(record["of"] for record in records if "of" in record)
        found += [(one.words, "; or ".join(said))] if said else []
    return found


def _starting(jobs: list[dict[str, Any]]) -> list[Score]:
    """Return the starting policy's scores, by the names of the scores themselves."""
    return [in_words(name.removeprefix(STARTING), one) for name, one in _common_starting_scores(jobs).items()]


def _common_starting_scores(jobs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the starting policy's scores that are equal in every job that has them: name -> record."""
    common: dict[str, dict[str, Any]] = {}
    differ = set()
    for job in jobs:
        for name, record in job["scores"].items():
            if name.startswith(STARTING) and common.setdefault(name, record) != record:
                differ.add(name)
    return {name: record for name, record in common.items() if name not in differ}
