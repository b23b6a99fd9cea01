"""The requests to an endpoint and their cost, written before each request, so that the ceiling survives a kill.

A request is written with the most that it may cost before it is sent, and with what it did cost after its reply. One
without a reply, such as one that timed out or was in flight when the process was killed, may have been charged: it
counts with the most that it may cost.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition
from typing import Any

from apm_exp.data.endpoint.endpoint import Endpoint

FILE = "requests.ledger"


class CeilingReached(ValueError):
    """The next request might cost more than what is left of max_cost."""


@dataclass
class Charge:
    """The tokens of one request: at most, and those of its reply. free: it was not charged."""

    input_tokens: int
    output_tokens: int
    used: tuple[int, int] | None = None
    free: bool = False


@dataclass
class Totals:
    """The tokens of all requests with a reply, and the most of those without one."""

    replies: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unanswered: int = 0
    unanswered_input: int = 0
    unanswered_output: int = 0
    models: set[str] = field(default_factory=set)


class Ledger:
    """The requests of a step; several threads may use it. folder: where they are kept; None: only in memory."""

    def __init__(self, endpoint: Endpoint, folder: Path | None) -> None:
        self.endpoint = endpoint
        self.totals = Totals() if folder is None else read_totals(folder)
        self._changed, self._open = Condition(), dict[str, Charge]()
        self._prefix, self._count = f"{time.time_ns()}", 0
        self._file = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / FILE).open("a", encoding="utf-8")
            self._file.write("\n")  # ends a line that a kill has truncated

    @contextmanager
    def request(self, input_tokens: int, output_tokens: int) -> Iterator[Charge]:
        """Yield the charge of a request with at most so many tokens, to be filled in inside the block.

        Waits while the requests in flight might use up what is left. Raises CeilingReached if the request might cost
        more than that.
        """
        charge = Charge(input_tokens, output_tokens)
        with self._changed:
            while not self._fits(charge):
                if not self._open:
                    raise CeilingReached(self._reached(charge))
                self._changed.wait()
            self._count += 1
            name = f"{self._prefix}-{self._count}"
            self._open[name] = charge
            self._write({"id": name, "at_most": [input_tokens, output_tokens]})
        try:
            yield charge
        finally:
            with self._changed:
                self._close(name, self._open.pop(name))
                self._changed.notify_all()

    def reply_from(self, model: str) -> None:
        """Record the model that the server says it is."""
        with self._changed:
            if model not in self.totals.models:
                self.totals.models.add(model)
                self._write({"model": model})

    def close(self) -> None:
        """Close the file; what is still in flight counts as unanswered there."""
        with self._changed:
            if self._file is not None:
                self._file.close()
            self._file = None

    @property
    def spent(self) -> float:
        """Return the amount paid; requests without a reply count with their maximum cost."""
        return spent(self.totals, self.endpoint)

    def _fits(self, charge: Charge) -> bool:
        if self.endpoint.max_cost is None:
            return True
        each = (self.endpoint.cost(one.input_tokens, one.output_tokens) for one in (charge, *self._open.values()))
        return self.spent + sum(each) <= self.endpoint.max_cost

    def _close(self, name: str, charge: Charge) -> None:
        if charge.used is not None:
            self._write({"id": name, "used": list(charge.used)})
        elif charge.free:
            self._write({"id": name, "free": True})
        _add(self.totals, charge)

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def _reached(self, charge: Charge) -> str:
        totals, most = self.totals, self.endpoint.cost(charge.input_tokens, charge.output_tokens)
        paid = f"{self.spent:.6g} spent on {totals.replies:,} replies"
        unanswered = f" and {totals.unanswered:,} requests without one (at their most)" if totals.unanswered else ""
        problem = f"reached: {paid}{unanswered}, and the next request may cost {most:.2g}"
        return f"{self.endpoint.typed('max_cost')}: {problem}; finished work is kept; raise it to resume"


def spent(totals: Totals, endpoint: Endpoint) -> float:
    """Return the cost of the requests; those without a reply count with their maximum cost."""
    input_tokens = totals.input_tokens + totals.unanswered_input
    return endpoint.cost(input_tokens, totals.output_tokens + totals.unanswered_output)


def read_totals(folder: Path) -> Totals:
    """Return the totals of a ledger's file; damaged lines, such as one that a kill truncated, are skipped."""
    charges: dict[str, Charge] = {}
    totals = Totals()
    path = folder / FILE
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if "model" in entry:
            totals.models.add(entry["model"])
        elif "at_most" in entry:
            charges[entry["id"]] = Charge(*entry["at_most"])
        elif entry["id"] in charges:
            charges[entry["id"]].used = tuple(entry["used"]) if "used" in entry else None
            charges[entry["id"]].free = "free" in entry
    for charge in charges.values():
        _add(totals, charge)
    return totals


def _add(totals: Totals, charge: Charge) -> None:
    if charge.used is not None:
        totals.replies += 1
        totals.input_tokens += charge.used[0]
        totals.output_tokens += charge.used[1]
    elif not charge.free:
        totals.unanswered += 1
        totals.unanswered_input += charge.input_tokens
        totals.unanswered_output += charge.output_tokens
