"""The column holdout_rank of tables that tests write."""

from collections.abc import Sequence

from apm_exp.core.split import ALWAYS, Split

TRAIN, HELD_OUT = Split(0), Split(0, held_out=True)


def ranks(splits: Sequence[str]) -> list[int]:
    """Ranks of which a hold-out of 0 holds out exactly those that are "held_out"."""
    return [{"train": 0, "held_out": ALWAYS}[split] for split in splits]
