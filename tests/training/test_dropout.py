"""A model that is trained computes what was scored: without noise of any kind."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from apm_exp.models.quiet import quiet
from apm_exp.training.dropout import zero_noise
from apm_exp.training.load_model import model_for_training
from tests.architectures import tiny
from tests.models.tiny_folder import policy

NOISE = {  # as configurations name it
    "bloom": ("hidden_dropout", "attention_dropout"),
    "falcon": ("hidden_dropout", "attention_dropout"),
    "gpt2": ("resid_pdrop", "embd_pdrop", "attn_pdrop"),
    "gpt_neox": ("attention_dropout", "hidden_dropout"),
    "mixtral": ("attention_dropout", "router_jitter_noise"),
    "opt": ("dropout", "attention_dropout", "layerdrop"),
    "starcoder2": ("attention_dropout", "residual_dropout", "embedding_dropout"),
}


@pytest.mark.parametrize("model_type", NOISE)
def test_two_forwards_of_a_model_for_training_are_those_of_the_scored_one(model_type: str, tmp_path: Path) -> None:
    with quiet():
        tiny(model_type).save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | dict.fromkeys(NOISE[model_type], 0.3)))
    ids = torch.tensor([[5, 6, 7, 8, 9, 3, 4, 9, 8, 7]])
    with quiet(), torch.no_grad():
        noisy = AutoModelForCausalLM.from_pretrained(tmp_path)
        scored, drawn = noisy.eval()(input_ids=ids).logits, noisy.train()(input_ids=ids).logits
        settings = {"deepspeed": False, "gradient_checkpointing": False, "compiled": False, "adapter": None, "seed": 0}
        model = model_for_training(policy(tmp_path), "cpu", **settings).train()
        torch.testing.assert_close(model(input_ids=ids).logits, scored)
    assert (drawn - scored).abs().max() > 0.01  # it does draw
    assert all(getattr(model.config, name) == 0 for name in NOISE[model_type])


def test_what_is_no_probability_stays() -> None:
    config = LlamaConfig(attention_dropout=0.5, drop_tokens=True, dropped_layers=[1], token_drop="none")
    config.attention = {"attn_pdrop": 0.25, "window": 7}
    zero_noise(config)
    assert (config.attention_dropout, config.attention) == (0.0, {"attn_pdrop": 0.0, "window": 7})
    assert (config.drop_tokens, config.dropped_layers, config.token_drop) == (True, [1], "none")
