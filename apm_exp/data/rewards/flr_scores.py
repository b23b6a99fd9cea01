"""The likelihoods of follow-ups: each conversation is computed once for all of them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from apm_exp.data.rewards.flr_tokens import FollowUpTokens
from apm_exp.data.rewards.sequence_scores import Conversation, Score
from apm_exp.models.next_logits import next_logits
from apm_exp.models.pair_forward import responses_forward

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ids = Sequence[Sequence[int]]


def scoring(
    model: Any, tokenizer: "PreTrainedTokenizerBase", tokens: FollowUpTokens, texts: Sequence[str], *, compat: bool
) -> Score[list[float]]:
    """Return the function that computes the values of all follow-ups after each conversation of a batch.

    compat: the values of the authors' release.
    """
    values: Callable[[Ids], list[list[float]]] = partial(likelihoods, model, tokens.ids)
    if compat:
        targets = [tokenizer(text, verbose=False)["input_ids"] for text in texts]  # with what the tokenizer adds: BOS
        values = partial(released_logits, model, before_released(tokens, targets), targets)

    def score(batch: Sequence[Conversation]) -> list[list[float]]:
        return values([each.ids for each in batch])

    return score


def before_released(tokens: FollowUpTokens, targets: Ids) -> list[list[int]]:
    """Return the tokens between the conversation and the logits that the authors' release reads for each follow-up.

    It takes the last n positions of the rendered conversation, with n the follow-up's number of tokens including those
    that the tokenizer adds, and of these the first: with Llama-3 that is the position of the follow-up's first token.
    Raises ValueError if this position is not after the conversation.
    """
    before = []
    for ids, end, target in zip(tokens.ids, tokens.ends, targets, strict=True):
        read = len(ids) + len(end) - len(target) + 1
        if read < 0:
            problem = "the tokenizer adds more tokens to a text than the template writes after it"
            raise ValueError(f"reward.compat=true: {problem}; use reward.compat=false")
        before.append([*ids, *end][:read])
    return before


def likelihoods(model: Any, follow_ups: Ids, conversations: Ids) -> list[list[float]]:
    """Return the mean log-prob of each follow-up's tokens after each conversation, in nats per token."""
    with torch.inference_mode():
        logp_N, len_N = responses_forward(model, [(ids, follow_ups) for ids in conversations])
        return (logp_N / len_N).view(len(conversations), -1).tolist()


def released_logits(model: Any, before: Ids, targets: Ids, conversations: Ids) -> list[list[float]]:
    """Return the mean logit of each follow-up's `targets` after each conversation and the tokens `before`, of one
    position.
    """
    places = {ids: index for index, ids in enumerate(dict.fromkeys(map(tuple, before)))}
    values = []
    with torch.inference_mode():
        for logits_NV in next_logits(model, [(ids, list(places)) for ids in conversations]):
            rows = (logits_NV[places[tuple(ids)], own].mean() for ids, own in zip(before, targets, strict=True))
            values.append(torch.stack(list(rows)).tolist())
    return values
