"""The maximum number of tokens of a response."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from apm_exp.core.types import Message
from apm_exp.models.tokens.probe import check_room

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MOST = 2048


def most_new_tokens(setting: int | None, positions: int | None = None) -> int:
    """Return the setting, or for None the smaller of 2,048 and half of the model's positions.

    positions: the maximum number of tokens of the model; None if it states no limit, or if it is not known.
    """
    if setting is not None:
        return setting
    return MOST if positions is None else max(1, min(MOST, positions // 2))


def most_of(generate: Mapping[str, Any]) -> int | None:
    """Return the maximum number of tokens per response of a sampler's node; None if it has no such setting."""
    return most_new_tokens(generate["max_new_tokens"]) if "max_new_tokens" in generate else None


def check_policy(
    place: str,
    tokenizer: "PreTrainedTokenizerBase",
    positions: int | None,
    shortest: Sequence[Message],
    *,
    max_new_tokens: int | None,
) -> None:
    """Raise ValueError if the shortest prompt and max_new_tokens do not fit into the model's positions."""
    check_room(f"{place}.max_new_tokens", most_new_tokens(max_new_tokens, positions), tokenizer, positions, shortest)
