"""A small random Llama with its own tokenizer, made from the text of the pairs."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pyarrow as pa
from pydantic import Field

from apm_exp.core.messages import text_of
from apm_exp.models.small_llama import llama_config

if TYPE_CHECKING:
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

_BOS, _END, _PAD = "<|begin|>", "<|end|>", "<|pad|>"
_ROLES = ("system", "user", "assistant")
_CONTROL = [_BOS, _END, _PAD, *(f"<|{role}|>" for role in _ROLES)]
_TEMPLATE = (  # control tokens surround every turn, so that text of different turns is never merged
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('no such role: ' + message['role']) }}{% endif %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def check(*, hidden: int, heads: int) -> None:
    """Raise ValueError if the head size is odd, as rotary embeddings need an even one."""
    if hidden % (2 * heads):
        raise ValueError(f"model.hidden={hidden}: not a multiple of 2 * model.heads={heads}; change one of them")


def tiny_from_data(
    out: Path,
    pairs: pa.Table,
    *,
    vocabulary: Annotated[int, Field(ge=256 + len(_CONTROL))],
    hidden: Annotated[int, Field(gt=0)],
    layers: Annotated[int, Field(gt=0)],
    heads: Annotated[int, Field(gt=0)],
    intermediate: Annotated[int, Field(gt=0)],
    positions: Annotated[int, Field(gt=0)],
    seed: Annotated[int, Field(ge=0, lt=2**32)],
) -> None:
    """Write an ordinary Hugging Face folder to `out`: the same bytes for the same pairs and settings.

    pairs: those to train on. The tokenizer is trained on their prompts and responses; as it is byte-level, it encodes
    any text. The weights are random (Llama's initialization, tied
    embeddings, float32). Raises ValueError if hidden is not a multiple of 2 * heads.
    """
    from apm_exp.models.quiet import quiet

    check(hidden=hidden, heads=heads)
    tokenizer = train_tokenizer(_texts(pairs), vocabulary)
    shape = {"hidden": hidden, "layers": layers, "heads": heads, "intermediate": intermediate, "positions": positions}
    config = llama_config(tokenizer, **shape)
    with quiet():
        _random_llama(config, seed).save_pretrained(out)
        tokenizer.save_pretrained(out)


def tokenizer(*, vocabulary: int) -> "PreTrainedTokenizerFast":
    """Return a tokenizer with the template, the control tokens and the bytes of the one that will be trained."""
    return train_tokenizer(iter(()), vocabulary)


def context(*, positions: int) -> int:
    """Return how many tokens the model will take."""
    return positions


def train_tokenizer(texts: Iterator[str], vocabulary: int) -> "PreTrainedTokenizerFast":
    """Train a byte-level BPE tokenizer of at most `vocabulary` tokens with a chat template for three roles."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=_CONTROL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=_BOS, eos_token=_END, pad_token=_PAD, clean_up_tokenization_spaces=False
    )
    tokenizer.add_special_tokens({"additional_special_tokens": _CONTROL[3:]})
    tokenizer.chat_template = _TEMPLATE
    return tokenizer


def _texts(pairs: pa.Table) -> Iterator[str]:
    for prompt, responses in zip(pairs["prompt"].to_pylist(), pairs["responses"].to_pylist(), strict=True):
        yield from map(text_of, prompt)
        yield from responses


def _random_llama(config: "LlamaConfig", seed: int) -> "LlamaForCausalLM":
    import torch
    from transformers import LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).float()
