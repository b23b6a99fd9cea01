"""The names of settings and results in W&B; docs/tracking.md lists them, and panels depend on them."""

from collections.abc import Iterable, Mapping
from typing import Any

TRAIN, EVAL, SELECTION = "train/", "eval/", "selection/"  # as the runs of TRL's trainers have the first two
SWEEP = "sweep/"  # of a sweep's own run
SAMPLE = f"{SELECTION}sample"  # the table of pairs
_OTHER = ("task", "clean", "run", "export", "rebuild", "baseline", "tracking", "compare")  # not of what a run computes
_CHOICES = ("dataset", "model", "reward", "tokens", "metric", "keep", "loss", "trainer", "adapter")
_GROUPS = (*_CHOICES, "generate", "evals", "runtime", "deepspeed", "experiment")
_SHORT = {name: name.partition(".")[2] for name in ("loss.beta", "loss.gamma_beta_ratio", "trainer.learning_rate")}


def top_name(setting: str) -> str:
    """Return the name of a setting at the top of a W&B run's configuration.

    Examples: `metric` is metric_name, `loss.beta` is beta, `keep.fraction` is keep_fraction, alpha is alpha.
    """
    return f"{setting}_name" if setting in _GROUPS else _SHORT.get(setting, setting.replace(".", "_"))


def settings_at_top(config: Mapping[str, Any], choices: Mapping[str, str], swept: Iterable[str]) -> dict[str, Any]:
    """Return the top level of a W&B run's configuration, besides the nodes: numbers and names that can be plotted.

    These are the names of the choices; the metric's alpha; the loss's beta and gamma_beta_ratio; learning_rate; and
    every swept setting. A setting that the metric or the loss does not have is null.
    """
    top = {top_name(group): choices[group] for group in (*_CHOICES, *swept) if group in choices}
    for setting in (*swept, *_SHORT):
        value = _value(config, setting)
        if setting not in choices and not isinstance(value, Mapping):
            top[top_name(setting)] = value
    return top | {"alpha": config["metric"].get("alpha")}


def _value(config: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted setting, or None if it does not exist."""
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def own_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without the settings of other tasks, of the page and of the tracking itself."""
    return {name: value for name, value in config.items() if name not in _OTHER}


def run_name(swept: Mapping[str, str], folder: str) -> str:
    """Return a short name: what is swept, each without its group, or what the folder of the run says of its settings.

    A folder's name is <day>-<time>-<settings>-<id>.
    """
    parts = [f"{setting.rpartition('.')[2]}={value}" for setting, value in swept.items()]
    return " ".join(parts) or "-".join(folder.split("-")[2:-1]) or folder


def train_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of metrics.jsonl as it is logged: `train/<column>`, with `train/global_step` for its step."""
    return {f"{TRAIN}{'global_step' if name == 'step' else name}": value for name, value in row.items()}


def score_summary(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, float | str]:
    """Return a run's summary of its scores: `eval/<score>`, with _low, _high (its interval), _standard_error and _n.

    _prompts is added if there are fewer prompts than items, and _of, what is scored, if the score says it.
    """
    summary: dict[str, float | str] = {}
    for name, score in ((f"{EVAL}{name}", score) for name, score in scores.items()):
        low, high = score["interval"]
        summary |= {name: score["value"], f"{name}_low": low, f"{name}_high": high}
        summary |= {f"{name}_standard_error": score["standard_error"], f"{name}_n": score["n"]}
        summary |= {f"{name}_{each}": score[each] for each in ("prompts", "of") if each in score}
    return summary
