"""Scores of sequences that begin alike, against each sequence alone through transformers' own classifier."""

from copy import deepcopy

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    Qwen3Config,
)

from apm_exp.models import classifier_scores as module
from apm_exp.models.classifier_scores import classifier_scores

COMMON = {"vocab_size": 50, "num_labels": 1, "pad_token_id": 0}
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
GROUPED = {**SIZES, "num_key_value_heads": 2, "head_dim": 8}
DECODERS = {
    "llama": LlamaConfig(**COMMON, **GROUPED),
    "qwen3": Qwen3Config(**COMMON, **GROUPED),
    "gemma2": Gemma2Config(**COMMON, **GROUPED, sliding_window=16, attn_logit_softcapping=5.0),
}
LONG = [7, 3, 9] * 70  # a prompt longer than a block of the row
SEQUENCES = [[*LONG, 5, 6], [*LONG, 5, 6, 7], [*LONG], [4, 8, 8], [4, 8], [9, 2], [5, 1, 1], [*LONG, 1, 1, 1, 1]]
OWNERS = [0, 0, 0, 1, 1, 2, 2, 3]


def model_of(config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_config(deepcopy(config)).eval()
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    return model


def alone(model):
    return torch.stack([model(input_ids=torch.tensor([ids])).logits[0, 0] for ids in SEQUENCES])


@pytest.mark.parametrize("name", DECODERS)
@torch.inference_mode()
def test_a_prompt_that_is_computed_once_gives_the_scores_of_one_sequence_at_a_time(name):
    model = model_of(DECODERS[name])
    expected = alone(model)
    scores = classifier_scores(model, 0, "reward.path=x")
    assert scores.func is module._shared
    got = scores(SEQUENCES, OWNERS)
    assert (got - expected).abs().max() < 1e-5 * max(1, expected.abs().max())
    assert expected.std() > 0.1


@torch.inference_mode()
def test_the_tokens_that_sequences_share_are_computed_once():
    model = model_of(DECODERS["llama"])
    scores = classifier_scores(model, 0, "reward.path=x")
    tokens = []
    model.model.embed_tokens.register_forward_hook(lambda _module, ids, _hidden: tokens.append(ids[0].numel()))
    scores(SEQUENCES, OWNERS)
    assert tokens == [210 + 2 + 3 + (2 + 1) + 2 + 3 + 214]  # [9, 2] and [5, 1, 1] share nothing


@pytest.mark.parametrize(
    "config", [BertConfig(**COMMON, **SIZES), GPT2Config(**COMMON, n_embd=32, n_layer=2, n_head=4)]
)
@torch.inference_mode()
def test_other_classifiers_give_the_scores_of_one_sequence_at_a_time(config):
    model = model_of(config)
    expected = alone(model)
    got = classifier_scores(model, 0, "reward.path=x")(SEQUENCES, OWNERS)
    assert (got - expected).abs().max() < 1e-5 * max(1, expected.abs().max())


@torch.inference_mode()
def test_a_decoder_that_is_not_causal_is_not_shared(caplog):
    """Its hidden states of the prompt depend on the response, as in embedding models made of a decoder."""
    caplog.set_level("INFO")
    model = model_of(DECODERS["llama"])
    own = model.model.forward

    def looks_ahead(*ids, **more):
        output = own(*ids, **more)
        output.last_hidden_state = output.last_hidden_state + output.last_hidden_state.mean(1, keepdim=True)
        return output

    model.model.forward = looks_ahead
    scores = classifier_scores(model, 0, "reward.path=x")
    assert scores.func is module._plain
    assert "LlamaModel gives other scores with shared prompts (by" in caplog.text
    assert model.config._attn_implementation == "sdpa"
