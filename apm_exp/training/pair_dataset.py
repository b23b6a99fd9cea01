"""The selected pairs as the training sees them: their scored tokens and the starting policy's log-probs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from apm_exp.types import TokenisedPair


@dataclass(frozen=True)
class TrainingPair:
    """index: the pair's row. reference log-probs: the starting policy's, summed over the response, nats."""

    index: int
    tokens: TokenisedPair
    reference_chosen_logp: float
    reference_rejected_logp: float


def training_pairs(table: pa.Table) -> list[TrainingPair]:
    """Rows of logps.parquet as training pairs, in the table's order."""
    columns = ("prompt_ids", "chosen_ids", "rejected_ids", "chosen_logp", "rejected_logp")
    rows = zip(*(table[name].to_pylist() for name in columns), strict=True)
    return [TrainingPair(i, TokenisedPair(p, c, r), cl, rl) for i, (p, c, r, cl, rl) in enumerate(rows)]


def collate(pairs: Sequence[TrainingPair], stand_in: TrainingPair) -> dict[str, Any]:
    """A batch: pair_index [B], pairs (B TokenisedPairs), the reference log-probs [B], float32, and weight_B.

    Weights are 1. Without any pairs the batch is the stand-in with a weight of 0: a process whose share of a global
    batch is empty must make the same forwards as the others, or they would wait for it.
    """
    weights = [1.0] * len(pairs) or [0.0]
    pairs = pairs or [stand_in]
    return {
        "pair_index": torch.tensor([pair.index for pair in pairs]),
        "weight_B": torch.tensor(weights),
        "pairs": [pair.tokens for pair in pairs],
        "reference_chosen_logp_B": torch.tensor([pair.reference_chosen_logp for pair in pairs]),
        "reference_rejected_logp_B": torch.tensor([pair.reference_rejected_logp for pair in pairs]),
    }
