"""Warnings about unusual settings that often make a training diverge."""

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp.core.told import ask

logger = logging.getLogger(__name__)
LARGE = 1e9  # parameters
HIGHEST_RATE = 2e-6  # for full fine-tuning on preferences; the paper and the SimPO release stay at or below 1e-6


def warn_unusual(
    loss: Mapping[str, Any],
    learning_rate: float,
    model: Path,
    *,
    all_weights: bool,
    forward_pairs: int | list[int] | None = None,
) -> None:
    """Log a warning for each setting that is far from values known to work.

    model: the starting policy's folder. all_weights: whether all weights are trained; an adapter needs a much higher
    learning rate. forward_pairs: as pipeline.forward_pairs says.
    """
    if forward_pairs == 1 or (isinstance(forward_pairs, list) and forward_pairs[0] == 1):
        logger.warning(
            "runtime.pairs_per_device: the loss compares the pairs of a forward, which has only one; set at least 2"
        )
    if said := ask("loss", loss, "unusual"):
        logger.warning("%s", said)
    if all_weights and learning_rate > HIGHEST_RATE and (size := parameters(model)) > LARGE:
        logger.warning(
            "trainer.learning_rate=%g: above %g, models of more than a billion parameters (this one: %.1f) often "
            "diverge; 3e-7 to 1e-6 is usual",
            *(learning_rate, HIGHEST_RATE, size / 1e9),
        )


def parameters(model: Path) -> int:
    """Return the number of weights in a folder's safetensors files, from their headers; shared weights count once."""
    return sum(_in_file(path) for path in model.glob("*.safetensors"))


def _in_file(path: Path) -> int:
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
