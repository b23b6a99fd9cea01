"""What a loss reads of the pairs is known without calling it."""

import subprocess
import sys
from typing import Any

import pytest
import torch

from apm_exp.core.component import trust
from apm_exp.core.types import PairLogps
from apm_exp.training import implicit_reward
from apm_exp.training.implicit_reward import log_ratios
from apm_exp.training.loss_reads import reads_reference, reads_rewards
from apm_exp.training.losses.history import History
from apm_exp.training.objective import bind_loss
from tests.training.losses.nodes import NAMES, node

REFERENCE = ("reference_chosen_logp_B", "reference_rejected_logp_B")
REWARDS = ("rewards_margin_B", "explicit_margin_B")


class Watched:
    """Two pairs that note what is read of them."""

    def __init__(self) -> None:
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> torch.Tensor:
        self.read.add(name)
        lengths, margins = torch.tensor([4.0, 5.0]), torch.tensor([1.0, 2.0])
        return lengths if "len" in name else margins if name in REWARDS else torch.tensor([-3.0, -2.0])


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_a_call_reads(name: str) -> None:
    pairs: Any = Watched()
    bind_loss(node(name), History())(pairs)
    assert reads_reference(node(name)) == bool(pairs.read & {*REFERENCE})
    assert reads_rewards(node(name)) == bool(pairs.read & {*REWARDS})


def by_a_module(pairs: PairLogps) -> torch.Tensor:
    return implicit_reward.log_ratios(pairs)[0]


def by_a_function_inside(pairs: PairLogps) -> torch.Tensor:
    def margin() -> torch.Tensor:
        return sum(reward for reward in [pairs.explicit_margin_B])

    return margin()


def by_a_function_that_calls_itself(pairs: PairLogps, again: bool = True) -> torch.Tensor:
    return by_a_function_that_calls_itself(pairs, False) if again else log_ratios(pairs)[0]


def neither(pairs: PairLogps) -> torch.Tensor:
    return pairs.chosen_logp_B - pairs.rejected_logp_B


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (by_a_module, (True, False)),
        (by_a_function_inside, (False, True)),
        (by_a_function_that_calls_itself, (True, False)),
        (neither, (False, False)),
    ],
)
def test_functions_that_a_loss_calls_are_looked_into(function: Any, expected: tuple[bool, bool]) -> None:
    trust(["tests"])
    loss = {"_target_": f"{__name__}.{function.__name__}"}
    assert (reads_reference(loss), reads_rewards(loss)) == expected


def test_it_imports_no_torch() -> None:
    losses = [node(name) for name in NAMES]
    code = f"import sys; from apm_exp.training.loss_reads import *; print([*map(reads_rewards, {losses})].count(True),"
    code += " {'torch', 'transformers'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "2 set()"
