"""A training from end to end, in one process."""

import weakref
from typing import Any

import pytest

from apm_exp.training import run
from tests.training.cases import task, trained


def test_the_saved_policy_is_opened_beside_nothing_else(
    tmp_path, tiny_policy, scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer, with the model and the optimizer's states, is gone: what is measured is the larger of the two."""
    made: list[weakref.ref[Any]] = []
    make, check = run.make_trainer, run.check_final

    def make_and_watch(*given: Any) -> Any:
        trainer = make(*given)
        made.extend((weakref.ref(trainer), weakref.ref(trainer.model)))
        return trainer

    def check_alone(*given: Any) -> None:
        assert [one() for one in made] == [None, None]
        check(*given)

    monkeypatch.setattr(run, "make_trainer", make_and_watch)
    monkeypatch.setattr(run, "check_final", check_alone)
    trained(task(tmp_path, tiny_policy, scored.slice(0, 4)))
    assert len(made) == 2
