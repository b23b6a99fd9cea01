"""The tokens that ArmoRM's gate reads: the end of the turn before a response, and the response's header."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from apm_exp.models.tokens.render import token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GATE = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"


def gate_ids(tokenizer: "PreTrainedTokenizerBase", label: str) -> list[int]:
    """Return the tokens of the header of a response, after the end of the turn before it.

    Raises ValueError for a tokenizer that does not have the tokens of Llama 3's chat template.
    """
    marks = ("<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")
    if lacking := [mark for mark in marks if mark not in tokenizer.get_vocab()]:
        remedy = "use ArmoRM's own tokenizer"
        raise ValueError(f"{label}: its tokenizer has no {', '.join(lacking)}, which ArmoRM's gate reads; {remedy}")
    return token_ids(tokenizer, [GATE])[0]


def needed(gate: Sequence[int], label: str, ids: Sequence[int]) -> int:
    """Return how many of a conversation's tokens the gate needs: those up to the end of the last response's header."""
    from apm_exp.models.armorm import gate_place

    place = gate_place(ids, gate)
    if place is None:
        problem = f"its chat template does not write {GATE!r} before a response, which ArmoRM's gate reads"
        raise ValueError(f"{label}: {problem}; use ArmoRM's own tokenizer")
    return place + len(gate)
