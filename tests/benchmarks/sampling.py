"""Sampling, side by side: `python -m tests.benchmarks.sampling` prints tables and bars and writes sampling.json.

Five responses to each prompt, at temperature 0.8 and top-p 0.95: by our decoding, and by transformers' `generate` with
num_return_sequences=5. In turn, after one run of a few tokens that is not timed. Both get the same prompts of random
tokens, the same batches, and the same length of each response, after which it stops: the tokens of the two differ, but
not the work. Lengths are either all the most, or drawn from an exponential distribution with half of that as its mean.
CPU seconds are those of all threads of the process, and vary less than wall seconds on a busy machine.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, GenerationConfig, StoppingCriteriaList

from apm_exp.data.generate.decode import decode
from apm_exp.data.generate.draw import draw, uniform_numbers
from tests.benchmarks.matrix_peak import synchronize
from tests.benchmarks.model_shape import SHAPES, random_llama
from tests.benchmarks.table import Bar, Row, print_bars, print_table, write_json

OURS, PEER = "apm_exp", "generate"
RESPONSES, HOW = 5, {"temperature": 0.8, "top_p": 0.95}
LEAST = {200: 1.3, 1500: 2.5}  # times ours, by the tokens of a prompt
CASES = {  # number of the prompts, of those at once, whether responses end before the most tokens
    "one prompt, all responses of the most tokens": (1, 1, False),
    "four prompts, two at a time, responses that end": (4, 2, True),
}
Work = Callable[[int], None]  # of a repetition


def ours(model: Any, prompts: list[list[int]], at_once: int, lengths: list[int], seed: int) -> None:
    """Sample with our decoding; response n is to prompt n // 5."""
    groups = [(ids, range(RESPONSES * row, RESPONSES * (row + 1))) for row, ids in enumerate(prompts)]
    ended = decode(
        model, groups, lambda n: uniform_numbers(seed, 0, n, lengths[n]), partial(draw, **HOW), RESPONSES * at_once
    )
    assert sum(len(ids) for _, ids, _ in ended) == sum(lengths)


def peer(model: Any, prompts: list[list[int]], at_once: int, lengths: list[int], seed: int) -> None:
    """Sample with transformers' generate, which stops when the longest response of a batch has its length."""
    torch.manual_seed(seed)
    more = {"num_return_sequences": RESPONSES, "max_new_tokens": max(lengths), "top_k": 0, "do_sample": True}
    for start in range(0, len(prompts), at_once):
        ids = torch.tensor(prompts[start : start + at_once], device=model.device)
        wanted_R = torch.tensor(lengths[RESPONSES * start :][: RESPONSES * len(ids)], device=model.device)
        stop = StoppingCriteriaList([lambda written, _: written.shape[1] - ids.shape[1] >= wanted_R])  # noqa: B023
        written = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), stopping_criteria=stop, **more, **HOW
        )
        assert written.shape[1] == ids.shape[1] + max(wanted_R.tolist())


def compared(options: argparse.Namespace, model: Any, length: int, number: int, at_once: int, end: bool) -> list[Row]:
    """A row for each way to sample."""
    model.generation_config = GenerationConfig(eos_token_id=[model.config.vocab_size], pad_token_id=0)  # ends nothing
    random = np.random.default_rng(0)
    prompts = random.integers(3, model.config.vocab_size, size=(number, length)).tolist()
    lengths = [options.tokens] * number * RESPONSES
    if end:
        drawn = random.exponential(options.tokens / 2, size=len(lengths)).astype(int)
        lengths = drawn.clip(1, options.tokens).tolist()
    works = {OURS: partial(ours, model, prompts, at_once), PEER: partial(peer, model, prompts, at_once)}
    for work in works.values():
        work([4] * len(lengths), 0)
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in works}  # seconds of the wall and of the CPU
    for repetition in range(options.repetitions):
        for name, work in works.items():
            took[name].append(_seconds(partial(work, lengths, repetition), options.device))
    return [_row(name, took[name], took[OURS], sum(lengths) / 1000) for name in works]


def _seconds(work: Callable[[], None], device: str) -> tuple[float, float]:
    synchronize(device)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    synchronize(device)
    return time.perf_counter() - wall, time.process_time() - cpu


def _row(name: str, took: list[tuple[float, float]], own: list[tuple[float, float]], thousands: float) -> Row:
    wall, cpu = ([theirs[at] / ours[at] for theirs, ours in zip(took, own, strict=True)] for at in (0, 1))
    return {
        "method": name,
        "s per 1,000 tokens": statistics.median(each for each, _ in took) / thousands,
        "CPU s": statistics.median(each for _, each in took) / thousands,
        "times ours": statistics.median(wall),
        "least times": min(wall),
        "most times": max(wall),
        "CPU times ours": statistics.median(cpu),
    }


def _model(name: str, device: str) -> Any:
    """A randomly initialised Llama of this shape, or the model in a folder, in float32."""
    if name in SHAPES:
        return random_llama(SHAPES[name], torch.float32, device)
    return AutoModelForCausalLM.from_pretrained(Path(name), dtype=torch.float32).to(device).eval()


def main() -> None:
    """Measure, print and write sampling.json into the current folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shapes = ("small", "smollm2_135m")
    parser.add_argument("--models", nargs="+", default=shapes, help="shapes or folders (default: %(default)s)")
    parser.add_argument(
        "--prompts", nargs="+", type=int, default=list(LEAST), help="their tokens (default: %(default)s)"
    )
    parser.add_argument("--repetitions", type=int, default=3, help="timed runs of each method (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=256, help="most tokens of a response (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="default: torch's; one varies less on a busy machine")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    tables, bars = {}, []
    for name in options.models:
        model = _model(name, options.device)
        for length in options.prompts:
            for case, settings in CASES.items():
                title = f"{name}, prompts of {length:,} tokens, {case}"
                tables[title] = compared(options, model, length, *settings)
                print_table(title, tables[title])
                if length in LEAST:
                    bars.append(Bar(title, tables[title][1]["times ours"], LEAST[length], True))
    print_bars(bars)
    write_json("sampling", vars(options), tables, bars)


if __name__ == "__main__":
    main()
