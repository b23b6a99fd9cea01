"""Train a few models for one step of one pair under ZeRO-3, in one process: `python -m tests.training.zero3_forms DIR`.

Each is scored first, whole, as a run does; the check of the first step compares.
"""

import random
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    GptOssConfig,
    GptOssForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from apm_exp.core.types import Policy, TokenizedPair
from apm_exp.data.worlds.micro_world.word_tokenizer import word_tokenizer
from apm_exp.models.load import load_model
from apm_exp.models.score_pairs import score_pairs
from tests.forward_models import SHAPE
from tests.training.cases import deepspeed, logps_table, task, trained

TOKENIZER = word_tokenizer([f"w{number}" for number in range(55)], 128)
ROPE = {"rope_type": "default", "rope_theta": 1e4}
MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
    "granite": lambda: GraniteForCausalLM(GraniteConfig(**SHAPE, logits_scaling=3.0)),  # scales after the head
    "cohere": lambda: CohereForCausalLM(CohereConfig(**SHAPE)),
    "gpt_oss": lambda: GptOssForCausalLM(  # its attention has sinks
        GptOssConfig(**SHAPE, head_dim=8, num_local_experts=4, num_experts_per_tok=2, rope_parameters=ROPE)
    ),
}


def train(name: str, folder: Path) -> None:
    """Write the model's folder, score four pairs and train on them."""
    torch.manual_seed(0)
    MODELS[name]().save_pretrained(folder / name)
    TOKENIZER.save_pretrained(folder / name)
    policy = Policy(folder / name, name, "float32", "auto", False)
    draw = random.Random(0)
    parts = [[[draw.randrange(5, 60) for _ in range(count)] for count in (6, 8, 5)] for _ in range(4)]
    pairs = [TokenizedPair(*part) for part in parts]
    names = [f"p{number:02d}" for number in range(4)]
    scored = {index: values for index, *values in score_pairs(load_model(policy, "cpu"), pairs, names, 1000)}
    table = logps_table(pairs, [tuple(scored[index]) for index in range(4)], ["train"] * 4)
    row = trained(task(folder / f"{name}-trained", policy, table, deepspeed=deepspeed("zero3")), epochs=1)[0]
    print(name, round(row["loss"], 5), flush=True)


if __name__ == "__main__":
    for each in MODELS:
        train(each, Path(sys.argv[1]))
