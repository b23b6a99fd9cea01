"""Sampling, side by side: `python -m tests.benchmarks.sampling` prints tables and bars and writes sampling.json.

Five responses to each prompt from a randomly initialized Llama in float32, at temperature 0.8 and top-p 0.95: by our
decoding, and by transformers' `generate` with num_return_sequences=5. In turn, after one run of a few tokens that is
not timed. Its next tokens are nearly equally likely, so that every response has all its tokens; where responses end,
one token in 128 is an end token, and the times are divided by the tokens up to the ends.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig

from apm_exp.data.generate.decode import decode_prompts
from apm_exp.data.generate.draw import draw, uniform_numbers
from tests.benchmarks.matrix_peak import seconds
from tests.benchmarks.model_shape import SHAPES, random_llama
from tests.benchmarks.table import Bar, Row, print_bars, print_table, write_json

OURS, PEER = "apm_exp", "generate"
RESPONSES, HOW = 5, {"temperature": 0.8, "top_p": 0.95}
ENDS = {False: [2], True: [*range(2, 32000, 128)]}
CASES = {  # number and tokens of the prompts, whether responses end, the least times ours
    "One prompt of 200 tokens": (1, 200, False, 1.3),
    "One prompt of 1,500 tokens": (1, 1500, False, 2.5),
    "Eight prompts of 50 to 200 tokens, responses that end": (8, 200, True, None),
}
Work = Callable[[int], int]  # from the number of the repetition to the tokens of all responses


def ours(model: Any, prompts: list[list[int]], tokens: int, seed: int) -> int:
    """Our decoding; returns the tokens of the responses."""
    places = [(row, number) for row in range(len(prompts)) for number in range(RESPONSES)]
    uniform_TN = np.stack([uniform_numbers(seed, row, number, tokens) for row, number in places], axis=1)
    chosen = partial(draw, **HOW)
    ended = decode_prompts(model, prompts, [row for row, _ in places], chosen, uniform_TN[:tokens])
    return sum(len(ids) for _, ids, _ in ended)


def peer(model: Any, prompts: list[list[int]], tokens: int, seed: int) -> int:
    """transformers' generate; returns the tokens of the responses up to their first end token."""
    torch.manual_seed(seed)
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts], device=model.device)
    mask = (ids > 0).long()
    more = {"num_return_sequences": RESPONSES, "max_new_tokens": tokens, "top_k": 0, "do_sample": True}
    written = model.generate(input_ids=ids, attention_mask=mask, **more, **HOW)[:, longest:]
    ends = torch.isin(written, torch.tensor(model.generation_config.eos_token_id, device=model.device))
    return int((ends.cumsum(dim=1) - ends.long()).eq(0).sum())


def compared(options: argparse.Namespace, model: Any, number: int, length: int, ending: bool) -> list[Row]:
    """A row for each way to sample."""
    model.generation_config = GenerationConfig(eos_token_id=ENDS[ending], pad_token_id=0, max_new_tokens=options.tokens)
    random = np.random.default_rng(0)
    lengths = np.linspace(length / 4, length, number).astype(int) if number > 1 else [length]
    prompts = [random.integers(3, 32000, size=each).tolist() for each in lengths]
    works = {OURS: partial(ours, model, prompts), PEER: partial(peer, model, prompts)}
    took: dict[str, list[float]] = {name: [] for name in works}  # seconds a thousand tokens
    for work in works.values():
        work(4, 0)
    for repetition in range(options.repetitions):
        for name, work in works.items():
            counts: list[int] = []
            wall = seconds(lambda: counts.append(work(options.tokens, repetition)), options.device)  # noqa: B023
            took[name].append(1000 * wall / counts[0])
    return [_row(name, took[name], took[OURS]) for name in works]


def _row(name: str, took: list[float], own: list[float]) -> Row:
    ratios = [theirs / ours for theirs, ours in zip(took, own, strict=True)]
    return {
        "method": name,
        "s per 1,000 tokens": statistics.median(took),
        "least": min(took),
        "most": max(took),
        "times ours": statistics.median(ratios),
        "least times": min(ratios),
        "most times": max(ratios),
    }


def main() -> None:
    """Measure, print and write sampling.json into the current folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5, help="timed runs of each method (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=256, help="most tokens of a response (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    model = random_llama(SHAPES["small"], torch.float32, options.device)
    tables, bars = {}, []
    for title, (number, length, ending, least) in CASES.items():
        tables[title] = compared(options, model, number, length, ending)
        print_table(title, tables[title])
        if least is not None:
            bars.append(Bar(f"{title}, times as fast as generate", tables[title][1]["times ours"], least, True))
    print_bars(bars)
    write_json("sampling", vars(options), tables, bars)


if __name__ == "__main__":
    main()
