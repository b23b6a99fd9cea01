"""A W&B run as a mirror of what the job writes itself; a failure is a warning and never stops the job."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from apm_exp.report.tracking.job import TrackedJob
from apm_exp.report.tracking.names import SELECTION, score_summary, train_row
from apm_exp.report.tracking.send import send
from apm_exp.report.tracking.sweep_run import TrackedSweep, log_verdict
from apm_exp.training.metrics_file import read_rows

logger = logging.getLogger(__name__)
Act = Callable[[Any], None]


class Mirror:
    """A W&B run, or none. megabytes: the size limit for files to send, 0 for no files.

    All trainings of a job are logged to one run on one axis of optimizer steps, the rows of each after those of the one
    before.
    """

    def __init__(self, run: Any = None, job: TrackedJob | None = None, megabytes: float = 0) -> None:
        self.run, self.job, self.megabytes = run, job, megabytes
        self.next_step: int | None = None
        self.read = 0  # the number of trainings whose earlier rows are logged
        self.starts = [0]  # of each training so far, the number of optimizer steps before it
        self.failed = False

    def log_of(self, training: int) -> Callable[[Mapping[str, Any]], None]:
        """Return a function that logs a row of metrics.jsonl. training: the index of the row's training."""
        return partial(self.row, training=training)

    def row(self, row: Mapping[str, Any], training: int = 0) -> None:
        """Log a row, preceded by rows of earlier trainings and attempts that this W&B run does not have."""
        self._log(lambda run: self._rows(run, row, training))

    def rest_of_history(self) -> None:
        """Log the rows of metrics.jsonl that this W&B run does not have: all of them if another job has trained."""
        last = len(self.job.trainings) - 1 if self.job else 0
        self._log(lambda run: self._rows(run, None, last))

    def summary(self, scores: Mapping[str, Mapping[str, Any]], selected: Mapping[str, float]) -> None:
        """Set the run's summary: scores with their intervals, and the counts of the selection as selection/<count>.

        If alpha=auto, `alpha` in the run's configuration is replaced with the chosen number, for plots.
        """
        counts = {f"{SELECTION}{name}": count for name, count in selected.items()}
        if "alpha" in selected:
            self._log(lambda run: run.config.update({"alpha": selected["alpha"]}, allow_val_change=True))
        self._log(lambda run: run.summary.update(score_summary(scores) | counts))

    def send(self, selections: Sequence[Path], report: Path | None) -> None:
        """Send the files of these steps, if that is enabled; the scores do not depend on it."""
        job, megabytes = self.job, self.megabytes
        if job and megabytes and not self.failed:
            self._try("take the selection and the report", lambda run: send(run, job, selections, report, megabytes))

    def verdict(self, sweep: TrackedSweep) -> None:
        """Log the verdict on a sweep."""
        self.failed = not self._try("log the verdict, it is on the sweep's page", lambda run: log_verdict(run, sweep))

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

    def _rows(self, run: Any, last: Mapping[str, Any] | None, training: int) -> None:
        """Log the rows before `last` of a training, unless that is done, and then `last`; None: all its rows.

        W&B only accepts ascending steps. Offline, each attempt logs all rows from the beginning, as `wandb sync`
        replaces an earlier record of the same run with a later one. Online, the rows after the last step on the server
        are logged.
        """
        if self.job is None:
            return
        if self.next_step is None:
            self.next_step = int(run.starting_step)
        for place in range(self.read, training + 1):
            before = float("inf") if last is None or place < training else last["step"]
            for row in read_rows(self.job.trainings[place].history):
                if row["step"] < before:
                    self._one(run, row, place)
        self.read = max(self.read, training + 1)
        if last is not None:
            self._one(run, last, training)

    def _one(self, run: Any, row: Mapping[str, Any], training: int) -> None:
        assert self.job is not None
        step = self._start_of(training) + int(row["step"])
        if self.next_step is None or step < self.next_step:
            return
        iteration = self.job.trainings[training].iteration
        which = {} if iteration is None else {"iteration": iteration}
        run.log(train_row({**row, "step": step} | which), step=step)
        self.next_step = step + 1

    def _start_of(self, training: int) -> int:
        """Return the number of optimizer steps before a training, from the files of earlier ones."""
        assert self.job is not None
        for earlier in self.job.trainings[len(self.starts) - 1 : training]:
            rows = read_rows(earlier.history)
            self.starts.append(self.starts[-1] + (int(rows[-1]["step"]) if rows else 0))
        return self.starts[training]
