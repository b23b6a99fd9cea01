"""One job, single or of a multirun: the request to its worker, and the exit code."""

import os
import shlex
import sys
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from yaml import MarkedYAMLError

from apm_exp.cli.arguments import UsageLine
from apm_exp.cli.explain import explain
from apm_exp.core.conf import options_of
from apm_exp.core.credentials import refuse_secrets_of_environment
from apm_exp.core.environment import started_too_often
from apm_exp.core.errors import FAILURE, INTERRUPTED, TERMINATED, USAGE_ERROR, known_remedy, one_line, print_error
from apm_exp.core.escaped import escaped_lines
from apm_exp.jobs.request import TYPED, Request

SWEEP_FOLDER = "APM_EXP_SWEEP_FOLDER"
COMMAND_ID = "APM_EXP_COMMAND_ID"  # identifies the command in all of its jobs, also on other machines
# errors that explain() turns into one line
TYPED_WRONG = (HydraException, OmegaConfBaseException, UsageLine, MarkedYAMLError)


class NothingToRun(SystemExit):
    """The end of a multirun before job 0: a job is invalid, or only a plan was requested. `code`: the exit code.

    A SystemExit, since Hydra turns other exceptions of its callbacks into warnings.
    """


class Interrupted(SystemExit):
    """Ctrl-C or SIGTERM ended a job: those after it are not started. `code`: the exit code."""


def say_failed(error: Exception, what: str = "") -> int:
    """Print an unexpected error as one line that begins with `what` and return the exit code."""
    if shown := bool(os.environ.get("APM_EXP_TRACEBACK")):
        print(escaped_lines("".join(traceback.format_exception(error))), file=sys.stderr)
    # one_line adds the type of other errors
    kind = f"{type(error).__name__}: " if isinstance(error, ValueError) else ""
    known = None if kind else known_remedy(error)
    remedy = known if known is not None else "" if shown else "; HYDRA_FULL_ERROR=1 shows the traceback"
    print_error(f"{what}{kind}{one_line(error)}{remedy}")
    return FAILURE


def run_one(composed: DictConfig, environment: Mapping[str, str] | None = None) -> int:
    """Run one job, single or of a multirun, in its own worker and return its exit code.

    environment: additional variables of the worker.
    """
    settings = HydraConfig.get()
    try:
        request = request_of(composed, settings)
    except TYPED_WRONG as error:
        print_error(explain(error, sys.argv[1:]))
        return USAGE_ERROR
    if request.sweep and _is_done(request):
        return 0
    from apm_exp.cli import worker_process as launch  # lazy, as printing a configuration needs no worker

    # submitit runs one job per process
    many = settings.mode == RunMode.MULTIRUN and "SUBMITIT_EXECUTOR" not in os.environ
    task = str(request.config["task"])
    code = launch.start(task if task in TYPED else "check", [request], preload=many, environment=environment)
    if code in (INTERRUPTED, TERMINATED):
        raise Interrupted(code)
    return code


def _is_done(request: Request) -> bool:
    """Return whether the ledger has the job as done, and report it; the ledger was checked before job 0."""
    from apm_exp.jobs.ledger import record_of, say_done

    record = record_of(Path(str(request.sweep)), request.number)
    if record["state"] == "done":
        say_done(request.number, record)
    return bool(record["state"] == "done")


def request_of(
    composed: DictConfig, settings: Any, number: int | None = None, swept: dict[str, str] | None = None
) -> Request:
    """Return a composed job as plain values for the worker. Raises UsageLine if a required value is missing."""
    if settings.runtime.choices.model == "none":
        raise UsageLine(_no_model(str(settings.runtime.choices.dataset)))
    try:
        ours = _without_hydra(composed)
        config = OmegaConf.to_container(ours, resolve=True, throw_on_missing=True)
        refuse_secrets_of_environment(OmegaConf.to_container(ours, resolve=False), config)
    except MissingMandatoryValue as error:
        key = str(error.full_key)
        raise UsageLine(f"{key} is required: set {key}=VALUE") from None
    except ValueError as error:
        raise UsageLine(str(error)) from None
    assert isinstance(config, dict)
    if config.get("task") in ("run", "plan") and (problem := started_too_often()):
        raise UsageLine(problem)
    folder = os.environ.get(SWEEP_FOLDER)
    overrides = list(settings.overrides.task)
    job = number if number is not None else settings.job.get("num", 0) if folder else 0
    return Request(
        task=str(config.get("task")),
        config={str(key): value for key, value in config.items()},
        choices={str(k): str(v) for k, v in settings.runtime.choices.items() if not str(k).startswith("hydra")},
        overrides=overrides,
        command=shlex.join(["python", "-m", "apm_exp", *config_dir(settings), *overrides]),
        command_id=os.environ[COMMAND_ID],
        number=job,
        swept=_swept(folder, overrides) if swept is None else swept,
        sweep=folder,
    )


def config_dir(settings: Any) -> list[str]:
    """Return the flag with the user's own configuration folder, if there is one."""
    folders = [source.path for source in settings.runtime.config_sources if source.provider == "command-line"]
    return ["--config-dir", folders[0]] if folders else []


def _no_model(dataset: str) -> str:
    names = ", ".join(name for name in options_of("model") if name not in ("none", "unused"))
    own = "set model=local model.path=FOLDER"
    return f"model is required: dataset={dataset} has none of its own; {own}, or model= one of {names}"


def _without_hydra(composed: DictConfig) -> DictConfig:
    with_flags = composed.copy()
    OmegaConf.set_struct(with_flags, False)
    with_flags.pop("hydra", None)
    return with_flags


def _swept(folder: str | None, overrides: Iterable[str]) -> dict[str, str]:
    """Return the settings in which this job differs from others of its sweep."""
    if not folder:
        return {}
    return swept_settings(overrides, (Path(folder) / "swept.txt").read_text().split())


def swept_settings(overrides: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Return the settings among `names` in a job's overrides, with their values."""
    split = (override.partition("=") for override in overrides)
    wanted = set(names)
    return {name: value for key, _, value in split if (name := key.lstrip("+")) in wanted}


def report_sweep(folder: Path) -> int:
    """Write the sweep's report in a worker and return its exit code, or 1 if a job failed."""
    from apm_exp.cli import worker_process as launch

    command = (folder / "command.txt").read_text().strip()
    request = Request("sweep_report", {}, {}, [], command, os.environ[COMMAND_ID], sweep=str(folder))
    return launch.start("sweep_report", [request])
