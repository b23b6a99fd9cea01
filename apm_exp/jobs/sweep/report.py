"""The record of a multirun: its jobs as they stand, and one report with a table of arms."""

import logging
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from apm_exp.core.errors import one_line
from apm_exp.jobs.ledger import called, records
from apm_exp.jobs.record import nothing_known
from apm_exp.jobs.request import Request

logger = logging.getLogger(__name__)


def read_jobs(folder: Path) -> list[dict[str, Any]]:
    """Return one record a job, in order; a result that a job lacks (it waits, was killed or failed) is None."""
    jobs = [nothing_known() | record for record in records(folder)]
    for job in jobs:
        if job["report"]:
            job["report"] = os.path.relpath(job["report"], folder)
    return jobs


def write_report(requests: list[Request]) -> None:
    """Write the sweep's page, and say what it shows and where it is."""
    request = requests[0]
    folder = Path(str(request.sweep))
    jobs = read_jobs(folder)
    page = _page(folder, request.command, jobs)
    done = sum(job["state"] == "done" for job in jobs)
    if page and done:
        _track(folder, request.command, jobs)
        for line in verdict_lines(folder):
            logger.info("%s", line)
    for job in jobs:
        if job["state"] != "done" and job["reason"] not in (None, job["state"]):
            logger.error("%s: %s", called(job["number"], job["swept"]), job["reason"])
    logger.info("%s%s", _counted(jobs), f" | report: {page}" if page else "")
    if done < len(jobs):
        sys.exit(1)


def verdict_lines(folder: Path) -> list[str]:
    """Return the lines for the terminal on what a sweep shows: its verdict, and a table of its arms if it has several.

    No lines if its page is of an earlier version.
    """
    from apm_exp.report.sweep.verdict import read_verdict

    record = read_verdict(folder)
    return [*record["verdict"], *record["table"]] if record else []


def _counted(jobs: list[dict[str, Any]]) -> str:
    """Return how many jobs are done, and how those stand of which there is no line of their own."""
    counts = Counter(job["state"] for job in jobs)
    words = {"interrupted": "interrupted", "running": "running", "waiting": "not started"}
    others = [f"{counts[state]} {said}" for state, said in words.items() if counts[state]]
    return ", ".join([f"{counts['done']} of {len(jobs)} jobs done", *others])


def _track(folder: Path, command: str, jobs: list[dict[str, Any]]) -> None:
    """Log the sweep's verdict to its group, if its jobs are tracked; any failure is a warning."""
    from apm_exp.jobs.sweep.track import track_sweep

    try:
        track_sweep(folder, command, jobs)
    except Exception as error:
        logger.warning("the sweep's verdict could not be logged, it is on its page: %s", one_line(error))


def _page(folder: Path, command: str, jobs: list[dict[str, Any]]) -> Path | None:
    """Return the sweep's page; None, with a warning, if it cannot be drawn. The results of the jobs are kept."""
    from apm_exp.report.sweep.page import write_sweep_report

    try:
        return write_sweep_report(folder, folder.name, command, jobs)
    except Exception as error:
        logger.warning("the sweep's page could not be drawn, the results stand: %s", one_line(error))
        return None
