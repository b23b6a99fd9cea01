"""Settings typed with task=export that concern the existing run."""

from collections.abc import Iterable, Mapping
from typing import Any

from omegaconf import OmegaConf

from apm_exp.core.component import name_of
from apm_exp.core.errors import UsageError
from apm_exp.report.export.finished_run import FinishedRun

_OF_EXPORT = ("task", "run", "export", "output_root", "tracking", "runtime", "rebuild", "hydra", "trusted_packages")
_ABSENT = "(none)"


def typed_settings(overrides: Iterable[str], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the typed settings that describe a run, with their values."""
    names = [override.partition("=")[0].lstrip("+~") for override in overrides]
    return {name: _value(config, name) for name in names if name.split(".")[0] not in _OF_EXPORT}


def check_settings_of(run: FinishedRun, typed: Mapping[str, Any]) -> None:
    """Raise UsageError for a typed setting that differs from the run's, with the run's value."""
    for name, value in typed.items():
        if (own := _value(run.config, name)) != value:
            remedy = "remove it, or choose another run with run="
            raise UsageError(f"{name}={value}: run {run.name} has {name}={own}; {remedy}")


def _value(config: Mapping[str, Any], name: str) -> Any:
    """Return a setting; of a group that chooses a component, what a user calls it."""
    value = OmegaConf.select(OmegaConf.create(dict(config)), name, default=_ABSENT)
    if isinstance(value, Mapping) or OmegaConf.is_dict(value):
        return name_of(value) if value.get("_target_") else _ABSENT
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
