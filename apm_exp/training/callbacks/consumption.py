"""A record of which pairs a training has used, and how often."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from apm_exp.core.files import atomic

FILE = "consumed.npy"


class Consumption:
    """A counter of how often each of P pairs was trained on, over all processes.

    step_ids: the pairs of the current optimizer step. forward_ids: those of this process's current forward.
    """

    def __init__(self, pair_ids: Sequence[str]) -> None:
        self.pair_ids = list(pair_ids)
        self.times_P = np.zeros(len(pair_ids), dtype=np.int64)
        self.step_ids: list[str] = []
        self.forward_ids: list[str] = []

    def take(self, index_B: Sequence[int]) -> None:
        """Count the pairs of the current optimizer step."""
        np.add.at(self.times_P, list(index_B), 1)
        self.step_ids.extend(self.pair_ids[index] for index in index_B)

    def enter(self, index_B: Sequence[int]) -> list[str]:
        """Return the ids of the pairs in the forward that starts now; `take` counts them."""
        self.forward_ids = [self.pair_ids[index] for index in index_B]
        return self.forward_ids

    @property
    def total(self) -> int:
        """Return the number of pairs trained on so far, including repetitions."""
        return int(self.times_P.sum())

    def save(self, folder: Path) -> None:
        """Save the counts in a checkpoint."""
        with atomic(folder / FILE) as temporary, temporary.open("wb") as file:
            np.save(file, self.times_P)

    def load(self, folder: Path) -> None:
        """Restore the counts from a checkpoint."""
        self.times_P = np.load(folder / FILE)

    def assert_exact(self, epochs: int | None) -> None:
        """Assert that every pair was trained on exactly `epochs` times.

        epochs: None if the training ended within an epoch; the counts may then differ by one.
        """
        least, most = (epochs, epochs) if epochs is not None else (self.times_P.min(), self.times_P.min() + 1)
        wrong = np.flatnonzero((self.times_P < least) | (self.times_P > most))
        named = ", ".join(f"{self.pair_ids[index]} {self.times_P[index]} times" for index in wrong[:5])
        assert not len(wrong), f"the training did not use exactly the selected pairs {least} times: {named}"
