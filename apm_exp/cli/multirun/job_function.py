"""The functions that Hydra's launchers call with each composed job, in the command's process or in another one."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from apm_exp.cli.multirun.headline import headline_value
from apm_exp.cli.one_job import SWEEP_FOLDER, Interrupted, run_one, say_failed
from apm_exp.core.console import LINES, configure_logging
from apm_exp.core.environment import clear_settings
from apm_exp.core.errors import FAILURE, INTERRUPTED
from apm_exp.runtime import command_lock as side_by_side

_GPUS, _THREADS = "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"
_SECONDS_BETWEEN_LOOKS = 0.5  # between checks for GPUs that other jobs use


class JobFunction:
    """A function that runs a job and returns its headline score for a sweeper that searches, or None.

    codes: the exit codes of the jobs run in this process. Unpickled in another process it becomes a JobElsewhere.
    """

    def __init__(self) -> None:
        self.codes = [0]

    def __call__(self, composed: DictConfig) -> float | None:
        """Run the job in a worker. Raises Interrupted."""
        try:
            self.codes.append(run_one(composed))
            return _value()
        except Exception as error:  # Hydra would print the typed overrides before the error
            self.codes.append(say_failed(error))
            return None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a JobElsewhere with the relevant part of this process's environment."""
        names = [*(name for name in os.environ if name.startswith("APM_EXP_")), _GPUS, _THREADS]
        return JobElsewhere, ({name: os.environ.get(name) for name in names},)


class JobElsewhere:
    """A function that runs a job in a launcher's process, on this machine or another; it returns as JobFunction does.

    environment: the command's environment; None for variables that are not set there.
    """

    def __init__(self, environment: Mapping[str, str | None]) -> None:
        self.environment = environment

    def __call__(self, composed: DictConfig) -> float | None:
        """Run the job in a worker, with its own GPUs if there are any; do nothing if the command has ended.

        A Slurm job that fails or is stopped ends its process with the exit code, so that Slurm reports it as FAILED.
        """
        ours = {name: value for name, value in self.environment.items() if value and name.startswith("APM_EXP_")}
        os.environ |= ours
        clear_settings()  # those of this machine; the command has reported its own
        multiprocessing.set_start_method("forkserver", force=True)  # joblib sets one that only its own processes know
        configure_logging()
        code = 0
        try:
            if not side_by_side.end_of_command():
                with self._its_share(composed) as share:
                    code = run_one(composed, share)
        except Interrupted as stopped:  # it would end the launcher's process; the command has been told
            code = int(str(stopped.code))
        if code and os.environ.get("SUBMITIT_EXECUTOR") == "slurm":
            sys.exit(code)
        if side_by_side.end_of_command() == signal.SIGKILL:
            os._exit(FAILURE)  # nobody is left to receive a result
        return _value()

    @contextmanager
    def _its_share(self, composed: DictConfig) -> Iterator[dict[str, str]]:
        """Yield additional variables for the worker: its share of a machine that it shares with other jobs."""
        if side_by_side.COMMAND not in os.environ:
            yield {}
            return
        from apm_exp.runtime.gpu_pool import gpus_needed, taken, visible_gpus

        share = {LINES: f"[{HydraConfig.get().job.num}] ", **self._threads(composed)}
        gpus, needed = visible_gpus(self.environment[_GPUS]), gpus_needed(composed.runtime)
        if not gpus or not needed:
            yield share
            return
        locks = Path(composed.output_root) / ".locks"
        with taken(gpus, needed, composed.runtime.jobs_per_gpu, locks, _pause) as held:
            yield share | {_GPUS: ",".join(held)}

    def _threads(self, composed: DictConfig) -> dict[str, str]:
        """Return the job's share of the cores, as joblib assigned it, divided by the number of ranks."""
        share = os.environ.get(_THREADS)
        if self.environment[_THREADS] or not share:
            return {}
        return {_THREADS: str(max(1, int(share) // composed.runtime.processes))}


def _pause() -> None:
    if side_by_side.end_of_command():
        raise Interrupted(INTERRUPTED)
    time.sleep(_SECONDS_BETWEEN_LOOKS)


def _value() -> float | None:
    """Return the headline score of the multirun job that was just run, or None if it has none."""
    folder = os.environ.get(SWEEP_FOLDER)
    return headline_value(Path(folder), HydraConfig.get().job.num) if folder else None
