"""The names under which W&B knows settings and results; docs/tracking.md lists them, and panels rely on them."""

from collections.abc import Iterable, Mapping
from typing import Any

SAMPLE = "selection_sample"  # the table of pairs
_CHOICES = ("dataset", "model", "reward", "tokens", "metric", "keep", "loss", "trainer", "adapter")
_GROUPS = (*_CHOICES, "generate", "evals", "runtime", "deepspeed", "experiment")
_SHORT = {name: name.partition(".")[2] for name in ("loss.beta", "loss.gamma_beta_ratio", "trainer.learning_rate")}


def top_name(setting: str) -> str:
    """Where a setting stands at the top of a run's configuration: `metric` as metric_name, `loss.beta` as beta,
    `keep.fraction` as keep_fraction, alpha as alpha.
    """
    return f"{setting}_name" if setting in _GROUPS else _SHORT.get(setting, setting.replace(".", "_"))


def settings_at_top(config: Mapping[str, Any], choices: Mapping[str, str], swept: Iterable[str]) -> dict[str, Any]:
    """What stands at the top of a W&B run's configuration, beside the nodes, as numbers and names that can be plotted.

    The names of the choices; alpha, null where the metric has none, whatever the setting says; beta and
    gamma_beta_ratio, null where the loss has none; learning_rate; and every swept setting.
    """
    top = {top_name(group): choices[group] for group in (*_CHOICES, *swept) if group in choices}
    for setting in (*swept, *_SHORT):
        value = _value(config, setting)
        if setting not in choices and not isinstance(value, Mapping):
            top[top_name(setting)] = value
    return top | {"alpha": config["metric"].get("alpha")}


def _value(config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted setting, None where there is none."""
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def score_summary(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """A run's summary of its scores: `<score>`, and with _low, _high (its interval), _standard_error and _n.

    With _prompts too where they are fewer than n.
    """
    summary: dict[str, float] = {}
    for name, score in scores.items():
        low, high = score["interval"]
        summary |= {name: score["value"], f"{name}_low": low, f"{name}_high": high}
        summary |= {f"{name}_standard_error": score["standard_error"], f"{name}_n": score["n"]}
        summary |= {f"{name}_prompts": score["prompts"]} if "prompts" in score else {}
    return summary
