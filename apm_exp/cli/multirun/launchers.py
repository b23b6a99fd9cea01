"""The choice of where the jobs of a multirun run: one after the other in the command, or in another Hydra launcher."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from apm_exp.runtime import command_lock as side_by_side
from apm_exp.runtime.gpu_pool import gpus_needed, places, visible_gpus
from apm_exp.runtime.ranks.launcher_process import available_cores


def launcher_of(config: DictConfig) -> str:
    """Return the class name of the chosen launcher: BasicLauncher, JoblibLauncher, SlurmLauncher, LocalLauncher, ..."""
    return str(config.hydra.launcher._target_).rpartition(".")[2]


def on_other_machines(config: DictConfig) -> bool:
    """Return whether the jobs will run on machines that cannot be checked now."""
    return launcher_of(config) == "SlurmLauncher"


def launcher_problem(config: DictConfig, *, multirun: bool) -> str | None:
    """Return why the chosen launcher cannot run the jobs, in one line with a remedy; None if it can."""
    chosen = f"hydra/launcher={config.hydra.runtime.choices['hydra/launcher']}"
    launcher = launcher_of(config)
    if not multirun and not str(config.hydra.sweeper._target_).endswith(".BasicSweeper"):
        sweeper = f"hydra/sweeper={config.hydra.runtime.choices['hydra/sweeper']}"
        return f"{sweeper}: only applies to a multirun; add -m, or remove it for one job"
    if launcher == "BasicLauncher":
        return None
    if not multirun:
        return f"{chosen}: only applies to a multirun; add -m, or remove it to run in this process"
    if launcher == "SlurmLauncher":
        return _slurm_problem(chosen, config.hydra.launcher)
    if config.runtime.get("nodes", 1) > 1:
        remedy = "set runtime.nodes=1, or hydra/launcher=slurm"
        return f"runtime.nodes={config.runtime.nodes}: {chosen} supports only one machine; {remedy}"
    return None


def _slurm_problem(chosen: str, launcher: Mapping[str, Any]) -> str | None:
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        here = "one job after the other, or hydra/launcher=joblib hydra.launcher.n_jobs=2 for two in parallel"
        return f"{chosen}: this machine has no Slurm (no sbatch or srun in PATH); remove it for {here}"
    if launcher["tasks_per_node"] != 1:
        return f"hydra.launcher.tasks_per_node={launcher['tasks_per_node']}: one task a node; it starts its own ranks"
    return None


def prepare_launch(config: DictConfig, jobs: int) -> None:
    """Prepare a launcher whose jobs run in parallel with this command, before any job is started.

    On this machine the jobs end with the command, and joblib starts at most as many processes as there are jobs or
    GPUs.
    """
    launcher = launcher_of(config)
    if launcher == "BasicLauncher":
        return
    # before a time limit, so that the worker saves its training
    os.environ.setdefault("SUBMITIT_PREEMPT_SIGNAL", "TERM")
    if launcher == "JoblibLauncher":
        with read_write(config), open_dict(config):
            config.hydra.launcher.n_jobs = _at_the_same_time(config, jobs)
    if launcher == "SlurmLauncher":
        logs = Path(config.hydra.sweep.dir) / ".submitit"
        print(f"{jobs} jobs for Slurm, which keep running after Ctrl-C; their logs are in {logs}/", file=sys.stderr)
    else:
        side_by_side.jobs.begin(Path(config.output_root) / ".locks")


def _at_the_same_time(config: DictConfig, jobs: int) -> int:
    runtime: Any = OmegaConf.to_container(config.runtime, resolve=True)
    needed = gpus_needed(runtime)
    gpus = visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES")) if needed else []
    return n_jobs(config.hydra.launcher.n_jobs, jobs, places(len(gpus), needed, runtime["jobs_per_gpu"]))


def n_jobs(given: int, jobs: int, on_gpus: int) -> int:
    """Return how many jobs run in parallel; more processes would only wait, and share the cores.

    given: joblib's n_jobs, where -1 means all and -2 all but one. on_gpus: the number of jobs for which there are GPUs,
    0 without GPUs.
    """
    most = on_gpus or available_cores()
    wanted = given if given > 0 else most + 1 + given
    return max(1, min(wanted, jobs, on_gpus or wanted))
