"""Tiny random models of every architecture that transformers knows as a causal language model and can build small."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from apm_exp.models.pair_forward import responses_forward
from apm_exp.models.quiet import quiet

VOCABULARY = 97
TYPES = sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
_LAYERS = dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 3)
_HEADS = dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4)
_WIDTH = dict.fromkeys(("hidden_size", "n_embd", "d_model", "embedding_size"), 32)
_INNER = dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "decoder_ffn_dim", "encoder_ffn_dim"), 48)
_CODERS = {"decoder_layers": 2, "encoder_layers": 2, "decoder_attention_heads": 4, "encoder_attention_heads": 4}
_EXPERTS = {
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **{"moe_intermediate_size": 24, "shared_expert_intermediate_size": 24, "num_experts_per_tok": 2},
    **{"n_group": 1, "topk_group": 1, "first_k_dense_replace": 1},
}
_RANKS = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}
SMALL: dict[str, Any] = {
    **_LAYERS,
    **_HEADS,
    **_WIDTH,
    **_INNER,
    **_CODERS,
    **_EXPERTS,
    **_RANKS,
    **{"vocab_size": VOCABULARY, "num_key_value_heads": 2, "head_dim": 8, "rotary_dim": 8},
    **{"vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 0},
    **{"max_position_embeddings": 128, "n_positions": 128, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}
_OTHERWISE: tuple[dict[str, Any], ...] = (  # None: the architecture's own
    {},
    {"num_key_value_heads": 4},
    {"head_dim": None},
    {"num_hidden_layers": 4, "head_dim": None},
    {"num_hidden_layers": 4},
    {"num_hidden_layers": 8},
    {"num_key_value_heads": 4, "num_hidden_layers": 8},
)
_ONLY: dict[str, dict[str, Any]] = {  # what some types have, which others of the same names do not take
    "xlstm": {"hidden_size": 128, "num_heads": 4, "num_hidden_layers": 2},
    "mamba2": {**_WIDTH, "num_hidden_layers": 2, "num_heads": 8, "head_dim": 8, "n_groups": 1, "state_size": 8},
    "xlnet": {"d_model": 32, "n_layer": 3, "n_head": 4, "d_inner": 48},
    "prophetnet": {"hidden_size": 32, "num_decoder_layers": 2, "num_decoder_attention_heads": 4, "is_decoder": True},
    "bamba": {**_WIDTH, **_HEADS, **_INNER, "num_hidden_layers": 4, "mamba_n_heads": 8, "mamba_d_head": 8},
}


def tiny(model_type: str, scale: float = 5.0) -> Any:
    """A model of that type with fixed random weights, in evaluation mode; `scale` makes its log-probs differ.

    Raises what the last attempt to build one raised.
    """
    problem: Exception = ValueError(f"{model_type}: no small configuration")
    for config in _configurations(model_type):
        try:
            with quiet():
                return _built(config, scale)
        except Exception as error:
            problem = error
    raise problem


def _built(config: Any, scale: float) -> Any:
    with torch.device("meta"):
        size = sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())
    if size > 6e6:
        raise ValueError(f"{config.model_type}: {size:,} parameters at the smallest")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(scale)
        model(input_ids=torch.tensor([[5, 6, 7, 8, 9]]))
    return model


@dataclass(frozen=True)
class Compared:
    """difference: the largest from the plain forward, nats a token, in the form `shared` or `padded`; or a refusal."""

    form: str = ""
    difference: float = 0.0
    refusal: str = ""


def compared(model: Any) -> Compared:
    """Score some responses and compare them with the plain forward of one at a time."""
    lengths = ((7, (5, 9)), (3, (1, 4)), (20, (6, 30)), (60, (30, 8)))
    draw = random.Random(0)
    prompts = [(_ids(draw, prompt), [_ids(draw, one) for one in responses]) for prompt, responses in lengths]
    with torch.inference_mode():
        plain_N = torch.stack([_plain(model, prompt, one) for prompt, responses in prompts for one in responses])
        try:
            found_N, length_N = responses_forward(model, prompts)
        except ValueError as error:
            return Compared(refusal=str(error))
    difference = ((found_N - plain_N).abs() / length_N).max().item()
    return Compared("shared" if model.shares_prompts else "padded", difference)


def _ids(draw: random.Random, count: int) -> list[int]:
    return [draw.randrange(5, VOCABULARY) for _ in range(count)]


def _plain(model: Any, prompt: list[int], response: list[int]) -> Tensor:
    ids = torch.tensor([[*prompt, *response]])
    logps = model(input_ids=ids).logits.float().log_softmax(-1)[0, :-1].gather(-1, ids[0, 1:, None])[:, 0]
    return logps[-len(response) :].sum()


def _configurations(model_type: str) -> Iterator[Any]:
    kind = CONFIG_MAPPING[model_type]
    if model_type in _ONLY:
        yield kind(**_ONLY[model_type] | {"vocab_size": VOCABULARY})
        return
    for changes in _OTHERWISE:
        wanted = {name: value for name, value in (SMALL | changes).items() if value is not None}
        own = kind()
        try:
            config = kind(**{name: value for name, value in wanted.items() if _has(own, name)})
        except Exception:
            config = own
            _set(config, wanted)
        for part in getattr(kind, "sub_configs", {}):
            _set(getattr(config, part, None), wanted)
        yield config


def _has(config: Any, name: str) -> bool:
    try:
        return hasattr(config, name)
    except Exception:
        return False


def _set(config: Any, wanted: dict[str, Any]) -> None:
    """Change what a configuration has and lets change."""
    for name, value in wanted.items():
        try:
            if getattr(config, name) is not None:
                setattr(config, name, value)
        except Exception:  # a name that this one does not have, or that is derived
            continue
