"""The W&B run of a sweep as a whole, in the group of its jobs: its verdict, its arms and their differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apm_exp.core.digest import canonical, text_digest
from apm_exp.report.redact import local_folders, without_folders
from apm_exp.report.tracking.copies import copies_in
from apm_exp.report.tracking.names import SWEEP

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class TrackedSweep:
    """A sweep as it is described to W&B.

    folder: the sweep's; its name is the group of its jobs. records: the folder with the ids of W&B runs. config: of
    one of its jobs. verdict: lines. arms, differences: rows of numbers by column. jobs: the number in each state.
    """

    folder: Path
    records: Path
    command: str
    config: Mapping[str, Any]
    verdict: Sequence[str]
    arms: Rows
    differences: Rows
    jobs: Mapping[str, int]

    @property
    def content(self) -> str:
        """Return a digest of the logged content: a sweep whose verdict has changed is logged again."""
        shown = [list(row.items()) for row in (*self.arms, *self.differences)]
        return text_digest(canonical([list(self.verdict), shown, dict(self.jobs)]))


def sweep_options(sweep: TrackedSweep) -> dict[str, Any]:
    """Return the arguments of `wandb.init` for a sweep."""
    config = without_folders({"sweep": sweep.folder.name, "command": sweep.command}, _folders(sweep))
    here = {"dir": str(sweep.folder.absolute()), "group": sweep.folder.name, "job_type": "sweep"}
    return {"config": config, "name": "verdict", **here}


def log_verdict(run: Any, sweep: TrackedSweep) -> None:
    """Log the tables `sweep/arms` and `sweep/differences`; the summary has `sweep/verdict` and the counts of jobs."""
    import wandb

    folders = _folders(sweep)
    tables = {"arms": without_folders(sweep.arms, folders), "differences": without_folders(sweep.differences, folders)}
    with copies_in(sweep.folder / "wandb" / "copies"):
        run.log({f"{SWEEP}{name}": _table(wandb, rows) for name, rows in tables.items() if rows})
    counts = {f"{SWEEP}jobs": sum(sweep.jobs.values()), f"{SWEEP}jobs_done": sweep.jobs.get("done", 0)}
    run.summary.update({f"{SWEEP}verdict": without_folders("\n".join(sweep.verdict), folders), **counts})


def _table(wandb: Any, rows: Rows) -> Any:
    return wandb.Table(columns=list(rows[0]), data=[list(row.values()) for row in rows])


def _folders(sweep: TrackedSweep) -> list[str]:
    return local_folders(sweep.config, sweep.command)
