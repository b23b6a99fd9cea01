"""Numbers of a config.json that cannot be are one line, whatever transformers makes of them."""

import json
import math
import re
import shutil
from pathlib import Path

import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from apm_exp.core.types import Policy
from apm_exp.models.config_values import check_values
from apm_exp.models.preflight import preflight
from tests.architectures import TYPES

NODE = {"dtype": "float32", "attention": "auto", "trust_remote_code": False, "chat_template": None}
HUGE = 10**12
WRONG: list[tuple[str, object]] = [
    *((name, value) for name in ("hidden_size", "num_attention_heads", "head_dim") for value in (0, -1, HUGE, "abc")),
    *(("max_position_embeddings", value) for value in (0, -1, 10**15, 1e15, "2048", math.inf, 2048.5, True)),
    *(("rope_theta", value) for value in (0, -1, math.inf, math.nan, "abc", 10**39)),
    *(("eos_token_id", value) for value in (10**9, -1, 1.5, [1, 10**9], "</s>")),
    *((name, value) for name in ("bos_token_id", "pad_token_id") for value in (10**9, -5)),
    *((name, value) for name in ("vocab_size", "pretraining_tp", "num_key_value_heads") for value in (0, HUGE)),
    *(("rms_norm_eps", value) for value in (-1, math.nan, HUGE)),
    *(("attention_dropout", value) for value in (-1, 2)),
    *(("final_logit_softcapping", 0), ("initializer_range", math.inf)),
]
RIGHT: list[dict[str, object]] = [  # of models on the Hub
    {"eos_token_id": [128001, 128008, 128009], "bos_token_id": 128000, "vocab_size": 128256, "rope_theta": 500000.0},
    {"rope_scaling": {"factor": 8.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}},
    {"pad_token_id": -1, "vocab_size": 32000, "max_sequence_length": 2048},  # the first Llama
    {"rope_theta": 100000000000.0, "head_dim": 128, "num_attention_heads": 12, "num_key_value_heads": 2},  # Falcon-H1
    {"rope_theta": 10000000, "head_dim": None, "pad_token_id": None, "max_position_embeddings": 10485760},
    {"time_step_limit": [0.0, math.inf], "num_heads": 128, "head_dim": 64, "n_groups": 8},  # Mamba-2
    {"n_inner": None, "n_embd": 768, "n_positions": 1024, "attn_pdrop": 0.1, "layer_norm_epsilon": 1e-5},
    {"intermediate_size": [16384, 16384], "final_logit_softcapping": 30.0, "attn_logit_softcapping": None},  # Gemma-3n
    {"logit_scale": "inv_sqrt_d_model", "attn_config": {"attn_pdrop": 0, "clip_qkv": None}},  # MPT
    {"num_local_experts": 0, "classifier_dropout": None, "use_dropout": True, "pretraining_tp": 4},
    {"bos_token_id": 2, "text_config": {"vocab_size": 262208, "sliding_window": 1024, "rope_local_base_freq": 10000.0}},
]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_hidden_layers", HUGE, rf"config.json: num_hidden_layers={HUGE}: there are \d+ tensors in all"),
        ("num_hidden_layers", 0, r"config.json: num_hidden_layers=0: there are \d+ tensors in all"),
        ("hidden_size", HUGE, rf"config.json: hidden_size={HUGE}: must be a whole number from 1 to 64, the largest"),
        ("vocab_size", 7, r"has shape \[\d+, 32\], but config.json specifies \[7, 32\]"),
        ("hidden_size", 16, r"has shape \[\d+, 32\], but config.json specifies \[\d+, 16\] \(and \d+ more\); download"),
        *((name, value, rf"config.json: {name}={re.escape(repr(value))}: must be") for name, value in WRONG),
        ("rope_parameters", {"rope_theta": 0.0}, "config.json: rope_parameters.rope_theta=0.0: must be more than 0"),
        ("rope_scaling", {"type": "linear", "factor": math.inf}, "config.json: rope_scaling.factor=inf: must be more"),
        ("text_config", {"head_dim": HUGE}, f"config.json: text_config.head_dim={HUGE}: must be a whole number"),
        ("num_key_value_heads", 3, "config.json: num_key_value_heads=3: must divide num_attention_heads=4"),
        ("hidden_act", "nonesuch", "config.json: hidden_act='nonesuch': not a value that transformers knows"),
        ("mlp_bias", "maybe", "config.json: mlp_bias='maybe': TypeError: Field 'mlp_bias'"),
    ],
)
def test_a_number_that_cannot_be(name: str, value: object, message: str, tiny_policy: Policy, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_policy.folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {name: value}))
    with pytest.raises(ValueError, match=rf"^model\.path=.*{message}") as caught:
        preflight(folder, NODE | {"path": str(folder)})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", RIGHT)
def test_a_number_that_is_unusual_and_right(values: dict[str, object]) -> None:
    check_values(values, {"embedding": [262208, 768]}, "model.path=MINE")


def test_a_value_that_is_unusual_and_right_loads(tiny_policy: Policy, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_policy.folder, folder)
    config = json.loads((folder / "config.json").read_text())
    unusual = {"eos_token_id": [1, 2], "pad_token_id": -1, "head_dim": None, "rope_theta": 1e7, "pretraining_tp": 2}
    (folder / "config.json").write_text(json.dumps(config | unusual))
    preflight(folder, NODE | {"path": str(folder)})


def test_what_an_architecture_has_by_itself_is_right() -> None:
    """But for four whose first token lies beyond their vocabulary if neither is given."""
    refused = {}
    for model_type in TYPES:
        try:
            config = CONFIG_MAPPING[model_type]().to_dict()
        except Exception:  # that cannot be made without arguments
            continue
        try:
            check_values(config, {}, model_type)
        except ValueError as error:
            refused[model_type] = str(error)
    assert refused.keys() == {"arcee", "musicgen", "musicgen_melody", "starcoder2"}
    assert all("bos_token_id" in line for line in refused.values())
