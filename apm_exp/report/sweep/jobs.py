"""The jobs of a sweep: their states, results and command lines."""

from collections.abc import Mapping
from typing import Any

from apm_exp.report.scores import STARTING, in_words

Context = dict[str, Any]
Job = Mapping[str, Any]


def problems(jobs: list[dict[str, Any]]) -> list[Context]:
    """Return the jobs without a result."""
    return [
        {"number": job["number"], "settings": _settings(job), "state": job["state"], "reason": job["reason"]}
        for job in jobs
        if job["state"] != "done"
    ]


def _settings(job: Job) -> str:
    return ", ".join(f"{key}={value}" for key, value in job["swept"].items())


def job_rows(jobs: list[dict[str, Any]]) -> list[Context]:
    """Return one row per job: settings, state, policy, kept, time, links, command, and every score."""
    keys = list(dict.fromkeys(key for job in jobs for key in job["swept"]))
    same = _same_model(jobs)
    return [_row(job, keys, same.get(job["number"])) for job in jobs]


def _row(job: Job, keys: list[str], same_as: int | None) -> Context:
    scores = [in_words(name, record) for name, record in job["scores"].items() if not name.startswith(STARTING)]
    return {
        "number": job["number"],
        "settings": [_swept(job, key) for key in keys],
        "state": job["state"],
        "reason": job["reason"],
        "policy": _policy(job, same_as),
        "same_as": same_as,
        "kept": job["kept"],
        "seconds": job["seconds"],
        "report": job["report"],
        "run": f"../../{job['run']}" if job["run"] else None,
        "command": job["command"],
        "scores": scores,
    }


def _swept(job: Job, key: str) -> str:
    """Return a swept value; for alpha=auto with the chosen number."""
    value = str(job["swept"].get(key, ""))
    return f"auto ({job['alpha']:g})" if (key, value) == ("alpha", "auto") and job.get("alpha") is not None else value


def _same_model(jobs: list[dict[str, Any]]) -> dict[int, int]:
    """Return, for each job with the same policy as an earlier job, the number of that job."""
    first: dict[str, int] = {}
    same = {}
    for job in jobs:
        key = job["policy_key"]
        if key is not None and first.setdefault(key, job["number"]) != job["number"]:
            same[job["number"]] = first[key]
    return same


def _policy(job: Job, same_as: int | None) -> str:
    """Return whether this job trained its policy, reused it, or has the same policy as an earlier job."""
    if same_as is not None:
        return f"same as {same_as}"
    return {True: "trained", False: "reused", None: ""}[job["trained"]]
