"""Before job 0 of a multirun: compose every job, check them all, and name the sweep by what it is."""

import itertools
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from apm_exp import launch
from apm_exp.application import SWEEP_FOLDER, NothingToRun, config_dir, report_sweep, request_of
from apm_exp.command_line import UsageLine
from apm_exp.digest import canonical, text_digest
from apm_exp.elsewhere import launcher_of, launcher_problem, on_other_machines, prepare_launch
from apm_exp.ending import USAGE_ERROR
from apm_exp.explain import explain
from apm_exp.files import write_json, write_text
from apm_exp.ledger import all_done, record_of, reported, say_done, settle
from apm_exp.nodes.place import place
from apm_exp.study import at_a_time, ends, is_study, say_less, study_identity
from apm_exp.worker import Request

_HOW = ("task", "clean", "run", "export", "rebuild", "runtime", "deepspeed", "tracking", "output_root")
_ONE_AT_A_TIME = {"clean": "cleans one output_root", "export": "exports one run"}


class CheckJobs(Callback):
    """Hydra's hook for a multirun; a class because Hydra asks for one."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check all jobs, or print their plan, in one worker; stop before job 0 where one is wrong."""
        if problem := launcher_problem(config, multirun=True):
            _refuse(problem)
        names = swept_names(config)
        here = launcher_of(config) == "BasicLauncher"
        if config.get("task") == "run" and here and not _was_ended(config):
            launch.make_ready()
        composed = [(overrides, _compose(config, overrides, number)) for number, overrides in enumerate(expand(config))]
        jobs = [_request(each, overrides, number, names) for number, (overrides, each) in enumerate(composed)]
        task = str(jobs[0].config.get("task"))
        if task in _ONE_AT_A_TIME:
            print(f"error: task={task}: {_ONE_AT_A_TIME[task]} at a time; leave out -m", file=sys.stderr)
            raise NothingToRun(USAGE_ERROR)
        name, key = _identity(config, jobs)
        folder = (Path(jobs[0].config["output_root"]) / "sweeps" / f"{name}-{key[:8]}").absolute()
        check = "check_for_elsewhere" if on_other_machines(config) else "check"
        asked = task if task in ("plan", "status") else check
        if asked != check or not each_again(config):
            jobs = [replace(job, sweep=str(folder)) for job in jobs]
        seems_done = not each_again(config) and all_done(folder, len(jobs))
        large = task == "run" and here and not seems_done  # then the server is still busy with its imports
        code = launch.start("check_settings", jobs, alone=True) if large else 0
        code = code or launch.start(asked, jobs, preload=task == "run" and here, alone=seems_done)
        if code or task != "run":
            raise NothingToRun(code)
        if seems_done and all_done(folder, len(jobs)):
            raise NothingToRun(done_before(folder, len(jobs)))
        if on_other_machines(config) or place(jobs[0].config["runtime"]).node == 0:  # only node 0 keeps records
            _describe(folder, name, key, config, jobs)
            os.environ[SWEEP_FOLDER] = str(folder)
        if here:
            _launch_as_composed(composed)
        say_less(config)
        prepare_launch(config, at_a_time(config) or len(jobs))

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse what only a multirun can have."""
        if problem := launcher_problem(config, multirun=False):
            _refuse(problem)


def each_again(config: DictConfig) -> bool:
    """Whether no job is left out for being done: what is checked of a study are its ends, which are no jobs, and
    machines that share the jobs must all come to the same ones, though only node 0 has a ledger.
    """
    return is_study(config) or str(config.runtime.get("nodes", 1)) != "1"


def done_before(folder: Path, jobs: int) -> int:
    """Say of each job how it ended in an earlier command, and where the report is, made again where it is older."""
    for number in range(jobs):
        say_done(number, record_of(folder, number))
    if (page := reported(folder)) is None:
        return report_sweep(folder)
    print(f"{jobs} of {jobs} jobs done | report: {page}", file=sys.stderr)
    return 0


def _was_ended(config: DictConfig) -> bool:
    """Whether a sweep of this name and size is done, so that this one, whose key is not known yet, may be too."""
    folders = Path(str(config.output_root), "sweeps").glob(f"{_name(config)}-*")
    return any(all_done(folder, len(expand(config))) for folder in folders)


def _refuse(problem: str) -> None:
    print(f"error: {problem}", file=sys.stderr)
    raise NothingToRun(USAGE_ERROR)


def expand(config: DictConfig) -> list[list[str]]:
    """The overrides of each job, as Hydra's own sweeper makes them; of a study, the ends of what it searches."""
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
    parsed = OverridesParser.create().parse_overrides([*params, *config.hydra.overrides.task])
    if is_study(config):
        return ends(parsed)
    return list(itertools.chain.from_iterable(BasicSweeper.split_arguments(parsed, None)))


def swept_names(config: DictConfig) -> list[str]:
    """The settings that are given several values."""
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
    parsed = OverridesParser.create().parse_overrides([*params, *config.hydra.overrides.task])
    return [override.get_key_element().lstrip("+") for override in parsed if override.is_sweep_override()]


def _compose(config: DictConfig, overrides: list[str], number: int) -> DictConfig:
    """A job's configuration, as Hydra's launchers make it."""
    with _explained(overrides, number):
        return _loader().load_sweep_config(config, overrides)


def _request(composed: DictConfig, overrides: list[str], number: int, names: list[str]) -> Request:
    with _explained(overrides, number):
        HydraConfig.instance().set_config(composed)
        return request_of(composed, HydraConfig.get(), number, dict(_pairs(overrides, names)))


@contextmanager
def _explained(overrides: list[str], number: int) -> Iterator[None]:
    """Refuse the sweep in one line for what is wrong with a job, which Hydra would make a warning."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, UsageLine) as error:
        print(f"error: job {number}: {explain(error, overrides)}", file=sys.stderr)
        raise NothingToRun(USAGE_ERROR) from None


def _loader() -> ConfigLoader:
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    return hydra.config_loader


def _launch_as_composed(jobs: Sequence[tuple[list[str], DictConfig]]) -> None:
    """Have Hydra take each of these jobs as it is: its sweeper and its launcher compose every one of them again."""
    loader, ready = _loader(), {tuple(overrides): composed for overrides, composed in jobs}
    for composed in ready.values():
        OmegaConf.set_readonly(composed.hydra, None)  # it became so to be read; the launcher puts the job's number in
    compose = loader.load_sweep_config

    def ready_or_composed(master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        composed = ready.get(tuple(sweep_overrides))
        return compose(master_config, sweep_overrides) if composed is None else composed

    setattr(loader, "load_sweep_config", ready_or_composed)  # noqa: B010 - it is a method of this one loader


def _identity(config: DictConfig, jobs: list[Request]) -> tuple[str, str]:
    """The name of a sweep, and its key: made of every job's settings, but for those of how it is run."""
    name = _name(config)
    settings = [{key: value for key, value in job.config.items() if key not in _HOW} for job in jobs]
    return name, text_digest(canonical([*settings, *study_identity(config)]))


def _name(config: DictConfig) -> str:
    return str(config.hydra.runtime.choices.get("sweeps") or "multirun").replace("null", "multirun")


def _describe(folder: Path, name: str, key: str, config: DictConfig, jobs: list[Request]) -> None:
    """Write what the jobs and the report read of the sweep; the ledger of an earlier command stays."""
    folder.mkdir(parents=True, exist_ok=True)
    names = swept_names(config)
    write_text("\n".join(names) + "\n", folder / "swept.txt")
    arguments = ["python", "-m", "apm_exp", "-m", *config_dir(config.hydra), *config.hydra.overrides.task]
    write_text(shlex.join(arguments) + "\n", folder / "command.txt")
    swept = [dict(_pairs(job.overrides, names)) for job in jobs]
    if is_study(config):  # its trials are known as they come
        swept = [{} for _ in range(config.hydra.sweeper.n_trials)]
    if each_again(config):
        for number in range(len(swept)):
            settle(folder, number, finished=False)
    write_json({"name": name, "key": key, "jobs": swept}, folder / "sweep.json")


def _pairs(overrides: list[str], names: list[str]) -> list[tuple[str, str]]:
    split = (override.partition("=") for override in overrides)
    return [(key.lstrip("+"), value) for key, _, value in split if key.lstrip("+") in names]
