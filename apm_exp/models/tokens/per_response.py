"""The default token profile: prompts are truncated on the left, each response to its own budget."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from apm_exp.core.types import Message, Refusal, TokenizedPair, Tools
from apm_exp.models.tokens.control import ControlTokens
from apm_exp.models.tokens.pairs import how_cut, tokenize_pairs
from apm_exp.models.tokens.sampled import Sampled, sampled_or

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NO_BUDGET = "response left without budget"


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
) -> list[TokenizedPair | Refusal]:
    """Return the tokens of each pair (see tokens/pairs.py), or why it is refused. Lengths are in tokens.

    sampled: the tokens with which a pair's prompt and responses were sampled, which are then used; None: render the
    texts. A prompt keeps its last max_prompt_length tokens; a BOS at its start is kept as one of them. Each response
    keeps its first `max_length - prompt` tokens, independent of the other one's length. A truncated response loses its
    end token, so that the model does not learn to stop there. control_tokens: "refuse" a message that contains a
    control token, or read it as "text". Refused besides what tokenize_pairs refuses: a pair without budget for the
    responses, or whose responses are equal after truncation (its margins would be meaningless).
    """
    offered = tools or [None] * len(prompts)
    texts = {"prompts": prompts, "chosen": chosen, "rejected": rejected, "tools": offered}
    pairs = sampled_or(partial(tokenize_pairs, tokenizer, control_tokens, most=max_length), texts, sampled)
    limits = (tokenizer.bos_token_id, max_length, max_prompt_length)
    return [pair if isinstance(pair, Refusal) else _cut(pair, *limits) for pair in pairs]


def _cut(pair: TokenizedPair, bos: int | None, max_length: int, max_prompt_length: int) -> TokenizedPair | Refusal:
    prompt = _last(pair.prompt_ids, max_prompt_length, bos)
    budget = max_length - len(prompt)
    if budget <= 0:
        detail = (
            f"the prompt fills {len(prompt)} of tokens.max_length={max_length} tokens; lower tokens.max_prompt_length"
        )
        return Refusal(NO_BUDGET, detail)
    chosen, rejected = pair.chosen_ids[:budget], pair.rejected_ids[:budget]
    if chosen == rejected:
        return Refusal("responses have the same tokens", f"within the {budget} tokens that the prompt leaves")
    return TokenizedPair(prompt, chosen, rejected, *how_cut(pair, prompt, chosen, rejected))


def _last(ids: list[int], count: int, bos: int | None) -> list[int]:
    if len(ids) <= count:
        return ids
    kept = ids[len(ids) - count :]
    return [bos, *kept[1:]] if bos is not None and ids[0] == bos else kept
