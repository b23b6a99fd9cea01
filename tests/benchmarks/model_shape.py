"""The randomly initialized Llamas that the benchmarks run, and modules of their own on the same weights."""

import copy
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

SMALL = {  # 8/3 of 512 is 1,365; Llama rounds up to a multiple, here of 128
    "hidden_size": 512,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "intermediate_size": 1408,
    "vocab_size": 32000,
    "tie_word_embeddings": False,
}
SMOLLM2_135M = {
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}
LLAMA_1B = {  # Llama-3.2-1B
    "hidden_size": 2048,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 8192,
    "vocab_size": 128256,
    "tie_word_embeddings": True,
}
LLAMA3_8B = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
}
SHAPES = {"small": SMALL, "smollm2_135m": SMOLLM2_135M, "llama_1b": LLAMA_1B, "llama3_8b": LLAMA3_8B}


def random_llama(shape: dict[str, Any], dtype: torch.dtype, device: str) -> LlamaForCausalLM:
    """A Llama of this shape with Llama's own random initialization (seed 0), in eval mode, with SDPA attention.

    The weights are drawn in float32, so that those of another dtype are the same ones, rounded.
    """
    config = LlamaConfig(**shape, max_position_embeddings=8192, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    torch.manual_seed(0)
    with torch.device(device):
        model = LlamaForCausalLM._from_config(config, dtype=torch.float32, attn_implementation="sdpa").eval()
    model.config.dtype = dtype
    for parameter in model.parameters():  # not model.to(dtype): the rotary frequencies stay in float32
        parameter.data = parameter.data.to(dtype)
    return model


def same_weights(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """Modules of their own around the very same parameters: what one method does to a forward, no other one sees."""
    return copy.deepcopy(model, {id(parameter): parameter for parameter in model.parameters()})
