"""How many tokens a model takes: the positions that its configuration states, and those that it has learned."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from apm_exp.core.types import Policy, Refusal, TokenisedPair

_NAMES = (  # of what configurations call it; the smallest counts
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_target_positions",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
    "context_length",
)
_WHOLE = "model_max_length"  # Command-R's, whose max_position_embeddings is less than it takes
_FOLLOWING = ("dynamic", "longrope", "su")  # kinds of rotary embeddings; su: an older name of longrope
_LEARNED = re.compile(r"(^|\.)(wpe|\w*position\w*|pos_emb\w*)$")


def context_length(model: Any) -> int | None:
    """The most tokens of a prompt and its response together; None for a model that states no limit.

    model: a transformers model, which may be without its weights. A sliding window is no limit, and rotary embeddings
    that are scaled count scaled (but see stated_length).
    """
    stated = stated_length(model.config)
    limits = [*_learned(model), *([] if stated is None else [stated])]
    return min(limits, default=None)


def context_of(policy: Policy) -> int | None:
    """As context_length, of the model in a policy's folder, of which no weight is read."""
    from apm_exp.models.preflight import empty_model

    return context_length(empty_model(policy, f"model.path={policy.folder}"))


def within_context(pair: TokenisedPair | Refusal, most: int | None) -> TokenisedPair | Refusal:
    """The pair, or a refusal if its prompt and its longer response together have more than `most` tokens."""
    if isinstance(pair, Refusal) or most is None:
        return pair
    tokens = len(pair.prompt_ids) + max(map(len, pair.responses))
    if tokens <= most:
        return pair
    remedy = f"tokens.max_length={most} truncates such pairs instead"
    return Refusal("longer than the model's context", f"{tokens} tokens; the model takes {most}; {remedy}")


def stated_length(config: Any) -> int | None:
    """The limit that a transformers configuration states, if any.

    Rotary embeddings whose frequencies follow the longest row of a batch (dynamic, longrope) count unscaled: beyond
    that length a response's log-probs would depend on what else is in its batch.
    """
    text = config.get_text_config(decoder=True)
    if unscaled := _unscaled(text):
        return unscaled
    if whole := _number(text, _WHOLE):
        return whole
    numbers = [number for name in _NAMES if (number := _number(text, name))]
    return max(min(numbers), _scaled(text)) if numbers else None


def _unscaled(text: Any) -> int | None:
    """The positions up to which rotary embeddings have one set of frequencies; None if they have no other."""
    found = []
    for rope in _ropes(text):
        kind = str(rope.get("rope_type", rope.get("type")))
        if kind in _FOLLOWING:
            stated = rope.get("original_max_position_embeddings") if kind != "dynamic" else None
            own = _number(text, "original_max_position_embeddings") if kind != "dynamic" else None
            found.append(stated or own or _number(text, "max_position_embeddings"))
    return min((int(length) for length in found if length), default=None)


def _ropes(text: Any) -> list[Mapping[str, Any]]:
    """The settings of the rotary embeddings: one, or one a kind of layer."""
    rope = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None)
    if not isinstance(rope, Mapping):
        return []
    return [rope, *(part for part in rope.values() if isinstance(part, Mapping))]


def _scaled(text: Any) -> int:
    """The positions that rotary embeddings are stretched to, 0 if they are not."""
    rope = next(iter(_ropes(text)), {})
    kind, factor = rope.get("rope_type", rope.get("type")), rope.get("factor") or 1
    if kind == "linear":
        return int((_number(text, "max_position_embeddings") or 0) * factor)
    return int((rope.get("original_max_position_embeddings") or 0) * factor) if kind == "yarn" else 0


def _learned(model: Any) -> Iterator[int]:
    """The rows of the tables of learned positions that a token can have, without those before the first position."""
    from torch import nn

    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and _LEARNED.search(name):
            before = 0 if module.padding_idx is None else module.padding_idx + 1
            yield module.num_embeddings - int(getattr(module, "offset", before))


def _number(config: Any, name: str) -> int | None:
    """A positive number of a configuration, which may raise anything for a name that it does not have."""
    try:
        value = getattr(config, name)
    except Exception:
        return None
    return int(value) if isinstance(value, int | float) and 0 < value < float("inf") else None
