"""What a user's own component raises names the component, the error and the line; what others raise stays as it is."""

import importlib
import re
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

from apm_exp.core.own_code import own_code_named
from apm_exp.core.types import MissingRewards, PairScores

SOURCE = """
from apm_exp.core.component import locate

def metric(scores):
    return {}["value"]

def keep(value_P):
    raise ValueError("two\\nlines")

def loss(pairs):
    return _deeper(pairs)

def _deeper(pairs):
    return 1 / 0

def dataset(path):
    yield {}
    raise RuntimeError("no server")

def rewards(scores):
    return scores.explicit_margin_P

def ours(scores):
    return locate("metric", {"_target_": "nobody.knows"})

def machine(scores):
    raise OSError(28, "No space left on device")
"""
PAIRS = PairScores(np.array(["a"]), None, np.array([0.5]))


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine_that_raises.py").write_text(SOURCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("mine_that_raises")


@pytest.mark.parametrize(
    ("group", "name", "message"),
    [
        ("metric", "metric", "KeyError: 'value' (mine_that_raises.py, line 5)"),
        ("keep", "keep", "two lines (mine_that_raises.py, line 8)"),
        ("loss", "loss", "ZeroDivisionError: division by zero (mine_that_raises.py, line 14)"),
        ("dataset", "dataset", "RuntimeError: no server (mine_that_raises.py, line 18)"),
    ],
)
def test_a_users_own_component_is_named(group: str, name: str, message: str, mine: ModuleType) -> None:
    nodes = {group: {"_target_": f"mine_that_raises.{name}", "setting": 1}, "other": {"_target_": "json.loads"}}
    nodes["another"] = {"_target_": "mine_that_raises.dataset2"}  # of the same file
    expected = f"^{group}._target_=mine_that_raises.{name}: {re.escape(message)}$"
    with pytest.raises(ValueError, match=expected) as error, own_code_named(nodes):
        list(getattr(mine, name)(PAIRS))
    assert error.value.__cause__ is not None  # with its traceback


def test_it_is_named_by_where_it_is_typed(mine: ModuleType) -> None:
    node = {"_target_": "mine_that_raises.metric"}
    with pytest.raises(ValueError, match=r"^evals.mine._target_=mine_that_raises.metric: KeyError"):  # noqa: SIM117
        with own_code_named({"evals": {"mine": node}}):
            mine.metric(PAIRS)
    with (
        pytest.raises(ValueError, match=r"^evals._target_=mine_that_raises.metric: "),
        own_code_named({"evaluation": node}),
    ):
        mine.metric(PAIRS)


@pytest.mark.parametrize(("name", "kind"), [("rewards", MissingRewards), ("ours", ValueError), ("machine", OSError)])
def test_what_is_not_of_the_component_stays_as_it_is(name: str, kind: type[Exception], mine: ModuleType) -> None:
    with pytest.raises(kind) as error, own_code_named({"metric": {"_target_": f"mine_that_raises.{name}"}}):
        getattr(mine, name)(PAIRS)
    assert "mine_that_raises" not in str(error.value)


def test_what_another_raises_stays_as_it_is() -> None:
    with pytest.raises(KeyError), own_code_named({"metric": {"_target_": "mine_that_raises.metric"}}):
        {}["x"]
