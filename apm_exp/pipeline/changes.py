"""Other settings for one iteration: `pipeline.changes={3: {trainer.learning_rate: 3e-7}}`."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core import component

Changes = dict[
    Any, Any
]  # settings by their dotted names, by the number of the iteration; `changed_configs` checks them
Config = Mapping[str, Any]
MAY_CHANGE = ("evolve", "generate", "keep", "loss", "metric", "pairing", "reward", "seed", "trainer")


def with_changes(config: Config, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with other values of some settings, which are given by their dotted names.

    Raises ValueError for a setting that does not exist, or that is not an iteration's own.
    """
    changed = dict(config)
    for name, value in changes.items():
        group, *inner = name.split(".")
        if group not in MAY_CHANGE:
            problem = f"not a setting of one iteration; {component.nearest(group, MAY_CHANGE)}"
            remedy = "; write metric.alpha" if group == "alpha" else ""
            raise ValueError(f"pipeline.changes: {name}={value}: {problem}{remedy}")
        changed[group] = _with(changed[group], inner, value, name)
    return changed


def _with(node: Any, inner: list[str], value: Any, name: str) -> Any:
    if not inner:
        return value
    if not isinstance(node, Mapping) or inner[0] not in node:
        known = node if isinstance(node, Mapping) else ()
        raise ValueError(f"pipeline.changes: {name}={value}: no such setting; {component.nearest(inner[0], known)}")
    return {**node, inner[0]: _with(node[inner[0]], inner[1:], value, name)}


def changed_configs(config: Config) -> dict[int, dict[str, Any]]:
    """Return the configuration of each iteration that has other settings. Raises ValueError as `with_changes`.

    Iterations that this run does not reach are checked too: in a sweep over iterations, all jobs have the same changes.
    """
    changes = config["pipeline"].get("changes") or {}
    for iteration, each in changes.items():
        if not isinstance(iteration, int) or iteration < 1 or not isinstance(each, Mapping):
            problem = "must be settings by the number of an iteration"
            remedy = "write 'pipeline.changes={3: {trainer.learning_rate: 3e-7}}', in quotes"
            raise ValueError(f"pipeline.changes: {iteration}: {problem}; {remedy}")
    return {iteration: with_changes(config, each) for iteration, each in changes.items()}
