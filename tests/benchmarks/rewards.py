"""Reward models, side by side: `python -m tests.benchmarks.rewards` prints tables and bars and writes rewards.json.

The rewards of five responses to each prompt of 1,500 tokens, by a randomly initialised Llama in float32: the prompt
computed once for its responses, and five times, padded (the plain way of a sequence classifier). Methods take turns,
after one run of each that is not timed. Responses have 100 to 200 tokens.
"""

import argparse
import copy
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForSequenceClassification

from apm_exp.models import classifier_scores as module
from apm_exp.models.armorm import ArmoRM, armorm_scores, plain_scores
from apm_exp.models.classifier_scores import classifier_scores
from tests.benchmarks.matrix_peak import seconds
from tests.benchmarks.model_shape import SHAPES
from tests.benchmarks.table import Bar, Row, print_bars, print_table, write_json

ONCE, PLAIN = "prompt once", "prompt for each response"
RESPONSES, PROMPT = 5, 1500
GATE = [0, 1, 2]  # no other token is below 3
LEAST, DIFFERENCE = 2.5, 1e-5
Contenders = dict[str, Callable[[], Tensor]]


def classifier(sequences: list[list[int]], owners: list[int], shape: str, device: str) -> Contenders:
    """Both ways to score with a classifier with a random head."""
    config = LlamaConfig(**SHAPES[shape], max_position_embeddings=8192, num_labels=1, pad_token_id=0)
    torch.manual_seed(0)
    with torch.device(device):
        model: Any = LlamaForSequenceClassification(config).eval()
    plain = copy.deepcopy(model)  # of the other one, the attention is replaced
    once = classifier_scores(model, 0, "")
    return {ONCE: partial(once, sequences, owners), PLAIN: partial(module._plain, plain, 0, "", sequences, owners)}


def armorm(sequences: list[list[int]], owners: list[int], shape: str, device: str) -> Contenders:
    """Both ways to score with a random ArmoRM, whose gate reads where the prompt ends."""
    config = LlamaConfig(**SHAPES[shape], max_position_embeddings=8192, num_objectives=19)
    torch.manual_seed(0)
    with torch.device(device):
        model: Any = ArmoRM(config).eval()
    ids = [[*prompt[:PROMPT], *GATE, *prompt[PROMPT:]] for prompt in sequences]
    plain = partial(plain_scores, copy.deepcopy(model), GATE, ids, owners)
    return {ONCE: partial(armorm_scores(model, GATE), ids, owners), PLAIN: plain}


SOURCES: dict[str, Callable[..., Contenders]] = {"classifier": classifier, "armorm": armorm}


def conversations(prompts: int) -> tuple[list[list[int]], list[int]]:
    """Random tokens of each prompt with each response, and the number of its prompt."""
    random = np.random.default_rng(0)
    rows = [random.integers(3, 32000, size=PROMPT).tolist() for _ in range(prompts)]
    ends = [
        random.integers(3, 32000, size=length).tolist() for length in random.integers(100, 200, prompts * RESPONSES)
    ]
    owners = [place // RESPONSES for place in range(len(ends))]
    return [rows[owner] + end for owner, end in zip(owners, ends, strict=True)], owners


@torch.inference_mode()
def compared(works: Contenders, repetitions: int, device: str) -> list[Row]:
    """A row for each way to score, each in turn."""
    scores = {name: work() for name, work in works.items()}
    took: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repetitions):
        for name, work in works.items():
            took[name].append(seconds(work, device))
    ratios = {name: [a / b for a, b in zip(took[name], took[ONCE], strict=True)] for name in works}
    return [
        {
            "method": name,
            "seconds": statistics.median(took[name]),
            "times ours": statistics.median(ratios[name]),
            "least times": min(ratios[name]),
            "most times": max(ratios[name]),
            "difference": (scores[name] - scores[PLAIN]).abs().max().item(),
        }
        for name in works
    ]


def main() -> None:
    """Measure, print and write rewards.json into the current folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5, help="timed runs of each method (default: %(default)s)")
    parser.add_argument("--prompts", type=int, default=2, help="prompts at once (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--shape", choices=SHAPES, default="small", help="the random Llama (default: %(default)s)")
    options = parser.parse_args()
    tables, bars = {}, []
    for name, source in SOURCES.items():
        works = source(*conversations(options.prompts), options.shape, options.device)
        tables[name] = compared(works, options.repetitions, options.device)
        print_table(name, tables[name])
        bars.append(Bar(f"{name}, times as fast as {PLAIN}", tables[name][1]["times ours"], LEAST, True))
        bars.append(Bar(f"{name}, largest difference", tables[name][0]["difference"], DIFFERENCE, False))
    print_bars(bars)
    write_json("rewards", vars(options), tables, bars)


if __name__ == "__main__":
    main()
