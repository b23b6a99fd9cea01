"""How a step is computed changes nothing but time and memory: forwards, checkpointing, dtype within its noise."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from tests.training.cases import DPO, runtime, task, trained
from tests.training.losses.nodes import node

RISING = node("margin_sigmoid", delta=0.6, curriculum_epochs=2.0)


@pytest.mark.parametrize("loss", [DPO, RISING], ids=["dpo", "margin_sigmoid"])
def test_4_x_2_equals_1_x_8_also_in_the_last_small_batch(tmp_path, tiny_policy, scored, loss):
    """11 pairs: 8, and then 3, which are 2 + 1 where forwards take 2. Half an epoch is one of its two steps."""
    pairs = scored.slice(0, 11)
    rows, weights = [], []
    for per_device in (2, 8):
        out = tmp_path / str(per_device)
        given = task(out, tiny_policy, pairs, loss=loss, runtime=runtime(pairs_per_device=per_device))
        rows.append(trained(given, global_batch=8, epochs=2))
        weights.append(load_file(out / "final" / "model.safetensors"))
    assert [row["pairs_seen"] for row in rows[0]] == [row["pairs_seen"] for row in rows[1]] == [8, 11, 19, 22]
    assert [row["epoch"] for row in rows[0]] == [row["epoch"] for row in rows[1]] == [0.5, 1.0, 1.5, 2.0]
    for name in ("loss", "grad_norm", "rewards/margins", "chosen_logp"):
        torch.testing.assert_close([r[name] for r in rows[0]], [r[name] for r in rows[1]], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(weights[0], weights[1], atol=1e-4, rtol=0)


def test_the_first_loss_is_the_mean_over_its_pairs(tmp_path, tiny_policy, scored):
    """Before the first step a policy is its own reference: DPO's loss is log 2, its rewards are 0."""
    first = trained(task(tmp_path, tiny_policy, scored, loss=DPO), global_batch=12, epochs=1)[0]
    assert abs(first["loss"] - 0.6931472) < 1e-5
    assert abs(first["rewards/chosen"]) < 1e-5
    values = scored.to_pydict()
    expected = sum(logp / length for logp, length in zip(values["chosen_logp"], values["chosen_len"], strict=True)) / 12
    assert abs(first["chosen_logp"] - expected) < 1e-5


def test_gradient_checkpointing_changes_nothing(tmp_path, tiny_policy, scored):
    rows = [
        trained(task(tmp_path / str(value), tiny_policy, scored), gradient_checkpointing=value)
        for value in (False, True)
    ]
    for name in ("loss", "grad_norm"):
        torch.testing.assert_close([r[name] for r in rows[0]], [r[name] for r in rows[1]], atol=1e-6, rtol=1e-6)


def test_a_bfloat16_policy_is_trained_in_float32_and_saved_in_bfloat16(tmp_path, tiny_policy, scored):
    """A learning rate whose single updates are far below bfloat16's spacing still moves the weights."""
    policy = replace(tiny_policy, dtype="bfloat16")
    exact = trained(task(tmp_path / "exact", tiny_policy, scored), learning_rate=1e-4, epochs=4)
    rough = trained(task(tmp_path / "rough", policy, scored), learning_rate=1e-4, epochs=4)
    torch.testing.assert_close([r["loss"] for r in rough], [r["loss"] for r in exact], atol=0.05, rtol=0)
    assert rough[-1]["rewards/margins"] > 0.02
    weights = load_file(tmp_path / "rough" / "final" / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}


def test_a_training_of_some_steps_warms_up_in_a_part_of_them(tmp_path, tiny_policy, scored):
    rows = trained(task(tmp_path, tiny_policy, scored), epochs=7, warmup_ratio=0.5, args={"max_steps": 4})
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.0, 5e-4, 1e-3, 5e-4])
