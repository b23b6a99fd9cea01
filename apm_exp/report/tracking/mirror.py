"""A W&B run as a mirror of what the job writes itself; a failure is a warning and never stops the job."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from apm_exp.report.tracking.job import TrackedJob
from apm_exp.report.tracking.names import score_summary
from apm_exp.report.tracking.send import send
from apm_exp.training.metrics_file import read_rows

logger = logging.getLogger(__name__)
Act = Callable[[Any], None]


class Mirror:
    """A W&B run, or none. megabytes: the size limit for files to send, 0 for no files."""

    def __init__(self, run: Any = None, job: TrackedJob | None = None, megabytes: float = 0) -> None:
        self.run, self.job, self.megabytes = run, job, megabytes
        self.next_step: int | None = None
        self.failed = False

    def row(self, row: Mapping[str, Any]) -> None:
        """Log a row of metrics.jsonl, preceded by rows of earlier attempts that this W&B run does not have."""
        self._log(lambda run: self._rows(run, row))

    def rest_of_history(self) -> None:
        """Log the rows of metrics.jsonl that this W&B run does not have: all of them if another job has trained."""
        self._log(lambda run: self._rows(run, None))

    def summary(self, scores: Mapping[str, Mapping[str, Any]], selected: Mapping[str, float]) -> None:
        """Set the run's summary: scores with their intervals, and the counts of the selection as selection_<count>.

        If alpha=auto, `alpha` in the run's configuration is replaced with the chosen number, for plots.
        """
        counts = {f"selection_{name}": count for name, count in selected.items()}
        if "alpha" in selected:
            self._log(lambda run: run.config.update({"alpha": selected["alpha"]}, allow_val_change=True))
        self._log(lambda run: run.summary.update(score_summary(scores) | counts))

    def send(self, selection: Path, report: Path | None) -> None:
        """Send the files of these two steps, if that is enabled; the scores do not depend on it."""
        job, megabytes = self.job, self.megabytes
        if job and megabytes and not self.failed:
            self._try("take the selection and the report", lambda run: send(run, job, selection, report, megabytes))

    def finish(self, exit_code: int) -> None:
        """End the run."""
        self._try("finish its run", lambda run: run.finish(exit_code=exit_code))

    def _log(self, act: Act) -> None:
        if not self.failed:
            self.failed = not self._try("log any more, the rest is in metrics.jsonl only", act)

    def _try(self, what: str, act: Act) -> bool:
        try:
            if self.run is not None:
                act(self.run)
        except Exception as error:
            logger.warning("W&B cannot %s: %s", what, " ".join(f"{type(error).__name__}: {error}".split()))
            return False
        return True

    def _rows(self, run: Any, last: Mapping[str, Any] | None) -> None:
        """Log the rows before `last`, unless that is done, and then `last`; W&B only accepts ascending steps.

        Offline, each attempt logs all rows from the beginning, as `wandb sync` replaces an earlier record of the same
        run with a later one. Online, the rows after the last step on the server are logged.
        """
        if self.next_step is None:
            self.next_step = int(run.starting_step)
            before = float("inf") if last is None else last["step"]
            for row in read_rows(self.job.history) if self.job else []:
                if row["step"] < before:
                    self._one(run, row)
        if last is not None:
            self._one(run, last)

    def _one(self, run: Any, row: Mapping[str, Any]) -> None:
        step = int(row["step"])
        if self.next_step is None or step < self.next_step:
            return
        run.log({key: value for key, value in row.items() if key != "step"}, step=step)
        self.next_step = step + 1
