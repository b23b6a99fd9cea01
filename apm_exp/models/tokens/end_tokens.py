"""The tokens at which a policy stops generating."""

from typing import TYPE_CHECKING

from apm_exp.models.tokens.turn_end import turn_end

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def end_tokens(tokenizer: "PreTrainedTokenizerBase", own: int | list[int] | None) -> list[int]:
    """Return the ids that end a response: the template's end token, the tokenizer's, and the policy's own.

    own: eos_token_id of the policy's generation configuration. Raises ValueError as turn_end.
    """
    ends = {turn_end(tokenizer).token_id, tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])}
    return sorted(ends - {None})
