"""Checks of a metric that run before there are pairs: what it reads, and whether its values are finite numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from apm_exp.core import component
from apm_exp.core.told import told
from apm_exp.core.types import MissingRewards, PairScores
from apm_exp.selection.alpha_rules.choose import with_any_number

_LARGE_MARGIN = 100.0  # larger than in practice, in reward units and in nats per token


def needs_rewards(metric: Mapping[str, Any]) -> bool:
    """Return whether a metric needs explicit margins, found by calling it on two pairs without them."""
    probe = PairScores(np.array(["a", "b"]), None, np.array([0.5, -1.0]))
    try:
        component.bind("metric", with_any_number(metric))(probe)
    except MissingRewards:
        return True
    return False


def may_be_negative(metric: Mapping[str, Any]) -> bool:
    """Return whether a metric has negative values, found by calling it on pairs with small and large margins."""
    margins = np.array([(explicit, implicit) for explicit in (-2.0, 0.1, 2.0) for implicit in (-2.0, 0.1, 2.0)])
    probe = PairScores(np.array(list("abcdefghi")), margins[:, 0], margins[:, 1])
    values = component.bind("metric", with_any_number(metric))(probe)["value"]
    return bool((np.asarray(values, float) < 0).any())


def check_weights(keep: Mapping[str, Any], metric: Mapping[str, Any]) -> None:
    """Raise ValueError if a keep rule uses the values as weights, and the metric has negative ones."""
    if told("keep", keep, "WEIGHTS") and may_be_negative(metric):
        name, rule = component.name_of(metric), component.name_of(keep)
        problem = f"its values can be negative, and keep={rule} draws in proportion to them"
        raise ValueError(f"metric={name}: {problem}; use metric=explicit, or keep=top_k")


def check_metric(metric: Mapping[str, Any]) -> None:
    """Raise ValueError if a metric returns no values, or a value that is not finite for typical margins."""
    pairs = PairScores(np.array(["a", "b"]), np.array([1.0, _LARGE_MARGIN]), np.array([0.5, -_LARGE_MARGIN]))
    with np.errstate(over="ignore", invalid="ignore"):
        values = component.bind("metric", with_any_number(metric))(pairs)
    if "value" not in values:
        raise ValueError(f"metric._target_={metric['_target_']}: returns no column 'value'; return one")
    if not np.isfinite(np.asarray(values["value"], float)).all():
        setting = "alpha={alpha}" if "alpha" in metric else "metric._target_={_target_}"
        problem = f"the value of a pair with margins of {_LARGE_MARGIN:g} is not finite; set a smaller number"
        raise ValueError(f"{setting.format(**metric)}: {problem}")
