"""Reward source: follow-up likelihood (FLR), how likely a language model finds the user's reactions to a response."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from apm_exp.core import component
from apm_exp.core.component import UNHASHED
from apm_exp.data.rewards.conversation_ids import chat_tokenizer, named
from apm_exp.data.rewards.flr_follow_ups import (
    FollowUps,
    Rewards,
    check_follow_ups,
    chosen_dimensions,
    combined,
    texts_of,
)
from apm_exp.data.rewards.flr_turns import Layout
from apm_exp.data.rewards.hub_model import config_here as config_here
from apm_exp.data.rewards.hub_model import is_here as is_here
from apm_exp.data.rewards.hub_model import pin as pin
from apm_exp.data.rewards.sequence_scores import score_all
from apm_exp.models.pretrained import folder_of

_TOKENS_A_WORD = 1.3


def flr(
    responses: pa.Table,
    runtime: Mapping[str, Any],
    scored: Path,
    *,
    path: str,
    revision: str | None,
    dtype: Literal["float32", "bfloat16", "float16"],
    layout: Layout,
    dimensions: list[str] | None,
    follow_ups: FollowUps,
    compat: bool,
    batch_size: Annotated[int, Field(gt=0), UNHASHED],
    max_length: Annotated[int, Field(gt=0)],
    trust_remote_code: bool,
) -> Rewards:
    """Return the reward of each response (`all_rewards`) and its parts by dimension, in nats per token.

    A follow-up's value is the mean log-prob of its tokens as the user's next turn given the conversation. A dimension
    is the mean over its positive follow-ups minus that over its negative ones; the reward is the mean over dimensions.
    compat: instead the mean raw logit of its tokens, all at one position, as the authors' release computes it. Tokens
    of the turn's header and of its end are not counted. Conversations are rendered with the model's chat template; a
    row has no rewards (None) if the template fails for it. Conversations that have more tokens than max_length or the
    model's positions with their longest follow-up lose their beginning. These are counted in warnings. Equal
    conversations are scored once. scored: a folder for the values so far, from which a killed attempt resumes.

    Raises ValueError if the template fails for all rows or does not accept a follow-up, or if one conversation alone
    does not fit into memory.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from apm_exp.data.rewards.flr_conversations import ids_before
    from apm_exp.data.rewards.flr_scores import scoring
    from apm_exp.data.rewards.flr_tokens import follow_up_tokens
    from apm_exp.models.context import context_length
    from apm_exp.models.load import load_weights

    label, chosen = f"reward.path={path}", chosen_dimensions(dimensions, follow_ups)
    folder = folder_of("reward", path, revision, trust_remote_code)
    tokenizer = chat_tokenizer(folder, label, trust_remote_code)
    tokens = follow_up_tokens(tokenizer, layout, texts_of(chosen), label)
    arguments = {"dtype": getattr(torch, dtype), "trust_remote_code": trust_remote_code}
    model = load_weights(AutoModelForCausalLM, folder, label, **arguments)
    model = model.to(component.bind("runtime", runtime)().device)
    most = min(max_length, context_length(model) or max_length) - tokens.longest
    conversations, names = named(ids_before(tokenizer, layout, responses, label, tokens.merged, most))
    score = scoring(model, tokenizer, tokens, texts_of(chosen), compat=compat)
    return combined(names, score_all(score, conversations, batch_size, scored, label), chosen)


def check(*, dimensions: list[str] | None, follow_ups: FollowUps) -> None:
    """Raise ValueError for dimensions or follow-ups that cannot be used."""
    check_follow_ups(dimensions, follow_ups)


def continuations(*, dimensions: list[str] | None, follow_ups: FollowUps, compat: bool) -> list[int]:
    """Return about how many tokens are read of each follow-up, for plans."""
    texts = texts_of(chosen_dimensions(dimensions, follow_ups))
    return [1 if compat else round(_TOKENS_A_WORD * len(text.split())) for text in texts]


def preflight(
    *,
    path: str,
    revision: str | None,
    dtype: str,
    layout: Layout,
    dimensions: list[str] | None,
    follow_ups: FollowUps,
    max_length: int,
    trust_remote_code: bool,
) -> None:
    """Check the model's folder, and its chat template with the follow-ups, without loading its weights.

    Raises a one-line ValueError.
    """
    from apm_exp.data.rewards.flr_preflight import check_folder

    texts = texts_of(chosen_dimensions(dimensions, follow_ups))
    folder = folder_of("reward", path, revision, trust_remote_code)
    check_folder(folder, path, dtype, layout, texts, max_length, trust_remote_code=trust_remote_code)
