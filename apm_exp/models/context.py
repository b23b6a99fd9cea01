"""The context length of a model: positions stated in its configuration, and sizes of learned position embeddings."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from apm_exp.core.types import Policy, Refusal, TokenizedPair

_NAMES = (  # names used by different configurations; the smallest value applies
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_target_positions",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
    "context_length",
)
_WHOLE = "model_max_length"  # used by Command-R, whose max_position_embeddings is smaller than its context length
_FOLLOWING = ("dynamic", "longrope", "su")  # types of rotary embeddings; su is an older name of longrope
_LEARNED = re.compile(r"(^|\.)(wpe|\w*position\w*|pos_emb\w*)$")


def context_length(model: Any) -> int | None:
    """Return the maximum number of tokens of a prompt and its response together, or None without a stated limit.

    model: a transformers model, possibly without weights. A sliding window is not a limit. Scaled rotary embeddings
    count with their scaled length (but see stated_length).
    """
    stated = stated_length(model.config)
    limits = [*_learned(model), *([] if stated is None else [stated])]
    return min(limits, default=None)


def context_of(policy: Policy) -> int | None:
    """Return context_length of the model in a policy's folder without reading its weights."""
    from apm_exp.models.preflight import empty_model

    return context_length(empty_model(policy, f"model.path={policy.folder}"))


def within_context(pair: TokenizedPair | Refusal, most: int | None) -> TokenizedPair | Refusal:
    """Return the pair, or a refusal if its prompt and its longer response together have more than `most` tokens."""
    if isinstance(pair, Refusal) or most is None:
        return pair
    tokens = len(pair.prompt_ids) + max(map(len, pair.responses))
    if tokens <= most:
        return pair
    remedy = f"tokens.max_length={most} truncates such pairs instead"
    return Refusal("longer than the model's context", f"{tokens} tokens; the model's limit is {most}; {remedy}")


def stated_length(config: Any) -> int | None:
    """Return the limit in a transformers configuration, if any.

    Rotary embeddings whose frequencies depend on the longest row of a batch (dynamic, longrope) count with their
    unscaled length: beyond it, a response's log-probs would depend on the other rows of its batch.
    """
    text = config.get_text_config(decoder=True)
    if unscaled := _unscaled(text):
        return unscaled
    if whole := _number(text, _WHOLE):
        return whole
    numbers = [number for name in _NAMES if (number := _number(text, name))]
    return max(min(numbers), _scaled(text)) if numbers else None


def _unscaled(text: Any) -> int | None:
    """Return the length up to which rotary embeddings have fixed frequencies, or None if they always have."""
    lengths = []
    for rope in _ropes(text):
        kind = str(rope.get("rope_type", rope.get("type")))
        if kind in _FOLLOWING:
            stated = rope.get("original_max_position_embeddings") if kind != "dynamic" else None
            own = _number(text, "original_max_position_embeddings") if kind != "dynamic" else None
            lengths.append(stated or own or _number(text, "max_position_embeddings"))
    return min((int(length) for length in lengths if length), default=None)


def _ropes(text: Any) -> list[Mapping[str, Any]]:
    """Return the settings of the rotary embeddings: one mapping, or one per type of layer."""
    rope = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None)
    if not isinstance(rope, Mapping):
        return []
    return [rope, *(part for part in rope.values() if isinstance(part, Mapping))]


def _scaled(text: Any) -> int:
    """Return the length to which rotary embeddings are scaled, 0 if they are not."""
    rope = next(iter(_ropes(text)), {})
    kind, factor = rope.get("rope_type", rope.get("type")), rope.get("factor") or 1
    if kind == "linear":
        return int((_number(text, "max_position_embeddings") or 0) * factor)
    return int((rope.get("original_max_position_embeddings") or 0) * factor) if kind == "yarn" else 0


def _learned(model: Any) -> Iterator[int]:
    """Yield the number of usable rows of each learned position embedding, without an offset for padding."""
    from torch import nn

    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and _LEARNED.search(name):
            before = 0 if module.padding_idx is None else module.padding_idx + 1
            yield module.num_embeddings - int(getattr(module, "offset", before))


def _number(config: Any, name: str) -> int | None:
    """Return a positive number of a configuration, or None. The configuration may raise anything for a missing name."""
    try:
        value = getattr(config, name)
    except Exception:
        return None
    return int(value) if isinstance(value, int | float) and 0 < value < float("inf") else None
