"""Checks of a metric that run before there are pairs: what it reads, and whether its values are finite numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from apm_exp.core import component
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
