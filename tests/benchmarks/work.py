"""How much arithmetic the log-probs of pairs need at least: the numerator of a share of the matrix peak."""

from collections.abc import Sequence
from typing import Any

from apm_exp.core.types import TokenizedPair


def forward_flops(shape: dict[str, Any], pairs: Sequence[TokenizedPair]) -> int:
    """Multiplications and additions of one forward of a Llama over pairs whose prompts are computed once.

    Three terms, two operations for each multiply-add: every weight of the layers for every token; the output head
    for every response token; and causal attention (query times key, weight times value) for every pair of a query and
    a key that it may see. Norms, rotary embeddings, activations, softmax and the embedding look-up count nothing.
    """
    tokens = sum(pair.length for pair in pairs)
    response_tokens = sum(len(pair.chosen_ids) + len(pair.rejected_ids) for pair in pairs)
    layers = shape["num_hidden_layers"] * layer_weights(shape) * tokens
    head = shape["hidden_size"] * shape["vocab_size"] * response_tokens
    attention = 2 * shape["num_hidden_layers"] * shape["hidden_size"] * sum(map(visible_keys, pairs))
    return 2 * (layers + head + attention)


def step_flops(shape: dict[str, Any], pairs: Sequence[TokenizedPair]) -> int:
    """Forward and backward: three forwards, as the backward pass multiplies twice for each multiplication.

    What a method computes again (the head's logits, checkpointed layers) is not counted: it is no one's need.
    """
    return 3 * forward_flops(shape, pairs)


def layer_weights(shape: dict[str, Any]) -> int:
    """The weights in one layer's matrices: query and output, key and value, and the three of the MLP."""
    hidden = shape["hidden_size"]
    key_values = hidden // shape["num_attention_heads"] * shape["num_key_value_heads"]
    return 2 * hidden * hidden + 2 * hidden * key_values + 3 * hidden * shape["intermediate_size"]


def visible_keys(pair: TokenizedPair) -> int:
    """Pairs of a query and a key: the prompt's to itself, each answer's to the prompt and to itself, all causal."""
    prompt = len(pair.prompt_ids)
    answers = (len(pair.chosen_ids), len(pair.rejected_ids))
    return _triangle(prompt) + sum(answer * prompt + _triangle(answer) for answer in answers)


def _triangle(length: int) -> int:
    return length * (length + 1) // 2
