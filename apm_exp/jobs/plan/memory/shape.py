"""The shape of a model, from its configuration alone: no weight is loaded, and without torch where it is built here."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.pipeline.resolve import builds_model

_BUILDERS = {"apm_exp.data.worlds.micro_world.policy.sft_policy", "apm_exp.models.tiny_from_data.tiny_from_data"}


@dataclass(frozen=True)
class Shape:
    """Numbers of elements. trainable: parameters that have gradients. largest: of one tensor. factored: rows and
    columns of all trainable matrices, and vectors, which is what Adafactor keeps. attended: width of the query, all
    heads together; shared: of the key. scored: whether attention scores are laid out (Gemma-2's soft-cap).
    """

    parameters: int
    trainable: int
    largest: int
    factored: int
    hidden: int
    layers: int
    heads: int
    attended: int
    shared: int
    intermediate: int
    vocabulary: int
    tied: bool
    scored: bool


def shape_of_node(node: Mapping[str, Any]) -> Shape | None:
    """The shape of a model that is built here, from its settings, with the largest vocabulary that it can learn.

    None for a builder of the user's own, of which nothing is known before it has built.
    """
    if node["_target_"] not in _BUILDERS:
        return None
    tiny = "vocabulary" in node
    vocabulary = int(node["vocabulary"]) if tiny else _micro_world_vocabulary()
    return llama(
        hidden=node["hidden"],
        layers=node["layers"],
        heads=node["heads"],
        intermediate=node["intermediate" if tiny else "feed_forward"],
        vocabulary=vocabulary,
        tied=True,
    )


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
    """The shape of a Llama without biases. key_heads: as many as heads where None."""
    shared = hidden // heads * (key_heads or heads)
    matrices = [(hidden, hidden)] * 2 + [(hidden, shared)] * 2 + [(hidden, intermediate)] * 3
    tables = [(vocabulary, hidden)] * (1 if tied else 2)
    norms = (2 * layers + 1) * hidden
    total = layers * sum(a * b for a, b in matrices) + sum(a * b for a, b in tables) + norms
    return Shape(
        parameters=total,
        trainable=total,
        largest=max(a * b for a, b in [*matrices, *tables]),
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


def _micro_world_vocabulary() -> int:
    from apm_exp.data.worlds.micro_world.instructions import VOCABULARY

    return len(VOCABULARY) + 5  # the tokenizer's own: padding, begin, end, answer, unknown


def shape_of(node: Mapping[str, Any]) -> Shape | None:
    """The shape of a model node's model; None where nothing is known of it. ValueError where it cannot be had."""
    if builds_model(node):
        return shape_of_node(node)
    return shape_of_folder(component.bind("model", node)(), bool(node["trust_remote_code"]))


@cache
def shape_of_folder(folder: Path, trust_remote_code: bool) -> Shape:
    """The shape of a folder's model, from its config.json."""
    model = empty_model(folder, trust_remote_code)
    return _shape_of_modules(model, model.config.get_text_config())


def empty_model(folder: Path, trust_remote_code: bool) -> Any:
    """The modules of a folder's model, without storage."""
    from transformers import AutoConfig

    trust = {"trust_remote_code": trust_remote_code}
    return _empty(AutoConfig.from_pretrained(folder, local_files_only=True, **trust), **trust)


def empty_llama(shape: Shape) -> Any:
    """The modules of a Llama of a shape, without storage."""
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
    return Shape(
        parameters=sum(weight.numel() for weight in weights),
        trainable=sum(weight.numel() for weight in trainable),
        largest=max(weight.numel() for weight in weights),
        factored=sum(sum(weight.shape) for weight in trainable),
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=heads,
        attended=heads * size,
        shared=(getattr(config, "num_key_value_heads", None) or heads) * size,
        intermediate=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
        vocabulary=embedding.weight.shape[0],
        tied=head is None or head.weight is embedding.weight,
        scored=bool(getattr(config, "attn_logit_softcapping", None)),
    )
