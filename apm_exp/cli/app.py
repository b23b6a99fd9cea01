"""Hydra's process: compose the configuration, pass each job to a worker, and report errors in one line."""

import os
import sys
import uuid
from contextlib import suppress
from pathlib import Path

import hydra

from apm_exp.cli.explain import explain
from apm_exp.cli.multirun.search import NO_TRIALS, no_trial_done
from apm_exp.cli.one_job import (
    COMMAND_ID,
    SWEEP_FOLDER,
    TYPED_WRONG,
    Interrupted,
    NothingToRun,
    report_sweep,
    say_failed,
)
from apm_exp.core.conf import conf_folder
from apm_exp.core.environment import clear_settings
from apm_exp.core.errors import FAILURE, USAGE_ERROR, interrupts, print_error
from apm_exp.core.once import once_a_command
from apm_exp.runtime import command_lock as side_by_side


def run(arguments: list[str]) -> int:
    """Compose the configuration and run what the arguments say.

    Returns the exit code: 0, 1 (failure), 2 (usage), 130 (Ctrl-C) or 143 (SIGTERM).
    """
    with once_a_command():
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    from apm_exp.cli.multirun.job_function import JobFunction

    os.environ["APM_EXP_CONF"] = str(conf_folder())  # for paths to files beside the YAML files
    os.environ[COMMAND_ID] = uuid.uuid4().hex
    os.environ.pop(SWEEP_FOLDER, None)
    if names := clear_settings():
        meant = "results must not depend on the environment; use model.dtype, runtime and deepspeed"
        print(f"warning: {', '.join(names)}: ignored; {meant}", file=sys.stderr)
    sys.argv = [sys.argv[0], *arguments]
    if any("slurm" in argument for argument in arguments):
        _declare_slurm()
    function = JobFunction()
    codes = function.codes
    job = hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")
    try:
        job(function)()
    except NothingToRun as reason:
        return int(str(reason.code))
    except Interrupted as reason:
        codes.append(int(str(reason.code)))
    except TYPED_WRONG as error:
        if interrupts(error):
            raise KeyboardInterrupt from None
        print_error(explain(error, arguments))
        return USAGE_ERROR
    except Exception as error:
        if interrupts(error):
            raise KeyboardInterrupt from None
        if isinstance(error, OSError) and error.filename is None and _only_shows(arguments):
            raise  # an error of standard output
        folder = os.environ.get(SWEEP_FOLDER)
        if folder and NO_TRIALS in str(error):
            print_error(no_trial_done(Path(folder)))
            codes.append(FAILURE)
        else:
            codes.append(say_failed(error, "Hydra's launcher or sweeper failed: " if folder else ""))
    finally:
        codes.append(side_by_side.jobs.end())
    if folder := os.environ.get(SWEEP_FOLDER):
        codes.append(report_sweep(Path(folder)))
    return max(codes)


def _only_shows(arguments: list[str]) -> bool:
    """Return whether Hydra only prints something and runs no job."""
    return bool({"--cfg", "-c", "--hydra-help"} & {argument.partition("=")[0] for argument in arguments})


def _declare_slurm() -> None:
    with suppress(ImportError):  # the extra is not installed
        from apm_exp.cli.multirun.slurm_settings import declare

        declare()
