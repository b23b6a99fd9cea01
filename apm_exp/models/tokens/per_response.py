"""Tokens, default profile: the prompt is cut from the left, each answer to its own budget."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from apm_exp.core.types import Message, Refusal, TokenisedPair, Tools
from apm_exp.models.tokens.control import ControlTokens
from apm_exp.models.tokens.pairs import how_cut, tokenise_pairs
from apm_exp.models.tokens.sampled import Sampled, sampled_or

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def per_response(
    tokenizer: "PreTrainedTokenizerBase",
    prompts: list[list[Message]],
    chosen: list[list[Message]],
    rejected: list[list[Message]],
    tools: Sequence[Tools | None] | None = None,
    sampled: Sampled | None = None,
    *,
    max_length: Annotated[int, Field(gt=0)],
    max_prompt_length: Annotated[int, Field(gt=0)],
    control_tokens: ControlTokens = "refuse",
) -> list[TokenisedPair | Refusal]:
    """The tokens of each pair (see tokens/pairs.py), or why it is refused. Lengths in tokens.

    sampled: the tokens that a pair's prompt and responses were sampled with, which then are its tokens; None: rendered.
    A prompt keeps its last max_prompt_length tokens; where it starts with a BOS, that BOS is one of them, so a cut
    prompt still has one. Each answer keeps its first `max_length - prompt` tokens, whatever the other one's length;
    an answer that is cut loses its end token: the model is not to learn to stop there. control_tokens: whether a
    message that spells out a control token is refused, or the token read as text. Refused besides what
    tokenise_pairs refuses: a pair whose answers are left without budget, or have the same tokens once they are cut
    (its margins say nothing).
    """
    offered = tools or [None] * len(prompts)
    texts = {"prompts": prompts, "chosen": chosen, "rejected": rejected, "tools": offered}
    pairs = sampled_or(partial(tokenise_pairs, tokenizer, control_tokens), texts, sampled)
    limits = (tokenizer.bos_token_id, max_length, max_prompt_length)
    return [pair if isinstance(pair, Refusal) else _cut(pair, *limits) for pair in pairs]


def _cut(pair: TokenisedPair, bos: int | None, max_length: int, max_prompt_length: int) -> TokenisedPair | Refusal:
    prompt = _last(pair.prompt_ids, max_prompt_length, bos)
    budget = max_length - len(prompt)
    if budget <= 0:
        detail = (
            f"the prompt fills {len(prompt)} of tokens.max_length={max_length} tokens; lower tokens.max_prompt_length"
        )
        return Refusal("answer left without budget", detail)
    chosen, rejected = pair.chosen_ids[:budget], pair.rejected_ids[:budget]
    if chosen == rejected:
        return Refusal("answers have the same tokens", f"within the {budget} tokens that the prompt leaves")
    return TokenisedPair(prompt, chosen, rejected, *how_cut(pair, prompt, chosen, rejected))


def _last(ids: list[int], count: int, bos: int | None) -> list[int]:
    if len(ids) <= count:
        return ids
    kept = ids[len(ids) - count :]
    return [bos, *kept[1:]] if bos is not None and ids[0] == bos else kept
