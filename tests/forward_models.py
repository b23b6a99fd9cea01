"""Tiny random models of several families, and the plain log-probs that everything is compared with."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

VOCABULARY = 60
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def llama() -> nn.Module:
    return LlamaForCausalLM(LlamaConfig(**SHAPE))


def mistral() -> nn.Module:
    """A window shorter than the text."""
    return MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=6))


def gemma2() -> nn.Module:
    """Soft-caps that bite, and a window in every other layer."""
    config = Gemma2Config(
        **SHAPE,
        head_dim=8,
        sliding_window=6,
        query_pre_attn_scalar=8,
        final_logit_softcapping=0.5,
        attn_logit_softcapping=2.0,
        attn_implementation="eager",
    )
    return Gemma2ForCausalLM(config)


def gemma3() -> nn.Module:
    """Windows and, in the global layers, another rotary base."""
    return Gemma3ForCausalLM(Gemma3TextConfig(**SHAPE, head_dim=8, sliding_window=6))


def qwen2() -> nn.Module:
    """Biases in the attention; a window from the second layer on; the head tied to the embedding."""
    config = Qwen2Config(
        **SHAPE, use_sliding_window=True, sliding_window=5, max_window_layers=1, tie_word_embeddings=True
    )
    return Qwen2ForCausalLM(config)


def qwen3() -> nn.Module:
    return Qwen3ForCausalLM(Qwen3Config(**SHAPE, head_dim=8))


def phi3() -> nn.Module:
    """Fused projections."""
    return Phi3ForCausalLM(Phi3Config(**SHAPE, sliding_window=7))


def gpt2() -> nn.Module:
    """Learned positions."""
    return GPT2LMHeadModel(GPT2Config(vocab_size=60, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2))


FAMILIES: Sequence[Callable[[], nn.Module]] = (llama, mistral, gemma2, gemma3, qwen2, qwen3, phi3, gpt2)


def made(family: Callable[[], nn.Module]) -> nn.Module:
    """A model of the family with fixed random weights, without dropout."""
    torch.manual_seed(0)
    return family().eval()


def plain(model: nn.Module, prompt: Sequence[int], response: Sequence[int]) -> Tensor:
    """log_softmax of the full logits of one sequence, summed over the response."""
    ids = torch.tensor([[*prompt, *response]])
    logps = model(input_ids=ids).logits.log_softmax(-1)[0, :-1].gather(-1, ids[0, 1:, None])[:, 0]
    return logps[-len(response) :].sum()
