"""How many tokens a response may have at most."""

from collections.abc import Mapping
from typing import Any

MOST = 2048


def most_new_tokens(setting: int | None, positions: int | None = None) -> int:
    """Return the setting; for None 2,048, or half of the tokens that the model takes if that is less.

    positions: the tokens that the model takes, None if it states no limit, or if that is not known.
    """
    if setting is not None:
        return setting
    return MOST if positions is None else max(1, min(MOST, positions // 2))


def most_of(generate: Mapping[str, Any]) -> int | None:
    """Return the most tokens of a response of a sampler's node; None if it has no such setting."""
    return most_new_tokens(generate["max_new_tokens"]) if "max_new_tokens" in generate else None
