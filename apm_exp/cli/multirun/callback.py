"""Checks before job 0 of a multirun: compose and check every job, and name the sweep."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from apm_exp.cli import worker_process as launch
from apm_exp.cli.explain import explain
from apm_exp.cli.multirun.compose import compose_jobs, expand, launch_as_composed, requests_of, swept_names
from apm_exp.cli.multirun.launchers import launcher_of, launcher_problem, on_other_machines, prepare_launch
from apm_exp.cli.multirun.search import at_a_time, is_study, say_less, study_identity
from apm_exp.cli.one_job import (
    SWEEP_FOLDER,
    TYPED_WRONG,
    NothingToRun,
    config_dir,
    report_sweep,
    say_failed,
    swept_settings,
)
from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.errors import USAGE_ERROR, print_error
from apm_exp.core.escaped import escaped
from apm_exp.core.files import write_text
from apm_exp.core.sealed import write_sealed
from apm_exp.jobs.ledger import all_done, record_of, reported, say_done, settle
from apm_exp.jobs.request import Request

_HOW = ("task", "clean", "run", "export", "rebuild", "runtime", "deepspeed", "tracking", "output_root")
_ONE_AT_A_TIME = {"clean": "cleans one output_root", "export": "exports one run"}


class CheckJobs(Callback):
    """Hydra's callback for a multirun."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check all jobs, or print their plan, in one worker; stop before job 0 if a job is invalid."""
        with _ends_the_command():
            _check_and_prepare(config)

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse settings that only a multirun can have."""
        with _ends_the_command():
            if problem := launcher_problem(config, multirun=False):
                _refuse(problem)


@contextmanager
def _ends_the_command() -> Iterator[None]:
    """End the command with one line for any exception; Hydra would log a warning and start the unchecked jobs."""
    try:
        yield
    except TYPED_WRONG as error:
        _refuse(explain(error, sys.argv[1:]))
    except Exception as error:
        raise NothingToRun(say_failed(error, "the check before job 0 failed: ")) from None


def _check_and_prepare(config: DictConfig) -> None:
    """Check the jobs of a multirun and prepare the launch. Raises NothingToRun if no job is to be started."""
    if problem := launcher_problem(config, multirun=True):
        _refuse(problem)
    here = launcher_of(config) == "BasicLauncher"
    if config.get("task") == "run" and here and not _was_ended(config):
        launch.make_ready()
    composed = compose_jobs(config)
    jobs = requests_of(composed, swept_names(config))
    task = str(jobs[0].config.get("task"))
    if task in _ONE_AT_A_TIME:
        _refuse(f"task={task}: {_ONE_AT_A_TIME[task]} at a time; leave out -m")
    name, key = _identity(config, jobs)
    folder = (Path(jobs[0].config["output_root"]) / "sweeps" / f"{name}-{key[:8]}").absolute()
    seems_done = not is_study(config) and all_done(folder, len(jobs))
    code = _look_at(config, jobs, task, folder, seems_done)
    if code or task != "run":
        raise NothingToRun(code)
    if seems_done and all_done(folder, len(jobs)):
        _describe(folder, name, key, config, jobs)  # again: its files may be damaged
        raise NothingToRun(done_before(folder, len(jobs)))
    _describe(folder, name, key, config, jobs)
    os.environ[SWEEP_FOLDER] = str(folder)
    if here:
        launch_as_composed(composed)
    say_less(config)
    prepare_launch(config, at_a_time(config) or len(jobs))


def _look_at(config: DictConfig, jobs: list[Request], task: str, folder: Path, seems_done: bool) -> int:
    """Check the jobs, or run a read-only task (task=plan, task=status), in a worker; returns its exit code."""
    check = "check_for_elsewhere" if on_other_machines(config) else "check"
    asked = task if task in ("plan", "status") else check
    if asked != check or not is_study(config):
        jobs = [replace(job, sweep=str(folder)) for job in jobs]
    many = task == "run" and launcher_of(config) == "BasicLauncher"
    if many and not seems_done:  # the server is still busy with its imports: at once, what needs none
        code = launch.start("check_settings", jobs, alone=True)
        if code:
            return code
    return launch.start(asked, jobs, preload=many, alone=seems_done)


def done_before(folder: Path, jobs: int) -> int:
    """Report how each job ended in an earlier command, and the report's path; an outdated report is written again."""
    from apm_exp.jobs.sweep.report import verdict_lines  # lazy: only a sweep that is done needs it here

    for number in range(jobs):
        say_done(number, record_of(folder, number))
    if (page := reported(folder)) is None or not (lines := verdict_lines(folder)):
        return report_sweep(folder)
    for line in lines:
        print(escaped(line), file=sys.stderr)
    print(f"{jobs} of {jobs} jobs done | report: {page}", file=sys.stderr)
    return 0


def _was_ended(config: DictConfig) -> bool:
    """Return whether a sweep of this name and size is done; this one, whose key is not known yet, may be the same."""
    jobs, sweeps = len(expand(config)), Path(str(config.output_root), "sweeps")
    return any(all_done(folder, jobs) for folder in sweeps.glob(f"{_name(config)}-*"))


def _refuse(problem: str) -> NoReturn:
    print_error(problem)
    raise NothingToRun(USAGE_ERROR)


def _identity(config: DictConfig, jobs: list[Request]) -> tuple[str, str]:
    """Return the name of a sweep, and its key: a digest of every job's settings that affect results."""
    name = _name(config)
    settings = [{key: value for key, value in job.config.items() if key not in _HOW} for job in jobs]
    return name, text_digest(canonical([*settings, *study_identity(config)]))


def _name(config: DictConfig) -> str:
    return str(config.hydra.runtime.choices.get("sweeps") or "multirun").replace("null", "multirun")


def _describe(folder: Path, name: str, key: str, config: DictConfig, jobs: list[Request]) -> None:
    """Write the sweep's record for the jobs and the report; the ledger of an earlier command is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    names = swept_names(config)
    write_text("\n".join(names) + "\n", folder / "swept.txt")
    arguments = ["python", "-m", "apm_exp", "-m", *config_dir(config.hydra), *config.hydra.overrides.task]
    write_text(shlex.join(arguments) + "\n", folder / "command.txt")
    swept = [swept_settings(job.overrides, names) for job in jobs]
    if is_study(config):  # its trials are known as they come
        swept = [{} for _ in range(config.hydra.sweeper.n_trials)]
    if is_study(config):
        for number in range(len(swept)):
            settle(folder, number, finished=False)
    write_sealed({"name": name, "key": key, "jobs": swept}, folder / "sweep.json")
