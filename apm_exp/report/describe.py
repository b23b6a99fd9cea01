"""Descriptions of a run in words, from its resolved configuration."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from apm_exp.core.component import name_of

Node = Mapping[str, Any]


def source_name(node: Node) -> str:
    """Return a data set or model in words: the last part of its path, else the name of its function."""
    path = node.get("path")
    if not path:
        return name_of(node)
    paths = path if isinstance(path, list) else [path]
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{_short(str(paths[0]))}{more}"


def _short(path: str) -> str:
    """Return a Hub name unchanged, and the last part of a longer path."""
    parts = PurePath(path).parts
    return path if not parts or (len(parts) <= 2 and not path.startswith(("/", "~", "."))) else parts[-1]


def settings(node: Node) -> str:
    """Return a node's plain values as `name value, name value`."""
    plain = {key: value for key, value in node.items() if isinstance(value, int | float | str) and key != "_target_"}
    return ", ".join(f"{key} {_plain(value)}" for key, value in plain.items())


def _plain(value: float | str) -> str:
    """Return a value as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def with_settings(node: Node) -> str:
    """Return a component's name with its settings, if any, in parentheses."""
    values = settings(node)
    return f"{name_of(node)} ({values})" if values else name_of(node)


def with_alpha_in_words(config: Node, chosen: float | None) -> dict[str, Any]:
    """Return the configuration with the alpha that a rule has chosen, and the rule, in place of alpha=auto."""
    if chosen is None:
        return dict(config)
    return {**config, "metric": {**config["metric"], "alpha": f"{chosen:g} by {name_of(config['alpha_rule'])}"}}


def title(config: Node, *, with_loss: bool = True) -> str:
    """Return the run in one line: metric, loss (of a run that trains), data set, model."""
    metric = name_of(config["metric"])
    alpha = f" (alpha {config['metric']['alpha']})" if "alpha" in config["metric"] else ""
    loss = f" with {name_of(config['loss'])}" if with_loss else ""
    dataset, model = source_name(config["dataset"]), source_name(config["model"])
    return f"{metric}{alpha}{loss} on {dataset}" + (f", {model}" if model != dataset else "")


def training_words(trainer: Node, adapter: Node | None = None) -> str:
    """Return the adapter, if any, and the most important settings of the trainer in words."""
    forms = {
        "learning_rate": "learning rate {}",
        "global_batch": "{} pairs per optimizer step",
        "epochs": "{} epochs",
        "lr_scheduler": "{} schedule",
        "optimizer": "{}",
    }
    words = [form.format(trainer[name]) for name, form in forms.items() if name in trainer]
    words = ([with_settings(adapter)] if adapter else []) + words
    return ", ".join("1 epoch" if word in ("1 epochs", "1.0 epochs") else word for word in words)


def names(config: Node) -> dict[str, Any]:
    """Return what a run consists of, in words."""
    return {
        "dataset": source_name(config["dataset"]),
        "model": source_name(config["model"]),
        "metric": with_settings(config["metric"]),
        "keep": with_settings(config["keep"]),
        "loss": with_settings(config["loss"]),
        "training": training_words(config["trainer"], config.get("adapter")),
        "hyperparameters": config["hyperparameters"],
        "changes": _changes(config),
    }


def _changes(config: Node) -> str:
    """Return the settings of single iterations in words; "" if there are none."""
    changes = (config.get("pipeline") or {}).get("changes") or {}
    words = {number: ", ".join(f"{name}={value}" for name, value in own.items()) for number, own in changes.items()}
    return ", ".join(f"{number} ({each})" for number, each in words.items())
