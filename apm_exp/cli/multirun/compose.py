"""The jobs of a multirun: their overrides and configurations, each composed once."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from apm_exp.cli.explain import explain
from apm_exp.cli.multirun.search import ends, is_study
from apm_exp.cli.one_job import TYPED_WRONG, NothingToRun, request_of, swept_settings
from apm_exp.core.errors import USAGE_ERROR, print_error
from apm_exp.jobs.request import Request

MOST_JOBS = 10_000  # a range whose step was forgotten would give more
_Made = TypeVar("_Made")
Composed = tuple[list[str], DictConfig]  # the overrides of a job, and the configuration that Hydra composed


def compose_jobs(config: DictConfig) -> list[Composed]:
    """Return every job's overrides and configuration, composed as Hydra's launchers do.

    Raises NothingToRun if a job is invalid.
    """
    jobs, loader = expand(config), _loader()
    return _of_each(jobs, lambda number: (jobs[number], loader.load_sweep_config(config, jobs[number])))


def requests_of(composed: Sequence[Composed], names: list[str]) -> list[Request]:
    """Return the request for each job's worker. names: the swept settings. Raises NothingToRun if a job is invalid."""
    return _of_each([overrides for overrides, _ in composed], lambda number: _request(composed[number], number, names))


def expand(config: DictConfig) -> list[list[str]]:
    """Return the overrides of each job, as Hydra's sweeper does; for a search, the ends of its ranges.

    Raises NothingToRun if the values of a setting are not a list of jobs.
    """
    parsed = _parsed(config)
    jobs = math.prod(len(values_of(override)) for override in parsed if override.is_discrete_sweep())
    if jobs > MOST_JOBS:
        raise _refused(f"-m: more than {MOST_JOBS:,} jobs; give fewer values")
    if is_study(config):
        return ends(parsed)
    return list(itertools.chain.from_iterable(BasicSweeper.split_arguments(parsed, None)))


def swept_names(config: DictConfig) -> list[str]:
    """Return the settings with several values."""
    return [override.get_key_element().lstrip("+") for override in _parsed(config) if override.is_sweep_override()]


def _parsed(config: DictConfig) -> list[Override]:
    """Return the parsed overrides, typed or from the study's file."""
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
    parser = OverridesParser.create(config_loader=_loader())  # glob() needs the options of a group
    return list(parser.parse_overrides([*params, *config.hydra.overrides.task]))


def values_of(override: Override) -> list[Any]:
    """Return the values that a multirun gives a setting, after a check. Raises NothingToRun."""
    try:
        values = list(itertools.islice(override.sweep_iterator(), MOST_JOBS + 1))
        problem = _problem(override, values)
    except (HydraException, ValueError, ArithmeticError) as error:
        problem = " ".join(str(error).split())
    if problem:
        raise _refused(f"{override.input_line}: {problem}")
    return values


def _problem(override: Override, values: list[Any]) -> str | None:
    """Return what is wrong with a setting's values in a multirun, with a remedy; None if they are valid."""
    if getattr(override.value(), "shuffle", False):
        return "shuffles the jobs differently each time; remove shuffle"
    if not values:
        return "no values, so there are no jobs; give at least one"
    plain = [getattr(value, "text", value) for value in values]  # "a" and a are equal
    typed = [(isinstance(value, bool), value) for value in plain]  # 1.0 and 1 are equal, but not true
    twice = next((value for value, key in zip(plain, typed, strict=True) if typed.count(key) > 1), None)
    return None if twice is None else f"{twice} is repeated; give each value once"


def _refused(problem: str) -> NothingToRun:
    print_error(problem)
    return NothingToRun(USAGE_ERROR)


def _request(job: Composed, number: int, names: list[str]) -> Request:
    overrides, composed = job
    HydraConfig.instance().set_config(composed)
    return request_of(composed, HydraConfig.get(), number, swept_settings(overrides, names))


def _of_each(jobs: Sequence[list[str]], make: Callable[[int], _Made]) -> list[_Made]:
    """Return what `make` returns for the number of each job. jobs: their overrides.

    Raises NothingToRun for errors that Hydra would log as warnings, after printing one line per reason with the jobs.
    """
    made: list[_Made] = []
    refused: dict[str, list[str]] = {}
    for number, overrides in enumerate(jobs):
        try:
            made.append(make(number))
        except TYPED_WRONG as error:
            refused.setdefault(explain(error, overrides), []).append(str(number))
    for reason, numbers in refused.items():
        print_error(f"job{'s' * (len(numbers) > 1)} {', '.join(numbers)}: {reason}")
    if refused:
        raise NothingToRun(USAGE_ERROR)
    return made


def _loader() -> ConfigLoader:
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    return hydra.config_loader


def launch_as_composed(jobs: Sequence[Composed]) -> None:
    """Make Hydra use these composed jobs; its sweeper and its launcher would both compose each of them again."""
    loader, ready = _loader(), {tuple(overrides): composed for overrides, composed in jobs}
    for composed in ready.values():
        # it became read-only when it was read; the launcher sets the job's number in it
        OmegaConf.set_readonly(composed.hydra, None)
    compose = loader.load_sweep_config

    def ready_or_composed(master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        composed = ready.get(tuple(sweep_overrides))
        return compose(master_config, sweep_overrides) if composed is None else composed

    setattr(loader, "load_sweep_config", ready_or_composed)  # noqa: B010 - it is a method of this one loader
