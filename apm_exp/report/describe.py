"""The names of a run in words, from its resolved configuration."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from apm_exp.selection.alpha_rules.choose import rule_name

Node = Mapping[str, Any]


def component_name(node: Node) -> str:
    """What a user calls a component: for ours the name of its file, for others that of the function."""
    *packages, module, function = str(node["_target_"]).split(".")
    if "worlds" in packages:
        return packages[-1]  # a world has a folder, with a file for each of its components
    return module if packages[:1] == ["apm_exp"] else function


def source_name(node: Node) -> str:
    """A data set or model in words: what its path names, else the name of its function."""
    path = node.get("path")
    if not path:
        return component_name(node)
    paths = path if isinstance(path, list) else [path]
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{_short(str(paths[0]))}{more}"


def _short(path: str) -> str:
    """A Hub name as it is, of a longer path its last part."""
    parts = PurePath(path).parts
    return path if not parts or (len(parts) <= 2 and not path.startswith(("/", "~", "."))) else parts[-1]


def settings(node: Node) -> str:
    """A node's plain values as `name value, name value`."""
    plain = {key: value for key, value in node.items() if isinstance(value, int | float | str) and key != "_target_"}
    return ", ".join(f"{key} {_plain(value)}" for key, value in plain.items())


def _plain(value: float | str) -> str:
    """A value as YAML spells it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def with_settings(node: Node) -> str:
    """A component's name with its settings in brackets, where it has any."""
    values = settings(node)
    return f"{component_name(node)} ({values})" if values else component_name(node)


def with_alpha_in_words(config: Node, chosen: float | None) -> dict[str, Any]:
    """The configuration, with the alpha that a rule has chosen, and the rule, in the place of alpha=auto."""
    if chosen is None:
        return dict(config)
    return {**config, "metric": {**config["metric"], "alpha": f"{chosen:g} by {rule_name(config['alpha_rule'])}"}}


def title(config: Node, *, with_loss: bool = True) -> str:
    """The run in one line: metric, loss (of a run that trains), data set, model."""
    metric = component_name(config["metric"])
    alpha = f" (alpha {config['metric']['alpha']})" if "alpha" in config["metric"] else ""
    loss = f" with {component_name(config['loss'])}" if with_loss else ""
    dataset, model = source_name(config["dataset"]), source_name(config["model"])
    return f"{metric}{alpha}{loss} on {dataset}" + (f", {model}" if model != dataset else "")


def training_words(trainer: Node, adapter: Node | None = None) -> str:
    """The adapter, if any, and the trainer's settings that people ask for first, in words."""
    forms = {
        "learning_rate": "learning rate {}",
        "global_batch": "{} pairs a step",
        "epochs": "{} epochs",
        "lr_scheduler": "{} schedule",
        "optimizer": "{}",
    }
    words = [form.format(trainer[name]) for name, form in forms.items() if name in trainer]
    words = ([with_settings(adapter)] if adapter else []) + words
    return ", ".join("1 epoch" if word in ("1 epochs", "1.0 epochs") else word for word in words)
