"""How many tokens a model takes, as its configuration and its tables of positions say."""

from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    MptConfig,
    OPTConfig,
    XLNetConfig,
)

from apm_exp.models.context import context_length, stated_length, within_context
from apm_exp.types import Refusal, TokenisedPair

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 100, "rope_theta": 1e4}
LINEAR = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
LLAMA3 = {
    **{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 1e4},
    **{"original_max_position_embeddings": 100},
}


@pytest.mark.parametrize(
    ("config", "most"),
    [
        (LlamaConfig(max_position_embeddings=300), 300),
        (MistralConfig(max_position_embeddings=300, sliding_window=8), 300),  # a window is no limit
        (GPTNeoXConfig(max_position_embeddings=300), 300),
        (GPT2Config(n_positions=30), 30),
        (MptConfig(max_seq_len=70), 70),
        (MambaConfig(), None),
        (BloomConfig(), None),
        (BloomConfig(seq_length=2048), 2048),  # as its folder on the Hub says
        (XLNetConfig(), None),  # which raises when it is asked
        (LlamaConfig(max_position_embeddings=100, model_max_length=900), 900),  # as Command-R's does
        (LlamaConfig(max_position_embeddings=100, rope_parameters=YARN), 400),
        (LlamaConfig(max_position_embeddings=400, rope_parameters=YARN), 400),
        (LlamaConfig(max_position_embeddings=100, rope_parameters=LINEAR), 200),
        (LlamaConfig(max_position_embeddings=800, rope_parameters=LLAMA3), 800),
    ],
)
def test_what_a_configuration_states(config: Any, most: int | None) -> None:
    assert stated_length(config) == most


@pytest.mark.parametrize(
    ("config", "rows"),
    [
        (GPT2Config(n_positions=30, n_layer=1), 30),
        (OPTConfig(max_position_embeddings=30, num_hidden_layers=1), 30),  # its table has two rows more
    ],
)
def test_learned_positions_count_whatever_the_configuration_says(config: Any, rows: int) -> None:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert context_length(model) == rows
    model.config.max_position_embeddings = 999
    assert context_length(model) == rows


def test_a_pair_is_as_long_as_its_prompt_with_its_longer_response() -> None:
    pair = TokenisedPair([1] * 5, [2], [3] * 4)
    assert within_context(pair, 9) is pair
    assert within_context(pair, None) is pair
    assert within_context(pair, 8) == Refusal(
        "longer than the model's context",
        "9 tokens; the model has 8 positions; tokens.max_length=8 truncates such pairs instead",
    )
