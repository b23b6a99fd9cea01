"""Floating-point operations of steps that put tokens through a model; docs/performance.md has the formulas."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from apm_exp.core.told import ask
from apm_exp.models.shape import Shape, shape_of_folder

MeanLengths = tuple[float, float, float]  # tokens of a mean pair's prompt, chosen and rejected response
ASSUMED: MeanLengths = (200, 400, 400)  # of a pair that nothing is known of: chats with one turn, as UltraFeedback's


@dataclass(frozen=True)
class Load:
    """What decides the operations of a run's steps.

    shape: of the run's model. pair: the mean lengths of its pairs. held_out: how many of them are not trained on, None
    if unknown.
    """

    shape: Shape
    pair: MeanLengths
    held_out: float | None = None


def forward_flops(shape: Shape, prompt: float, *responses: float) -> float:
    """Return the operations of one forward of a prompt, once, and of its responses after it."""
    return _products(shape, prompt + sum(responses)) + _attention(shape, prompt, *responses)


def training_flops(shape: Shape, pair: MeanLengths, *, checkpointing: bool, frozen: bool) -> float:
    """Return the operations of a forward and a backward of one pair.

    The backward has two products for each of the forward: the gradient of the input, and that of the weight unless it
    is frozen. Checkpointing makes the forward again. An adapter's own matrices, below 1%, are not counted.
    """
    again = 1 if checkpointing else 0
    return (3 - frozen + again) * _products(shape, sum(pair)) + (3 + again) * _attention(shape, *pair)


def _products(shape: Shape, tokens: float) -> float:
    """Multiply and add, of every parameter that a token meets: 2 operations."""
    return 2.0 * shape.active * tokens


def _attention(shape: Shape, prompt: float, *responses: float) -> float:
    """Scores and their sums: 4 operations for each element of a head and each earlier token that a token sees."""
    seen = prompt * prompt / 2 + sum(length * prompt + length * length / 2 for length in responses)
    return 4.0 * shape.attended * shape.layers * seen


def reward_shape(node: Mapping[str, Any]) -> Shape | None:
    """Return the shape of a reward source's model, without a vocabulary's head; None without one or its config.json."""
    folder = ask("reward", node, "config_here")
    if folder is None:
        return None
    shape = shape_of_folder(folder, bool(node.get("trust_remote_code")))
    head = shape.vocabulary * shape.hidden
    return replace(shape, active=shape.active - head, parameters=shape.parameters - (0 if shape.tied else head))
