"""Hydra's launcher for Slurm, which waits for its jobs with Slurm's queue and takes their results from the ledger."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher as PluginsLauncher

from apm_exp.cli.multirun.headline import headline_value
from apm_exp.cli.multirun.slurm_queue import ended_jobs
from apm_exp.cli.one_job import SWEEP_FOLDER
from apm_exp.jobs.ledger import settle_lost

_ON_FIRST_NODE = ["--nodes=1", "--ntasks=1", "--overlap"]  # the command itself starts its ranks on all nodes


class SlurmLauncher(PluginsLauncher):
    """Hydra's launcher for Slurm.

    The plugin's own launcher takes a result file as the end of a job. But a job that is stopped and requeued writes
    one, a killed job never does, and an error in one job ends the wait for all.
    """

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the jobs as one array, and return their headline scores when each has ended."""
        folder = Path(os.environ[SWEEP_FOLDER])
        submitted = self._submit(job_overrides, initial_job_idx)
        numbers = {job.job_id: initial_job_idx + index for index, job in enumerate(submitted)}
        logs = {job.job_id: job.paths.stdout for job in submitted}
        for job, state in ended_jobs(numbers):
            how = f"ended as {state}" if state else "is no longer in the queue"
            if state != "COMPLETED":  # its record may be shown late by a shared folder
                settle_lost(folder, numbers[job], f"the Slurm job {job} {how} and left no result; its log: {logs[job]}")
        values = [headline_value(folder, number) for number in numbers.values()]
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=value) for value in values]

    def _submit(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        import submitit

        settings = submitted_settings(self.params)
        executor = submitit.AutoExecutor(
            folder=settings.pop("submitit_folder"),
            cluster="slurm",
            slurm_max_num_timeout=settings.pop("max_num_timeout"),
        )
        general = BaseQueueConf.__dataclass_fields__
        executor.update_parameters(**{k if k in general else f"slurm_{k}": v for k, v in settings.items()})
        jobs = [
            (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        submitted: Sequence[Any] = executor.map_array(self, *zip(*jobs, strict=True))
        return submitted


def submitted_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the launcher's settings for submitit: one task on the first node, whose exit code is the job's."""
    settings = {name: value for name, value in settings.items() if name != "_target_"}
    if settings["nodes"] > 1:
        settings["srun_args"] = [*_ON_FIRST_NODE, *(settings["srun_args"] or [])]
    if lines := settings.pop("teardown", None):  # after srun they would change the script's exit code
        settings["setup"] = [*(settings["setup"] or []), f"trap {shlex.quote('; '.join(lines))} EXIT"]
    return settings
