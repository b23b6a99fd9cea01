"""Signs in a training's own numbers that it destroys its policy. docs/method.md has the reasons for the bounds."""

from collections import deque
from collections.abc import Mapping
from typing import Any

ROWS = 5  # whose mean is looked at: single batches stray
LOWEST_CHANGE = -1.5  # nats a token
HIGHEST_MARGIN = 20.0  # units of the loss's reward, which beta is part of


class CollapseAlarm:
    """Looks at the rows of metrics.jsonl as they come; says each sign once, when it first appears."""

    def __init__(self) -> None:
        self.rows: deque[Mapping[str, Any]] = deque(maxlen=ROWS)
        self.said: set[str] = set()

    def look(self, row: Mapping[str, Any]) -> list[str]:
        """What is new in this row, each sign as a sentence without its full stop."""
        self.rows.append(row)
        fresh = {name: text for name, text in self._signs().items() if name not in self.said}
        self.said |= set(fresh)
        return list(fresh.values())

    def _signs(self) -> dict[str, str]:
        change, margin = self._mean("chosen_change"), self._mean("rewards/margins")
        signs = {}
        if change is not None and change < LOWEST_CHANGE:
            signs["chosen_change"] = (
                f"the log-prob of the chosen responses is {-change:.2f} nats a token below the starting policy's "
                f"(more than {-LOWEST_CHANGE:g})"
            )
        if margin is not None and margin > HIGHEST_MARGIN:
            signs["margins"] = f"the mean reward margin is {margin:.1f} (more than {HIGHEST_MARGIN:g})"
        return signs

    def _mean(self, name: str) -> float | None:
        """Over the last ROWS rows; None before there are so many, and where one of them lacks it (TRL logs other
        quantities) or is not finite.
        """
        known = [value for row in self.rows if (value := row.get(name)) is not None]
        return sum(known) / ROWS if len(known) == ROWS else None
