"""Resolution of alpha=auto: a rule chooses the number from the training pairs alone."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from apm_exp.core import component
from apm_exp.core.told import ask
from apm_exp.core.types import PairScores
from apm_exp.selection.keep.preflight import goes_by_ids
from apm_exp.selection.margins import finite
from apm_exp.selection.metrics.rescale import population_std

AUTO = "auto"
FEWEST = 20  # minimum number of pairs; with fewer, chance would decide
_DRAWN = 1000  # number of random margins with which a rule is checked before the real ones exist
Node = Mapping[str, Any]


def with_rule(metric: Node, alpha_rule: Node | None) -> dict[str, Any]:
    """Return the metric's node with the rule's node in place of alpha=auto; it is part of the selection's cache key."""
    return {**metric, "alpha": alpha_rule} if metric.get("alpha") == AUTO else dict(metric)


def with_any_number(metric: Node) -> dict[str, Any]:
    """Return the metric's node with 1 in place of alpha=auto, to find out what the metric reads and returns."""
    return {**metric, "alpha": 1.0} if metric.get("alpha") == AUTO else dict(metric)


def with_chosen_number(metric: Node, scores: PairScores, keep: Node) -> dict[str, Any]:
    """Return the metric's node with a number in place of a rule's node as alpha.

    The number has three significant digits, so that typing the displayed number gives the same ranking. Raises
    MissingRewards, and a one-line ValueError if the rule cannot choose.
    """
    if not isinstance(metric.get("alpha"), Mapping):
        return dict(metric)
    alpha = _chosen(metric["alpha"], scores, component.bind("keep", keep), rescale=metric.get("rescale", True))
    return {**metric, "alpha": float(f"{alpha:.3g}")}


def check_rule(metric: Node, alpha_rule: Node | None, keep: Node, pairs: int | None) -> None:
    """Raise ValueError if the rule cannot choose alpha=auto with this keep rule, tested on random margins.

    pairs: the number of pairs, if it is known.
    """
    if metric.get("alpha") != AUTO or not alpha_rule:
        return
    most = max(_DRAWN, 2 * (ask("keep", keep, "fewest_pairs") or 0))
    count = min(pairs or most, most)
    draw = np.random.default_rng(0)
    scores = PairScores(np.arange(count).astype(str), draw.normal(size=count), draw.normal(size=count))
    rule = _every_other if goes_by_ids(keep) else component.bind("keep", keep)
    _chosen(alpha_rule, scores, rule, rescale=True)


def _every_other(value_P: np.ndarray, pair_id_P: Any) -> np.ndarray:
    """Return a selection that does not depend on the values, as keep=ids makes."""
    return np.arange(value_P.size) % 2 == 0


def rule_name(alpha_rule: Node) -> str:
    """Return the rule's name, as in alpha_rule=NAME."""
    return component.name_of(alpha_rule)


def _chosen(alpha_rule: Node, scores: PairScores, rule: Callable[..., np.ndarray], *, rescale: bool) -> float:
    """Return the alpha that the rule chooses, in the metric's unit.

    The rule receives both margins divided by the standard deviations of their absolute values.
    """
    pairs = len(scores.pair_id_P)
    if pairs < FEWEST:
        remedy = f"give a number, or at least {FEWEST} training pairs"
        raise ValueError(f"alpha=auto: {pairs} pairs are too few to choose it from; {remedy}")
    explicit_P = finite(scores.explicit_margin_P, scores.pair_id_P, "explicit")
    implicit_P = finite(scores.implicit_margin_P, scores.pair_id_P, "implicit")
    sigma_r, sigma_pi = _spread(explicit_P, "explicit"), _spread(implicit_P, "implicit")
    arguments = {
        "explicit_P": explicit_P / sigma_r,
        "implicit_P": implicit_P / sigma_pi,
        "keep": lambda value_P: rule(value_P, scores.pair_id_P),
    }
    wanted = component.positional_names(component.locate("alpha_rule", alpha_rule))
    alpha = float(component.bind("alpha_rule", alpha_rule)(**{name: arguments[name] for name in wanted}))
    if not 0 <= alpha < math.inf:
        problem = f"chose {alpha}; return a number of at least 0"
        raise ValueError(f"alpha_rule._target_={alpha_rule['_target_']}: {problem}")
    return alpha if rescale else alpha * sigma_r / sigma_pi


def _spread(margin_P: np.ndarray, name: str) -> float:
    sigma = population_std(np.abs(margin_P))
    if sigma == 0:
        other = {"explicit": "implicit", "implicit": "explicit"}[name]
        problem = f"all {margin_P.size} {name} margins have the same size, so alpha does not change the order"
        raise ValueError(f"alpha=auto: {problem}; give a number, or set metric={other}")
    return sigma
