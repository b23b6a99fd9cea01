"""The report on a multirun: a table of arms in the order they were given, with intervals, never a bare ranking."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from apm_exp.report.arms_figure import Arm, arms_figure
from apm_exp.report.render import render
from apm_exp.report.scores import STARTING, headline_name, in_words

Job = Mapping[str, Any]


def write_sweep_report(folder: Path, name: str, command: str, jobs: list[dict[str, Any]]) -> Path:
    """Write `folder`/report.html on the jobs of a sweep, finished or not, and return its path.

    A job: number, swept (key -> value), state, reason, scores (name -> record), kept, trained, policy_key, report
    (relative path), seconds. What a job does not have is None, and its scores are empty.
    """
    return render("sweep.html.jinja", context(name, command, jobs), folder / "report.html")


def context(name: str, command: str, jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """What the template is given."""
    jobs = sorted(jobs, key=lambda job: job["number"])
    starting = _common_starting_scores(jobs)
    score_names = [n for n in _in_order(n for job in jobs for n in job["scores"]) if n not in starting]
    keys = _in_order(key for job in jobs for key in job["swept"])
    same = _same_model(jobs)
    return {
        "title": f"{name} | apm_exp sweep",
        "name": name,
        "command": command,
        "states": [(state, number) for state, number in Counter(str(job["state"]) for job in jobs).items()],
        "keys": keys,
        "starting": [in_words(name, record) for name, record in starting.items()],
        "score_names": [(name, name.replace("_", " ")) for name in score_names],
        "rows": [_row(job, keys, score_names, same) for job in jobs],
        "figures": _figures(jobs, same),
    }


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _same_model(jobs: list[dict[str, Any]]) -> dict[int, int]:
    """Of each job whose policy an earlier one already has: the number of that earlier job."""
    first: dict[str, int] = {}
    same = {}
    for job in jobs:
        key = job["policy_key"]
        if key is not None and first.setdefault(key, job["number"]) != job["number"]:
            same[job["number"]] = first[key]
    return same


def _common_starting_scores(jobs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The starting policy's scores that are the same in every job that has them: name -> record."""
    found: dict[str, dict[str, Any]] = {}
    differ = set()
    for job in jobs:
        for name, record in job["scores"].items():
            if name.startswith(STARTING) and found.setdefault(name, record) != record:
                differ.add(name)
    return {name: record for name, record in found.items() if name not in differ}


def _row(job: Job, keys: list[str], score_names: list[str], same: Mapping[int, int]) -> dict[str, Any]:
    scores = {name: in_words(name, record) for name, record in job["scores"].items()}
    return {
        "number": job["number"],
        "swept": [job["swept"].get(key, "") for key in keys],
        "state": job["state"],
        "reason": job["reason"],
        "scores": [scores.get(name) for name in score_names],
        "kept": job["kept"],
        "policy": _policy(job, same.get(job["number"])),
        "seconds": job["seconds"],
        "report": job["report"],
    }


def _policy(job: Job, same_as: int | None) -> str:
    """Whether this job trained its policy, found it, or has the model of an earlier job."""
    if same_as is not None:
        return f"same as {same_as}"
    return {True: "trained", False: "reused", None: ""}[job["trained"]]


def _figures(jobs: list[dict[str, Any]], same: Mapping[int, int]) -> list[dict[str, Any]]:
    """One figure for each headline score of the finished jobs."""
    scored = [job for job in jobs if job["scores"]]
    names = _in_order(headline_name(job["scores"]) for job in scored)
    return [{"title": n.replace("_", " "), "svg": _figure(index, n, scored, same)} for index, n in enumerate(names)]


def _figure(index: int, name: str, jobs: list[dict[str, Any]], same: Mapping[int, int]) -> Markup:
    arms = [
        Arm(f"{job['number']}: {', '.join(job['swept'].values())}", job["scores"][name], job["number"] in same)
        for job in jobs
        if name in job["scores"]
    ]
    return arms_figure(f"arms-{index}", name, arms, _reference(name, jobs))


def _reference(name: str, jobs: list[dict[str, Any]]) -> float | None:
    """The starting policy's value, where all arms agree on it; a half for a win rate against it."""
    starting = {job["scores"][STARTING + name]["value"] for job in jobs if STARTING + name in job["scores"]}
    if len(starting) == 1:
        return float(starting.pop())
    return 0.5 if "win_rate" in name else None
