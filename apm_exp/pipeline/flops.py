"""The floating-point operations of steps that run a model; docs/performance.md has the formulas."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apm_exp.core.told import ask, told
from apm_exp.models.shape import Shape, shape_of_backbone, shape_of_folder

MeanLengths = tuple[float, float, float]  # mean tokens of a pair's prompt, chosen and rejected response
ASSUMED: MeanLengths = (200, 400, 400)  # if nothing is known of the pairs: chats of one turn, as in UltraFeedback


@dataclass(frozen=True)
class Load:
    """The quantities that determine the operations of a run's steps.

    shape: of the run's model. pair: the mean lengths of its pairs. held_out: how many of them are held out, None if
    unknown.
    """

    shape: Shape
    pair: MeanLengths
    held_out: float | None = None


def forward_flops(shape: Shape, prompt: float, *responses: float) -> float:
    """Return the operations of one forward of a prompt and its responses, with the prompt computed once."""
    return _products(shape, prompt + sum(responses)) + _attention(shape, prompt, *responses)


def training_flops(shape: Shape, pair: MeanLengths, *, checkpointing: bool, frozen: bool) -> float:
    """Return the operations of a forward and a backward of one pair.

    The backward has two products for each product of the forward: the gradient of the input, and that of the weight
    unless it is frozen. Checkpointing repeats the forward. An adapter's own matrices, below 1%, are not counted.
    """
    again = 1 if checkpointing else 0
    return (3 - frozen + again) * _products(shape, sum(pair)) + (3 + again) * _attention(shape, *pair)


def _products(shape: Shape, tokens: float) -> float:
    """Return the operations of the products with weights: 2 for each active parameter and token."""
    return 2.0 * shape.active * tokens


def _attention(shape: Shape, prompt: float, *responses: float) -> float:
    """Return the operations of attention: 4 for each element of the heads and each pair of tokens that attend."""
    seen = prompt * prompt / 2 + sum(length * prompt + length * length / 2 for length in responses)
    return 4.0 * shape.attended * shape.layers * seen


def reward_shape(node: Mapping[str, Any]) -> Shape | None:
    """Return the shape of a reward source's model; None without a config.json.

    It has no head of a language model, unless the source is one (LANGUAGE_MODEL, continuations).
    """
    folder = ask("reward", node, "config_here")
    if folder is None:
        return None
    with_head = any(told("reward", node, name) is not None for name in ("LANGUAGE_MODEL", "continuations"))
    shape_of = shape_of_folder if with_head else shape_of_backbone
    return shape_of(folder, bool(node.get("trust_remote_code")))


def reward_flops(node: Mapping[str, Any], shape: Shape, prompt: float, response: float, count: float) -> float:
    """Return the operations of rewarding the responses of one prompt, `count` of mean length `response`.

    It is one forward with the prompt computed once, unless the source's module says otherwise: `forwards`, or
    `continuations`, which follow each response and for which alone the head computes logits.
    """
    if (told_forwards := ask("reward", node, "forwards", prompt, response, count)) is not None:
        times, lengths = told_forwards
        return float(times * forward_flops(shape, *lengths))
    if (after := ask("reward", node, "continuations")) is not None:
        unused_head = 2.0 * shape.vocabulary * shape.hidden * (prompt + response)
        return count * (forward_flops(shape, prompt + response, *after) - unused_head)
    return forward_flops(shape, prompt, *[response] * max(1, round(count)))
