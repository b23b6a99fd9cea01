"""The selected pairs as training examples: their scored tokens and the starting policy's log-probs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from apm_exp.core.types import TokenizedPair


@dataclass(frozen=True)
class TrainingPair:
    """A training example.

    index: the pair's row. reference log-probs: the starting policy's, summed over the response, in nats.
    explicit_margin: in reward units, or None if the pairs have no rewards.
    """

    index: int
    tokens: TokenizedPair
    reference_chosen_logp: float
    reference_rejected_logp: float
    explicit_margin: float | None


def training_pairs(table: pa.Table) -> list[TrainingPair]:
    """Return the rows of logps.parquet, with their explicit margins, as training pairs in the table's order."""
    tokens = ("prompt_ids", "chosen_ids", "rejected_ids")
    numbers = ("chosen_logp", "rejected_logp", "explicit_margin")
    rows = zip(*(table[name].to_pylist() for name in (*tokens, *numbers)), strict=True)
    return [TrainingPair(index, TokenizedPair(*row[:3]), *row[3:]) for index, row in enumerate(rows)]


def collate(pairs: Sequence[TrainingPair], stand_in: TrainingPair) -> dict[str, Any]:
    """Return a batch: pair_index [B], pairs (B TokenizedPairs), reference log-probs and explicit margins [B], weight_B.

    Weights are 1. An empty batch is the stand-in with a weight of 0: a process whose share of a global batch is empty
    must run the same number of forwards as the others, which would otherwise wait for it.
    """
    weights = [1.0] * len(pairs) or [0.0]
    pairs = pairs or [stand_in]
    return {
        "pair_index": torch.tensor([pair.index for pair in pairs]),
        "weight_B": torch.tensor(weights),
        "pairs": [pair.tokens for pair in pairs],
        "reference_chosen_logp_B": torch.tensor([pair.reference_chosen_logp for pair in pairs]),
        "reference_rejected_logp_B": torch.tensor([pair.reference_rejected_logp for pair in pairs]),
        "rewards_margin_B": explicit_margins(pairs),
    }


def explicit_margins(pairs: Sequence[TrainingPair]) -> torch.Tensor | None:
    """Return the explicit margins [B] in reward units, float32, or None if the pairs have no rewards."""
    margins = [pair.explicit_margin for pair in pairs]
    known = [margin for margin in margins if margin is not None]
    return torch.tensor(known) if len(known) == len(margins) else None
