"""The truncation of SimPO's 2024 release: the longer response decides how both are truncated."""

from apm_exp.core.types import TokenizedPair
from apm_exp.models.tokens.pairs import how_cut


def cut(pair: TokenizedPair, max_length: int, max_prompt_length: int) -> TokenizedPair:
    """Return the pair truncated to max_length tokens as SimPO does; a pair that fits is unchanged."""
    longer = max(len(pair.chosen_ids), len(pair.rejected_ids))
    if len(pair.prompt_ids) + longer <= max_length:
        return pair
    prompt = pair.prompt_ids[-max_prompt_length:]
    if len(prompt) + longer <= max_length:
        parts = prompt, pair.chosen_ids, pair.rejected_ids
    else:
        kept = max_length - max_prompt_length
        parts = prompt, pair.chosen_ids[:kept], pair.rejected_ids[:kept]
    return TokenizedPair(*parts, *how_cut(pair, *parts))
