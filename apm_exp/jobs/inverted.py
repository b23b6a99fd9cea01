"""Pairs whose rejected response has the higher reward: a few are noise, most of them are swapped columns."""

import logging
from collections.abc import Mapping
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.pipeline.nodes import has_policy
from apm_exp.pipeline.step import Step

logger = logging.getLogger(__name__)
MANY, MOST = 0.05, 0.5  # shares of the pairs that have rewards


def inverted_labels(*, allow_inverted: bool = False) -> None:
    """Declare reward.allow_inverted, which lets a run continue if most of its labels are inverted."""


def is_mixed(step: Step, steps: Mapping[str, Step]) -> bool:
    """Return whether a step has the rewards of a mixture's source, which may contradict the labels."""
    return any(step in other.inputs.get("sources", {}).values() for other in steps.values() if other.kind == "rewards")


def refuse_inverted(config: Mapping[str, Any], made: Artifact) -> None:
    """Raise ValueError if most pairs contradict their rewards and reward.allow_inverted is false.

    If many do, a warning is logged when they are counted. A pipeline that trains nothing may have any. made: of any
    step.
    """
    if not has_policy(config):
        return  # whether the rewards agree with the labels is what such a run measures
    share = inverted_share(made)
    words = f"in {made.counts.get('inverted', 0):,} pairs ({share:.0%} of those with rewards) the rejected response has"
    if share > MOST and not config["reward"].get("allow_inverted", False):
        remedy = "exchange chosen and rejected, or take other rewards; reward.allow_inverted=true continues"
        raise ValueError(f"reward.allow_inverted=false: {words} the higher reward; {remedy}")
    if share > MANY and not made.reused:
        logger.warning("%s the higher reward: the rewards or the labels of these pairs are noisy", words)


def inverted_share(made: Artifact) -> float:
    """Return which share of the pairs with rewards is inverted, from an artifact; 0 of one without such a count."""
    counts = made.counts
    rewarded = counts.get("pairs", 0) - counts.get("unrewarded", 0)
    return counts["inverted"] / rewarded if rewarded and "inverted" in counts else 0.0
