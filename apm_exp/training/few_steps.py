"""Trainings that do almost nothing: too few optimizer steps, or weights that are saved as they were."""

import logging
from collections.abc import Mapping
from math import ceil
from typing import Any

from apm_exp.training.risky_settings import HIGHEST_RATE

FEWEST = 20  # optimizer steps; the paper's trainings have about 190
LEAST_MOVED = 0.01  # share of the saved weights
logger = logging.getLogger(__name__)
_said: set[str] = set()


def say_few_steps(key: str, counts: Mapping[str, int | float], settings: Mapping[str, Any], *, exact: bool) -> None:
    """Log a warning, once for a training's key, if its pairs make fewer than 20 optimizer steps.

    counts: of pairs and optimizer steps, upper bounds unless exact. settings: trainer, runtime and adapter.
    """
    if key not in _said and (text := few_steps(counts, settings)):
        _said.add(key)
        logger.warning("%s", text if exact else at_most(text))


def at_most(text: str) -> str:
    """Return the warning of `few_steps` for counts that are upper bounds."""
    return text.replace(": ", ": at most ", 1)


def few_steps(counts: Mapping[str, int | float], settings: Mapping[str, Any]) -> str | None:
    """Return what is wrong with fewer than 20 optimizer steps, and the settings that make 20; None if there are more.

    The rate is the highest that is usual, if all weights are trained at a lower one.
    """
    trainer = settings["trainer"]
    unknown = "pairs" not in counts or "max_steps" in trainer.get("args", {})
    if unknown or counts.get("optimizer_steps", FEWEST) >= FEWEST:
        return None
    pairs, steps = int(counts["pairs"]), int(counts["optimizer_steps"])
    batch = enough_steps(pairs, trainer["epochs"], settings.get("runtime", {}))
    epochs = max(trainer["epochs"], ceil(FEWEST / max(ceil(pairs / batch), 1)))
    remedy = f"trainer.global_batch={batch}" + (f" trainer.epochs={epochs}" if epochs != trainer["epochs"] else "")
    if not settings.get("adapter") and trainer.get("learning_rate", HIGHEST_RATE) < HIGHEST_RATE:
        remedy += f" trainer.learning_rate={HIGHEST_RATE:g}"
    problem = f"{pairs:,} pairs make {steps} optimizer step{'s' if steps != 1 else ''}, and fewer than {FEWEST}"
    return f"trainer.global_batch={trainer['global_batch']}: {problem} change the policy little; take {remedy}"


def enough_steps(pairs: int, epochs: int, runtime: Mapping[str, Any]) -> int:
    """Return the largest global batch with which so many pairs make 20 optimizer steps; the smallest if none does."""
    each = ceil(FEWEST / epochs)  # optimizer steps of an epoch
    batch = (pairs - 1) // (each - 1) if each > 1 else pairs
    processes, most = int(runtime.get("processes") or 1), int(runtime.get("pairs_per_device") or 1)
    share = max(1, batch // processes)
    return processes * (share if share <= most else share - share % most)


def little_moved(counts: Mapping[str, int | float]) -> str | None:
    """Return what is wrong if hardly any weight of the saved policy differs from the starting policy's."""
    moved = counts.get("moved")
    if moved is None or moved >= LEAST_MOVED:
        return None
    problem = f"only {moved:.2%} of the saved weights differ from the starting policy's, the others moved by less than"
    remedy = "raise it, or take more optimizer steps (a smaller trainer.global_batch, more trainer.epochs)"
    return f"trainer.learning_rate: {problem} their precision shows; {remedy}"
