"""Our training against TRL's own trainers: the same tokens, order, batches and schedule, step by step."""

import pytest
import torch

from tests.training.cases import DPO, SIMPO, moved, task, trained

STEPS = 6


@pytest.mark.parametrize("loss", [DPO, SIMPO], ids=["dpo", "simpo"])
def test_equals_trl_step_by_step(loss, tmp_path, tiny_policy, scored):
    ours, theirs = (
        trained(task(tmp_path / name, tiny_policy, scored, loss=loss), implementation=name, epochs=2)
        for name in ("pairs", "trl")
    )
    assert [row["step"] for row in ours] == [row["step"] for row in theirs] == list(range(1, STEPS + 1))
    assert ours[-1]["loss"] < ours[0]["loss"] - 0.1  # the steps do change the policy
    names = ("loss", "rewards/margins", "rewards/chosen", "rewards/rejected", "learning_rate", "grad_norm")
    for name in names:
        torch.testing.assert_close([row[name] for row in theirs], [row[name] for row in ours], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("implementation", ["pairs", "trl"])
@pytest.mark.parametrize("most", [None, 0.25])
def test_gradients_are_clipped_to_what_is_said_or_not_at_all(tmp_path, tiny_policy, scored, implementation, most):
    """A step of SGD moves the weights by learning rate times gradient."""
    given = task(tmp_path, tiny_policy, scored)
    settings = {"optimizer": "sgd", "max_grad_norm": most, "args": {"max_steps": 1}}
    (row,) = trained(given, implementation=implementation, **settings)
    assert row["grad_norm"] > 1  # as it was before clipping
    assert moved(tiny_policy, tmp_path) == pytest.approx(most or row["grad_norm"], rel=1e-3)


def test_trl_has_no_other_loss(tmp_path, tiny_policy, scored):
    loss = {"_target_": "apm_exp.training.losses.hinge.hinge", "beta": 1.0, "margin": 1.0}
    with pytest.raises(ValueError, match=r"^trainer=trl: TRL has no equivalent of loss=hinge"):
        trained(task(tmp_path, tiny_policy, scored, loss=loss), implementation="trl")
