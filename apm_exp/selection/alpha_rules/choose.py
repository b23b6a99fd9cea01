"""alpha=auto: the number that stands for it, found by a rule from the training pairs alone."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from apm_exp.core import component
from apm_exp.core.types import PairScores
from apm_exp.selection.keep.ids import ids
from apm_exp.selection.margins import finite
from apm_exp.selection.metrics.rescale import population_std

AUTO = "auto"
FEWEST = 20  # pairs; from fewer, chance would choose
_DRAWN = 1000  # margins that a rule is asked about before there are any
Node = Mapping[str, Any]


def with_rule(metric: Node, alpha_rule: Node | None) -> dict[str, Any]:
    """The metric's node, with the rule's node in the place of alpha=auto: what a selection is identified by."""
    return {**metric, "alpha": alpha_rule} if metric.get("alpha") == AUTO else dict(metric)


def with_any_number(metric: Node) -> dict[str, Any]:
    """The metric's node, with 1 in the place of alpha=auto: to find out what it reads and returns."""
    return {**metric, "alpha": 1.0} if metric.get("alpha") == AUTO else dict(metric)


def with_chosen_number(metric: Node, scores: PairScores, keep: Node) -> dict[str, Any]:
    """The metric's node, with a number where a rule's node stands as its alpha.

    Three significant digits, so that typing the number that is shown gives the same ranking. Raises MissingRewards,
    and a one-line ValueError where the rule cannot choose.
    """
    if not isinstance(metric.get("alpha"), Mapping):
        return dict(metric)
    alpha = _chosen(metric["alpha"], scores, component.bind("keep", keep), rescale=metric.get("rescale", True))
    return {**metric, "alpha": float(f"{alpha:.3g}")}


def check_rule(metric: Node, alpha_rule: Node | None, keep: Node, pairs: int | None) -> None:
    """Raise ValueError if the rule cannot choose alpha=auto with this keep rule, asked about drawn margins.

    pairs: how many there are, if that is known.
    """
    if metric.get("alpha") != AUTO or not alpha_rule:
        return
    most = max(_DRAWN, 2 * keep.get("k", 0))
    count = min(pairs or most, most)
    draw = np.random.default_rng(0)
    scores = PairScores(np.arange(count).astype(str), draw.normal(size=count), draw.normal(size=count))
    by_name = component.locate("keep", keep) is ids
    _chosen(alpha_rule, scores, _every_other if by_name else component.bind("keep", keep), rescale=True)


def _every_other(value_P: np.ndarray, pair_id_P: Any) -> np.ndarray:
    """A choice that does not look at the values, as that of keep=ids."""
    return np.arange(value_P.size) % 2 == 0


def rule_name(alpha_rule: Node) -> str:
    """What a user calls the rule."""
    return str(alpha_rule["_target_"]).rpartition(".")[2]


def _chosen(alpha_rule: Node, scores: PairScores, rule: Callable[..., np.ndarray], *, rescale: bool) -> float:
    """The rule sees both margins in standard deviations of their sizes; its answer is put into the metric's unit."""
    pairs = len(scores.pair_id_P)
    if pairs < FEWEST:
        remedy = f"give a number, or at least {FEWEST} training pairs"
        raise ValueError(f"alpha=auto: {pairs} pairs are too few to choose it from; {remedy}")
    explicit_P = finite(scores.explicit_margin_P, scores.pair_id_P, "explicit")
    implicit_P = finite(scores.implicit_margin_P, scores.pair_id_P, "implicit")
    sigma_r, sigma_pi = _spread(explicit_P, "explicit"), _spread(implicit_P, "implicit")
    given = {
        "explicit_P": explicit_P / sigma_r,
        "implicit_P": implicit_P / sigma_pi,
        "keep": lambda value_P: rule(value_P, scores.pair_id_P),
    }
    wanted = component.positional_names(component.locate("alpha_rule", alpha_rule))
    alpha = float(component.bind("alpha_rule", alpha_rule)(**{name: given[name] for name in wanted}))
    if not 0 <= alpha < math.inf:
        problem = f"chose {alpha}; return a number of at least 0"
        raise ValueError(f"alpha_rule._target_={alpha_rule['_target_']}: {problem}")
    return alpha if rescale else alpha * sigma_r / sigma_pi


def _spread(margin_P: np.ndarray, name: str) -> float:
    sigma = population_std(np.abs(margin_P))
    if sigma == 0:
        other = {"explicit": "implicit", "implicit": "explicit"}[name]
        problem = f"all {margin_P.size} {name} margins have the same size, so that no alpha changes the order"
        raise ValueError(f"alpha=auto: {problem}; give a number, or take metric={other}")
    return sigma
