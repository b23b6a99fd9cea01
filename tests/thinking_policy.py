"""A random policy with Qwen3's template, which adds an empty thinking section to responses without one.

It writes bytes that are no text, control tokens, and sometimes its end token.
"""

from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from apm_exp.core.types import Policy
from tests.models.tokens.chat_tokenizers import chatml

THINKING = (Path(find_spec("trl").origin).parent / "chat_templates" / "qwen3.jinja").read_text()  # type: ignore


def thinking_policy(folder: Path) -> Policy:
    """Write the policy into a folder."""
    tokenizer = chatml()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    with torch.no_grad():  # a part that all states share makes two control tokens likelier
        model.model.embed_tokens.weight += 0.1
        for token, weight in (("<|im_start|>", 0.05), ("<|im_end|>", 0.07)):
            model.lm_head.weight[tokenizer.convert_tokens_to_ids(token)] = weight
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(THINKING)
    return Policy(folder, "thinking", "float32", "auto", False)
