"""What is compared with what: the tables of scoring and of training_step, and the rows that they share."""

import argparse
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch

from apm_exp.core.types import TokenizedPair
from tests.benchmarks.alternating import alternate
from tests.benchmarks.memory import peak_memory
from tests.benchmarks.own_process import in_own_process
from tests.benchmarks.table import Row, time_row
from tests.benchmarks.workload import describe, long_prompts, sample

OURS, TRL, PADDED = "apm_exp", "TRL", "padded"
REAL, LONG, BFLOAT16 = "Real pairs", "Long prompts: 1,500 tokens, answers of 150", "Ours in bfloat16 and in float32"
Work = Callable[[], object]


@dataclass(frozen=True)
class Contender:
    """A row of a table. In each table the first one is what the others are a multiple of in time, and the last one
    is what the others are compared with in numbers.
    """

    label: str
    method: str
    dtype: torch.dtype


def comparisons(
    options: argparse.Namespace, pairs: list[TokenizedPair]
) -> dict[str, tuple[list[TokenizedPair], list[Contender]]]:
    """The pairs and the contenders of each table, by its title."""
    real, long = sample(pairs, options.num_pairs), long_prompts(pairs, max(1, options.num_pairs // 3))
    if options.device == "cpu" and options.dtype == "bfloat16":
        return {BFLOAT16: (real, [Contender(name, OURS, getattr(torch, name)) for name in ("bfloat16", "float32")])}
    ours, trl, padded = (Contender(name, name, getattr(torch, options.dtype)) for name in (OURS, TRL, PADDED))
    return {REAL: (real, [ours, trl, padded]), LONG: (long, [ours, padded])}


def shared_columns(
    options: argparse.Namespace,
    pairs: list[TokenizedPair],
    contenders: list[Contender],
    works: Mapping[str, Work],
    makes: Mapping[str, Callable[[], Work]],
    flops: int,
) -> dict[str, Row]:
    """Of each contender, by label: its times and its peak memory.

    makes: what loads a model and gives the work, on a CPU in a process of its own; works: those that are timed on CUDA.
    """
    print(f"Measured: {describe(pairs)}")
    memory = {label: peak_memory(make, options.device) for label, make in makes.items()}
    dtypes = {c.label: c.dtype for c in contenders}
    with ExitStack() as processes:
        if options.device == "cpu":
            works = {label: processes.enter_context(in_own_process(make)) for label, make in makes.items()}
        timings = alternate(works, dtypes, options.repetitions, options.device)
    tokens = sum(pair.length for pair in pairs)
    first, last = contenders[0].label, contenders[-1].label
    row = partial(time_row, ours=timings[first], flops=flops, tokens=tokens)
    return {
        label: row(label, timing) | {"peak MiB": memory[label] / 2**20, "of the last row": memory[label] / memory[last]}
        for label, timing in timings.items()
    }
