"""The shape of a model, from its configuration alone: no weight is loaded."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")  # as configurations name their number


@dataclass(frozen=True)
class Shape:
    """Numbers of elements. trainable: parameters that have gradients. largest: of one tensor. factored: rows and
    columns of all trainable matrices, and vectors, which is what Adafactor keeps. active: parameters that multiply a
    token: the head, but not the embedding's rows, which are looked up; of experts those that a token visits. attended:
    width of the query, all heads together; shared: of the key. scored: whether attention scores are laid out (Gemma-2's
    soft-cap).
    """

    parameters: int
    trainable: int
    largest: int
    factored: int
    active: int
    hidden: int
    layers: int
    heads: int
    attended: int
    shared: int
    intermediate: int
    vocabulary: int
    tied: bool
    scored: bool


def llama(
    *,
    hidden: int,
    layers: int,
    heads: int,
    intermediate: int,
    vocabulary: int,
    tied: bool,
    key_heads: int | None = None,
) -> Shape:
    """Return the shape of a Llama without biases. key_heads: equal to heads if None."""
    shared = hidden // heads * (key_heads or heads)
    matrices = [(hidden, hidden)] * 2 + [(hidden, shared)] * 2 + [(hidden, intermediate)] * 3
    tables = [(vocabulary, hidden)] * (1 if tied else 2)
    norms = (2 * layers + 1) * hidden
    total = layers * sum(a * b for a, b in matrices) + sum(a * b for a, b in tables) + norms
    return Shape(
        parameters=total,
        trainable=total,
        largest=max(a * b for a, b in [*matrices, *tables]),
        active=total - (0 if tied else vocabulary * hidden),
        factored=layers * sum(a + b for a, b in matrices) + sum(a + b for a, b in tables) + norms,
        hidden=hidden,
        layers=layers,
        heads=heads,
        attended=hidden,
        shared=shared,
        intermediate=intermediate,
        vocabulary=vocabulary,
        tied=tied,
        scored=False,
    )


@cache
def shape_of_folder(folder: Path, trust_remote_code: bool) -> Shape:
    """Return the shape of a folder's model, from its config.json."""
    model = empty_model(folder, trust_remote_code)
    return _shape_of_modules(model, model.config.get_text_config())


@cache
def shape_of_backbone(folder: Path, trust_remote_code: bool) -> Shape:
    """Return the shape of a folder's model without a head, from its config.json: of a decoder or an encoder."""
    import torch
    from transformers import AutoConfig, AutoModel

    from apm_exp.models.quiet import quiet

    trust = {"trust_remote_code": trust_remote_code}
    config = AutoConfig.from_pretrained(folder, local_files_only=True, **trust)
    with quiet(), torch.device("meta"):
        model = AutoModel.from_config(config, dtype=torch.float32, **trust)
    shape = _shape_of_modules(model, config.get_text_config())
    return replace(shape, active=shape.active - shape.vocabulary * shape.hidden)  # a table that is only looked up


def empty_model(folder: Path, trust_remote_code: bool) -> Any:
    """Return the modules of a folder's model, without storage."""
    from transformers import AutoConfig

    trust = {"trust_remote_code": trust_remote_code}
    return _empty(AutoConfig.from_pretrained(folder, local_files_only=True, **trust), **trust)


def empty_llama(shape: Shape) -> Any:
    """Return the modules of a Llama of a shape, without storage."""
    from transformers import LlamaConfig

    return _empty(
        LlamaConfig(
            hidden_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.shared * shape.heads // shape.attended,
            intermediate_size=shape.intermediate,
            vocab_size=shape.vocabulary,
            tie_word_embeddings=shape.tied,
        )
    )


def _empty(config: Any, **trust: bool) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    from apm_exp.models.quiet import quiet

    with quiet(), torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32, **trust)


def _shape_of_modules(model: Any, config: Any) -> Shape:
    weights = list(model.parameters())  # tied ones once
    trainable = [weight for weight in weights if weight.requires_grad]
    heads = getattr(config, "num_attention_heads", None) or 1
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    tied = head is None or head.weight is embedding.weight
    return Shape(
        parameters=sum(weight.numel() for weight in weights),
        trainable=sum(weight.numel() for weight in trainable),
        largest=max(weight.numel() for weight in weights),
        factored=sum(sum(weight.shape) for weight in trainable),
        active=_active(model, config) - (0 if tied else embedding.weight.numel()),
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=heads,
        attended=heads * size,
        shared=(getattr(config, "num_key_value_heads", None) or heads) * size,
        intermediate=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
        vocabulary=embedding.weight.shape[0],
        tied=tied,
        scored=bool(getattr(config, "attn_logit_softcapping", None)),
    )


def _active(model: Any, config: Any) -> int:
    """Parameters without the experts that a token does not visit."""
    experts = next((n for name in _EXPERTS if isinstance(n := getattr(config, name, None), int) and n > 0), 1)
    visited = getattr(config, "num_experts_per_tok", None) or experts
    routed = sum(weight.numel() for name, weight in model.named_parameters() if ".experts." in name)
    return int(sum(weight.numel() for weight in model.parameters()) - routed * (1 - min(1, visited / experts)))
