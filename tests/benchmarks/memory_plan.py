"""The plan's estimate of a training's peak memory against the peak: `python -m tests.benchmarks.memory_plan`.

Each training is a process of its own on the CPU (Linux): 8 pairs of the same length, 4 a step, 2 a forward, two epochs
and so four steps of two forwards. Measured is the resident memory at the peak less that of the process after it has
imported everything and trained a tiny model. Prints a table and the bar, and writes memory_plan.json.
"""

import argparse
import multiprocessing
import random
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from apm_exp.core.types import Policy, TokenizedPair
from apm_exp.jobs.plan.memory.adapted import adapt
from apm_exp.jobs.plan.memory.estimate import Estimate, estimate
from apm_exp.jobs.plan.memory.training import training_of
from apm_exp.models.shape import empty_model, shape_of_folder
from apm_exp.training.adapters.preflight import adapter_of
from tests.benchmarks.memory import peak_memory
from tests.benchmarks.model_shape import SMALL, random_llama
from tests.benchmarks.table import Bar, Row, print_bars, print_table, write_json

WIDE = {"hidden_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 16, "num_key_value_heads": 4}
DEEP = {"hidden_size": 256, "num_hidden_layers": 16, "num_attention_heads": 4, "num_key_value_heads": 4}
SHAPES: dict[str, dict[str, Any]] = {
    "512x8": SMALL,
    "1024x4": {**WIDE, "intermediate_size": 2816, "vocab_size": 8000, "tie_word_embeddings": True},
    "256x16": {**DEEP, "intermediate_size": 704, "vocab_size": 50000, "tie_word_embeddings": True},
    "tiny": {**DEEP, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48, "vocab_size": 64},
}
PROMPT, ANSWER = 128, 384  # tokens
PAIRS, GLOBAL_BATCH, PER_DEVICE, EPOCHS = 8, 4, 2, 2
LORA = {
    "_target_": "apm_exp.training.adapters.lora.lora",
    "rank": 16,
    "alpha": 32.0,
    "dropout": 0.0,
    "target_modules": "all-linear",
}
BAR = 0.20
Work = Callable[[], object]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", nargs="*", help="rows by their first column, as 512x8 or 512x8+zero2 (default: all)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [_row(Path(folder), *case) for case in _cases() if not options.only or _label(*case[:3]) in options.only]
    print_table("Peak memory of a training, MiB", rows)
    bars = [Bar(f"{row['training']}: off by", abs(row["estimate / measured"] - 1), BAR, False) for row in rows]
    print_bars(bars)
    write_json("memory_plan", {"pairs": PAIRS, "tokens": PROMPT + 2 * ANSWER}, {"peak": rows}, bars)


def _cases() -> list[tuple[str, str, bool, bool]]:
    shapes = [s for s in SHAPES if s != "tiny"]
    plain = [(shape, "none", False, checkpointing) for shape in shapes for checkpointing in (False, True)]
    adapted = [(shape, "none", True, checkpointing) for shape in shapes for checkpointing in (False, True)]
    return [*plain, ("512x8", "zero2", False, False), ("512x8", "zero3", False, False), *adapted]


def _label(shape: str, deepspeed: str, adapter: bool) -> str:
    return "+".join([shape] + ([] if deepspeed == "none" else [deepspeed]) + ["lora"] * adapter)


def _row(folder: Path, shape: str, deepspeed: str, adapter: bool, checkpointing: bool) -> Row:
    for name in (shape, "tiny"):
        if not (folder / name).exists():
            process = multiprocessing.get_context("spawn").Process(target=_prepare, args=(folder, name))
            process.start()
            process.join()
            assert process.exitcode == 0
    given = {"deepspeed": deepspeed, "adapter": adapter, "checkpointing": checkpointing}
    measured = peak_memory(partial(_work, folder, shape, **given), "cpu") / 2**20
    expected = _estimate(folder / shape, **given)
    states, mib = expected.states, 2**20
    row = {
        "training": _label(shape, deepspeed, adapter) + (", checkpointing" if checkpointing else ""),
        "weights": (states.weights + states.master) / mib,
        "gradients": states.gradients / mib,
        "optimizer": states.optimizer / mib,
        "activations": expected.activations / mib,
        "head": expected.head / mib,
        "estimate": expected.total / mib,
        "measured": measured,
        "estimate / measured": expected.total / mib / measured,
    }
    print(row, file=sys.stderr, flush=True)
    return row


def _prepare(folder: Path, name: str) -> None:
    """A random model as a folder, and its log-probs of random pairs as rows of logps.parquet."""
    from apm_exp.data.worlds.micro_world.word_tokenizer import word_tokenizer
    from apm_exp.models.load import load_model
    from apm_exp.models.score_pairs import score_pairs
    from tests.training.cases import logps_table

    random_llama(SHAPES[name], torch.float32, "cpu").save_pretrained(folder / name)
    word_tokenizer(("a", "b"), 8192).save_pretrained(folder / name)
    draw = random.Random(0)
    parts = [[[draw.randrange(4, 60) for _ in range(n)] for n in (PROMPT, ANSWER, ANSWER)] for _ in range(PAIRS)]
    pairs, names = [TokenizedPair(*each) for each in parts], [f"p{index:02d}" for index in range(PAIRS)]
    scored = {row: logps for row, *logps in score_pairs(load_model(_policy(folder / name), "cpu"), pairs, names, 2048)}
    table = logps_table(pairs, [tuple(scored[row]) for row in range(PAIRS)], ["train"] * PAIRS)
    pq.write_table(table, folder / f"{name}.parquet")


def _policy(folder: Path) -> Policy:
    return Policy(folder, folder.name, "float32", "auto", False)


def _work(folder: Path, shape: str, **given: Any) -> Work:
    """The training of a shape, after one of the tiny shape: what that imports and starts is not measured."""
    _training(folder, "tiny", **given)()
    return _training(folder, shape, **given)


def _training(folder: Path, shape: str, *, deepspeed: str, adapter: bool, checkpointing: bool) -> Work:
    from tests.training.cases import deepspeed as node
    from tests.training.cases import runtime, task, trained

    given = task(
        Path(tempfile.mkdtemp(dir=folder)),
        _policy(folder / shape),
        pq.read_table(folder / f"{shape}.parquet"),
        runtime=runtime(pairs_per_device=PER_DEVICE, threads=None),
        deepspeed=None if deepspeed == "none" else node(deepspeed),
        adapter=LORA if adapter else None,
    )
    return partial(trained, given, **_settings(checkpointing))


def _settings(checkpointing: bool) -> dict[str, Any]:
    return {
        "global_batch": GLOBAL_BATCH,
        "gradient_checkpointing": checkpointing,
        "learning_rate": 1e-6,
        "epochs": EPOCHS,
    }


def _estimate(folder: Path, *, deepspeed: str, adapter: bool, checkpointing: bool) -> Estimate:
    from tests.training.cases import deepspeed as node
    from tests.training.cases import runtime, trainer

    config = {
        "trainer": trainer(**_settings(checkpointing)),
        "runtime": runtime(pairs_per_device=PER_DEVICE),
        "deepspeed": None if deepspeed == "none" else node(deepspeed),
        "model": {"attention": "auto"},
    }
    pairs = ((PROMPT, ANSWER, ANSWER),) * PER_DEVICE
    shape, frozen = shape_of_folder(folder, False), None
    if adapter and (given := adapter_of(LORA)):
        shape, frozen = adapt(shape, empty_model(folder, False), given, 4)
    return estimate(training_of(config, shape, frozen, "cpu", "float32", pairs, False))


if __name__ == "__main__":
    main()
