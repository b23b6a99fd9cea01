"""The floating-point operations of steps that run a model; docs/performance.md has the formulas."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from apm_exp.core.told import ask, told
from apm_exp.models.shape import Shape, shape_of_folder

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

    It has no head of a language model, unless the source reads continuations of the responses with it.
    """
    folder = ask("reward", node, "config_here")
    if folder is None:
        return None
    shape = shape_of_folder(folder, bool(node.get("trust_remote_code")))
    if told("reward", node, "continuations") is not None:
        return shape
    head = shape.vocabulary * shape.hidden
    return replace(shape, active=shape.active - head, parameters=shape.parameters - (0 if shape.tied else head))


def reward_flops(node: Mapping[str, Any], shape: Shape, prompt: float, response: float) -> float:
    """Return the operations of rewarding one response: a forward of it with its prompt, and with the continuations that
    the source reads after it, for which alone the head computes logits.
    """
    after = ask("reward", node, "continuations")
    if after is None:
        return forward_flops(shape, prompt, response)
    unused_head = 2.0 * shape.vocabulary * shape.hidden * (prompt + response)
    return forward_flops(shape, prompt + response, *after) - unused_head
