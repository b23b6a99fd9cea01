"""A check of whether a model has room for any pair or response, with the shortest prompt and one-letter responses.

No pair has fewer tokens, so if this one is refused for its length, all are.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from apm_exp.core import component
from apm_exp.core.types import Message, Refusal
from apm_exp.models.tokens.pairs import prompt_text
from apm_exp.models.tokens.per_response import NO_BUDGET
from apm_exp.models.tokens.render import token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LETTER = [Message(role="user", content="a")]
_RESPONSES = [[Message(role="assistant", content=letter)] for letter in ("b", "c")]


def check_tokens(
    tokens: Mapping[str, Any],
    tokenizer: "PreTrainedTokenizerBase",
    positions: int | None,
    shortest: Sequence[Message],
    label: str,
) -> int:
    """Return the number of tokens of the shortest pair, with its prompt once; 0 if the profile refuses it for another
    reason.

    Raises ValueError for a profile that would refuse every pair, or does not fit the tokenizer. positions: the model's
    context length, None without a stated limit. shortest: a shortest prompt. label: how errors name the model.
    """
    profile = component.bind("tokens", tokens)
    also = {name: [None] for name in ("tools", "sampled") if name in component.positional_names(profile.func)}
    (pair,) = profile(tokenizer, [list(shortest)], *([response] for response in _RESPONSES), **also)
    if isinstance(pair, Refusal):
        if pair.reason == NO_BUDGET:  # refusals for other reasons may be due to the letters
            limits = " ".join(f"tokens.{name}={value}" for name, value in tokens.items() if name.startswith("max_"))
            raise ValueError(f"{limits}: would refuse every pair, as of the shortest one {pair.detail}")
        return 0
    prompt, *responses = map(len, (pair.prompt_ids, *pair.responses))
    count = prompt + max(responses)
    if positions is not None and count > positions:
        problem = f"the model takes {positions} tokens, and the shortest pair has {count}"
        raise ValueError(f"{label}: {problem}; take a model with more positions")
    return prompt + sum(responses)


def check_room(
    setting: str,
    max_new_tokens: int,
    tokenizer: "PreTrainedTokenizerBase",
    positions: int | None,
    prompt: Sequence[Message],
) -> None:
    """Raise ValueError if a model's context length is not sufficient for a prompt and this many new tokens.

    setting: the setting with the number of new tokens.
    """
    text = prompt_text(tokenizer, list(prompt), None)
    if positions is None or isinstance(text, Refusal):
        return
    count = len(token_ids(tokenizer, [text])[0])
    if count + max_new_tokens > positions:
        problem = f"with a prompt of {count} tokens, more than the {positions} that the model takes"
        raise ValueError(f"{setting}={max_new_tokens}: {problem}; give at most {max(positions - count, 0)}")
