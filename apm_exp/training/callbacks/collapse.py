"""Signs, in the logged metrics, that a training is diverging. docs/method.md explains the thresholds."""

from collections import deque
from collections.abc import Mapping
from typing import Any

ROWS = 5  # number of rows to average over, as single batches vary
LOWEST_CHANGE = -1.5  # nats per token
HIGHEST_MARGIN = 20.0  # units of the loss's reward, which includes beta


class CollapseAlarm:
    """A detector that reads the rows of metrics.jsonl as they are logged and reports each sign once."""

    def __init__(self) -> None:
        self.rows: deque[Mapping[str, Any]] = deque(maxlen=ROWS)
        self.said: set[str] = set()

    def look(self, row: Mapping[str, Any]) -> list[str]:
        """Return the signs that are new in this row, each as a sentence without its period."""
        self.rows.append(row)
        fresh = {name: text for name, text in self._signs().items() if name not in self.said}
        self.said |= set(fresh)
        return list(fresh.values())

    def _signs(self) -> dict[str, str]:
        change, margin = self._mean("chosen_change"), self._mean("rewards/margins")
        signs = {}
        if change is not None and change < LOWEST_CHANGE:
            signs["chosen_change"] = (
                f"the log-prob of the chosen responses is {-change:.2f} nats per token below the starting policy's "
                f"(more than {-LOWEST_CHANGE:g})"
            )
        if margin is not None and margin > HIGHEST_MARGIN:
            signs["margins"] = f"the mean reward margin is {margin:.1f} (more than {HIGHEST_MARGIN:g})"
        return signs

    def _mean(self, name: str) -> float | None:
        """Return the mean over the last ROWS rows.

        Returns None if there are fewer rows, or if one of them has no finite value (TRL logs other metrics).
        """
        known = [value for row in self.rows if (value := row.get(name)) is not None]
        return sum(known) / ROWS if len(known) == ROWS else None
