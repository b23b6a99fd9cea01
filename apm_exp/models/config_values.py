"""Validation of the numbers in a config.json before a library computes with them."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub.errors import StrictDataclassError

from apm_exp.core.errors import library_error

# the contents of these sections are checked too
_TEXT = re.compile(r"(^|_)(text|llm|language|decoder)(_config)?$|^rope_(parameters|scaling)$")
_MOST_POSITIONS = 2**31 - 1
_LARGEST = 3.4e38  # the largest float32, as frequencies are computed in float32
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
_NO_PADDING = -1  # the pad_token_id of the first Llama folders
_ENDLESS = re.compile("^time_step")  # Mamba-2's limits are 0 and infinity


class _Rule(NamedTuple):
    """A rule for some settings.

    names: pattern of their names. right: whether a number is valid, given the largest dimension of the weights. must:
    the same in words.
    """

    names: re.Pattern[str]
    right: Callable[[float, float], bool]
    must: str


def _whole(value: float) -> bool:
    return isinstance(value, int) or value.is_integer()


_SIZES = (
    r"(hidden_size|intermediate_size|vocab_size|head_dim|pretraining_tp|n_embd|n_inner|n_head|d_model|ffn_dim"
    r"|num_attention_heads|num_key_value_heads|num_heads|n_heads|num_kv_heads)"
)
_POSITIONS = r"((original_)?max_position_embeddings|n_positions|n_ctx|max_seq_len|max_sequence_length|seq_length)"
_RULES = (
    _Rule(
        re.compile(_SIZES),
        lambda value, largest: _whole(value) and 1 <= value <= largest,
        "must be a whole number from 1 to {largest}, the largest dimension of the weights",
    ),
    _Rule(
        re.compile(r"num_(local_)?experts|n_routed_experts|moe_num_experts"),
        lambda value, largest: _whole(value) and 0 <= value <= largest,
        "must be a whole number from 0 to {largest}, the largest dimension of the weights",
    ),
    _Rule(
        re.compile(_POSITIONS),
        lambda value, _: _whole(value) and 1 <= value <= _MOST_POSITIONS,
        f"must be a whole number from 1 to {_MOST_POSITIONS}",
    ),
    _Rule(
        re.compile(
            r"(\w+_)?rope_theta|rotary_emb_base|rope_local_base_freq|factor|logits_scaling|query_pre_attn_scalar"
        ),
        lambda value, _: 0 < value <= _LARGEST,
        f"must be more than 0, and at most {_LARGEST:g}",
    ),
    _Rule(
        re.compile(r"(final|attn)_logit_softcapping"),
        lambda value, _: 0 < value <= _LARGEST,
        "must be more than 0, or null for none",
    ),
    _Rule(re.compile(r"(\w+_)?(eps|epsilon)"), lambda value, _: 0 <= value < 1, "must be from 0 to less than 1"),
    _Rule(
        re.compile(r"\w*(dropout|pdrop)|partial_rotary_factor|rotary_pct"),
        lambda value, _: 0 <= value <= 1,
        "must be from 0 to 1",
    ),
)
# the others may be words or null: n_inner=null, scale="inv_sqrt"
_NUMBER_NEEDED = re.compile(f"{_SIZES}|{_POSITIONS}|rope_theta")


def check_values(config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], label: str) -> None:
    """Raise ValueError for an invalid size, position, frequency, special token id or similar number.

    config: the content of config.json. shapes: of the weights, whose largest dimension is the limit of all sizes. A
    value that is missing or null is left to transformers.
    """
    largest = max((size for shape in shapes.values() for size in shape), default=_MOST_POSITIONS)
    for name, problem in _problems(config, largest, config.get("vocab_size")):
        raise ValueError(f"{label}: config.json: {name}: {problem}; fix it, or download config.json again")


def _problems(config: Mapping[str, Any], largest: int, vocabulary: Any) -> Iterator[tuple[str, str]]:
    """Yield `NAME=VALUE` and what is wrong with it."""
    for name, value in config.items():
        for number in value if isinstance(value, list) else [value]:
            if problem := _problem(name, number, largest):
                yield f"{name}={_shown(number)}", problem
    inside = {name: part for name, part in config.items() if isinstance(part, Mapping)}
    texts = {name: part for name, part in inside.items() if _TEXT.search(name) or "rope_theta" in part}
    for name, part in texts.items():
        for field, problem in _problems(part, largest, part.get("vocab_size", vocabulary)):
            yield f"{name}.{field}", problem
        vocabulary = vocabulary or part.get("vocab_size")
    yield from _wrong_ids(config, vocabulary)
    yield from _wrong_groups(config)


def _problem(name: str, value: Any, largest: int) -> str | None:
    rule = next((rule for rule in _RULES if rule.names.fullmatch(name)), None)
    if value is None or isinstance(value, Mapping | list):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return rule.must.format(largest=largest) if rule and _NUMBER_NEEDED.fullmatch(name) else None
    if isinstance(value, float) and not math.isfinite(value) and not _ENDLESS.match(name):
        return rule.must.format(largest=largest) if rule else "must be a finite number"
    return None if rule is None or rule.right(value, largest) else rule.must.format(largest=largest)


def _wrong_ids(config: Mapping[str, Any], vocabulary: Any) -> Iterator[tuple[str, str]]:
    """Yield special tokens without a row in the embedding; null, and -1 for no padding, are valid."""
    if not isinstance(vocabulary, int):
        return
    for name in _IDS:
        value = config.get(name)
        for number in value if isinstance(value, list) else [value]:
            is_none = number is None or (name == "pad_token_id" and number == _NO_PADDING)
            if not is_none and not (type(number) is int and 0 <= number < vocabulary):
                yield (
                    f"{name}={_shown(value)}",
                    f"must be token ids from 0 to {vocabulary - 1} (vocab_size={vocabulary})",
                )


def _wrong_groups(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    heads, groups = config.get("num_attention_heads"), config.get("num_key_value_heads")
    if isinstance(heads, int) and isinstance(groups, int) and heads % groups:
        yield f"num_key_value_heads={groups}", f"must divide num_attention_heads={heads}"


def library_problem(error: Exception, folder: Path) -> str:
    """Return why transformers cannot build the folder's model, with the setting of its config.json if the error names
    one.
    """
    text = library_error(error)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return text
    if isinstance(error, KeyError) and (name := next(_named(config, error.args[0]), None)):
        return f"config.json: {name}={_shown(error.args[0])}: not a value that transformers knows"
    if isinstance(error, StrictDataclassError):
        field = re.search(r"for field '(\w+)': (.*)", text)
        found = field and field[1] in config
        return f"config.json: {field[1]}={_shown(config[field[1]])}: {field[2]}" if found else f"config.json: {text}"  # type: ignore[index]
    return text


def _named(config: Mapping[str, Any], value: Any) -> Iterator[str]:
    """Yield the settings that have this value, at any depth."""
    for name, own in config.items():
        if isinstance(own, Mapping):
            yield from (f"{name}.{inner}" for inner in _named(own, value))
        elif own == value:
            yield name


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
