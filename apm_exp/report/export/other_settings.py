"""What is typed beside task=export: settings of a run that is made already."""

from collections.abc import Iterable, Mapping
from typing import Any

from omegaconf import OmegaConf

from apm_exp.core.errors import UsageError
from apm_exp.report.export.finished_run import FinishedRun

_OF_EXPORT = ("task", "run", "export", "output_root", "tracking", "runtime", "rebuild", "hydra", "trusted_packages")
_ABSENT = "(none)"


def typed_settings(overrides: Iterable[str], config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were typed and say what a run is, with their values."""
    names = [override.partition("=")[0].lstrip("+~") for override in overrides]
    return {name: _value(config, name) for name in names if name.split(".")[0] not in _OF_EXPORT}


def check_settings_of(run: FinishedRun, typed: Mapping[str, Any]) -> None:
    """Raise UsageError for a typed setting that the run does not have, with the run's own."""
    for name, value in typed.items():
        if (own := _value(run.config, name)) != value:
            remedy = "leave it out, or name another run with run="
            raise UsageError(f"{name}={value}: run {run.name} was made with {name}={own}; {remedy}")


def _value(config: Mapping[str, Any], name: str) -> Any:
    """A setting; of a group that chooses a component its module's name, as component files are called."""
    value = OmegaConf.select(OmegaConf.create(dict(config)), name, default=_ABSENT)
    if isinstance(value, Mapping) or OmegaConf.is_dict(value):
        return str(value.get("_target_", "")).rpartition(".")[0].rpartition(".")[2] or _ABSENT
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
