"""The last line on the screen: the first score of the first evaluation."""

from collections.abc import Mapping
from typing import Any

Scores = Mapping[str, Mapping[str, Any]]


def headline(evaluations: Mapping[str, Scores], nodes: Mapping[str, Mapping[str, Any]]) -> str:
    """The first score in words: its value, its interval with the level that the evaluation's node gives, its n.

    evaluations: scores.json by name of the evaluation, in order. nodes: `evals`.
    """
    first = next(((name, scores) for name, scores in evaluations.items() if scores), None)
    if first is None:
        return "done (no evaluation)"
    evaluation, scores = first
    name, score = next(iter(scores.items()))
    (low, high), level = score["interval"], nodes[evaluation].get("confidence")
    interval = f"{100 * level:g}% interval" if level else "interval"
    return f"{name.replace('_', ' ')} {score['value']:.3f} ({interval} {low:.3f} to {high:.3f}, n {score['n']})"
