"""What Hydra's launchers call with each composed job: in the command, or in a process of theirs."""

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
_SECONDS_BETWEEN_LOOKS = 0.5  # at GPUs that others have


class JobFunction:
    """Does a job and returns its headline score, for a sweeper that searches; None where there is none.

    codes: the exit codes of the jobs done here. Unpickled it is a JobElsewhere.
    """

    def __init__(self) -> None:
        self.codes = [0]

    def __call__(self, composed: DictConfig) -> float | None:
        """Do the job in a worker. Raises Interrupted."""
        try:
            self.codes.append(run_one(composed))
            return _value()
        except Exception as error:  # Hydra would print the overrides, which the user has typed, before it
            self.codes.append(say_failed(error))
            return None

    def __reduce__(self) -> tuple[Any, ...]:
        """The function for another process, with what this one's environment says."""
        names = [*(name for name in os.environ if name.startswith("APM_EXP_")), _GPUS, _THREADS]
        return JobElsewhere, ({name: os.environ.get(name) for name in names},)


class JobElsewhere:
    """Does a job in a process of a launcher's, on this machine or another; returns as JobFunction does.

    environment: the command's; None for what is not set there.
    """

    def __init__(self, environment: Mapping[str, str | None]) -> None:
        self.environment = environment

    def __call__(self, composed: DictConfig) -> float | None:
        """Do the job in a worker, if there are GPUs on some of its own; nothing if the command is over.

        A job of Slurm's that fails or is stopped ends its process with the exit code, so that Slurm has it as FAILED.
        """
        ours = {name: value for name, value in self.environment.items() if value and name.startswith("APM_EXP_")}
        os.environ |= ours
        clear_settings()  # of this machine's: the command has named its own
        multiprocessing.set_start_method("forkserver", force=True)  # joblib sets one that only its own processes know
        configure_logging()
        code = 0
        try:
            if not side_by_side.end_of_command():
                with self._its_share(composed) as share:
                    code = run_one(composed, share)
        except Interrupted as stopped:  # here it would end the launcher's process; the command knows
            code = int(str(stopped.code))
        if code and os.environ.get("SUBMITIT_EXECUTOR") == "slurm":
            sys.exit(code)
        if side_by_side.end_of_command() == signal.SIGKILL:
            os._exit(FAILURE)  # there is nobody who would take a result
        return _value()

    @contextmanager
    def _its_share(self, composed: DictConfig) -> Iterator[dict[str, str]]:
        """What the worker's environment has besides: its part of a machine that it shares with other jobs."""
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
        """joblib gives each job its share of the cores; ranks divide it."""
        share = os.environ.get(_THREADS)
        if self.environment[_THREADS] or not share:
            return {}
        return {_THREADS: str(max(1, int(share) // composed.runtime.processes))}


def _pause() -> None:
    if side_by_side.end_of_command():
        raise Interrupted(INTERRUPTED)
    time.sleep(_SECONDS_BETWEEN_LOOKS)


def _value() -> float | None:
    """The headline score of the job of a multirun that was just done; None if it has none."""
    folder = os.environ.get(SWEEP_FOLDER)
    return headline_value(Path(folder), HydraConfig.get().job.num) if folder else None
