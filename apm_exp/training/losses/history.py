"""The state that a loss may keep during a training: passed to a loss with a second parameter `history`."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from apm_exp.core.files import write_json

if TYPE_CHECKING:
    from torch import Tensor

FILE = "loss_history.json"
AllPairs = tuple["Tensor", slice]
Gather = Callable[["Tensor"], AllPairs]


def _alone(value_B: "Tensor") -> AllPairs:
    return value_B, slice(0, len(value_B))


@dataclass(eq=False)
class History:
    """Running averages of a loss, equal in all processes, and the position in the training.

    seed: the training's. epochs: passes over the pairs so far, as a fraction; set before each forward. frozen: averages
    do not change, as in an evaluation. gather: maps one value per pair of this process's forward to the values of all
    processes' forwards, in the same order everywhere, and the slice that is this process's own. averages: the sum and
    the sum of weights, by name. forwards: the number counted so far.
    """

    seed: int = 0
    gather: Gather = _alone
    epochs: float = 0.0
    frozen: bool = False
    forwards: int = 0
    averages: dict[str, tuple[float, float]] = field(default_factory=dict)

    def exponential(self, name: str, value: float, *, decay: float, bias_corrected: bool) -> float:
        """Return the exponential moving average of a number, after adding this value with weight 1 - decay.

        It starts at 0; bias_corrected divides by the sum of weights, as Adam does (Kingma & Ba, 2015, Sec. 3).
        """
        total, weight = self.averages.get(name, (0.0, 0.0))
        if not self.frozen:
            total, weight = decay * total + (1 - decay) * value, decay * weight + (1 - decay)
            self.averages[name] = total, weight
        if not weight:
            return value
        return total / weight if bias_corrected else total

    def mean(self, name: str, value_N: "Tensor") -> float:
        """Return the mean of all numbers so far, including these."""
        total, count = self.averages.get(name, (0.0, 0.0))
        if not self.frozen:
            total, count = total + value_N.double().sum().item(), count + len(value_N)
            self.averages[name] = total, count
        return total / count if count else value_N.double().mean().item()

    def count_forward(self) -> int:
        """Return the number of this forward, starting at 0."""
        number = self.forwards
        if not self.frozen:
            self.forwards += 1
        return number

    def save(self, folder: Path) -> None:
        """Save the state in a checkpoint; JSON stores the numbers exactly."""
        write_json({"forwards": self.forwards, "averages": self.averages}, folder / FILE)

    def load(self, folder: Path) -> None:
        """Restore the state from a checkpoint."""
        state = json.loads((folder / FILE).read_text())
        self.forwards = state["forwards"]
        self.averages = {name: (total, weight) for name, (total, weight) in state["averages"].items()}
