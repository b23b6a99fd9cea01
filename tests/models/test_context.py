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
    Phi3Config,
    XLNetConfig,
)

from apm_exp.core.types import Refusal, TokenizedPair
from apm_exp.models.context import context_length, stated_length, within_context
from apm_exp.models.pair_forward import responses_forward

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 100, "rope_theta": 1e4}
LINEAR = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
DYNAMIC = {"rope_type": "dynamic", "factor": 8.0, "rope_theta": 1e4}
LONG = {
    **{"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 8, "long_factor": [3.0] * 8},
    **{"original_max_position_embeddings": 100},
}
SU = {"type": "longrope", "short_factor": [1.0] * 8, "long_factor": [3.0] * 8}  # as older Phi-3 folders write it
TINY = {
    **{"vocab_size": 60, "hidden_size": 64, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}
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
        (LlamaConfig(max_position_embeddings=100, rope_parameters=DYNAMIC), 100),
        (LlamaConfig(max_position_embeddings=800, rope_parameters=LONG, head_dim=16), 100),
        (Phi3Config(original_max_position_embeddings=100, max_position_embeddings=800, **TINY, rope_scaling=SU), 100),
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
    pair = TokenizedPair([1] * 5, [2], [3] * 4)
    assert within_context(pair, 9) is pair
    assert within_context(pair, None) is pair
    assert within_context(pair, 8) == Refusal(
        "longer than the model's context",
        "9 tokens; the model's limit is 8; tokens.max_length=8 truncates such pairs instead",
    )


def lengthening(model: Any, *responses: int) -> list[float]:
    """Log-probs of responses of 5, and then so many, tokens, computed in one batch."""
    prompts = [([5, 6, 7], [[8, 9, 3, 4, 5], *([11 + i % 40 for i in range(n)] for n in responses)])]
    with torch.inference_mode():
        return responses_forward(model, prompts)[0].tolist()


@pytest.mark.parametrize("rope", [DYNAMIC, LONG])
def test_up_to_that_length_a_neighbor_changes_nothing(rope: dict[str, Any]) -> None:
    """Beyond it one does: the frequencies are those of the longest row of the batch."""
    torch.manual_seed(0)
    config = LlamaConfig(**TINY, head_dim=16, max_position_embeddings=100, rope_parameters=rope)
    model = AutoModelForCausalLM.from_config(config).eval()
    for weight in model.parameters():
        weight.data.mul_(5 if weight.ndim > 1 else 1)
    most = context_length(model)
    assert most == 100
    alone, *_ = lengthening(model)
    within, *_ = lengthening(model, most - 3)
    beyond, *_ = lengthening(model, most + 50)
    assert within == pytest.approx(alone, abs=1e-4)
    assert abs(beyond - alone) > 1e-2
