"""The configuration of the small Llamas that are built here."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import LlamaConfig, PreTrainedTokenizerBase


def llama_config(
    tokenizer: "PreTrainedTokenizerBase", *, hidden: int, layers: int, heads: int, intermediate: int, positions: int
) -> "LlamaConfig":
    """Return a float32 Llama with as many key heads as heads and tied embeddings, for the tokens of a tokenizer."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        intermediate_size=intermediate,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
