"""A global batch is one batch, however it is cut into forwards, and each pair weighs the same in it."""

import torch
from safetensors.torch import load_file

from tests.training.cases import DPO, runtime, task, trained


def test_4_x_2_equals_1_x_8_also_in_the_last_small_batch(tmp_path, tiny_policy, scored):
    """11 pairs: 8, and then 3, which are 2 + 1 where forwards take 2."""
    pairs = scored.slice(0, 11)
    rows, weights = [], []
    for per_device in (2, 8):
        out = tmp_path / str(per_device)
        given = task(out, tiny_policy, pairs, runtime=runtime(pairs_per_device=per_device))
        rows.append(trained(given, global_batch=8, epochs=2))
        weights.append(load_file(out / "final" / "model.safetensors"))
    assert [row["pairs_seen"] for row in rows[0]] == [row["pairs_seen"] for row in rows[1]] == [8, 11, 19, 22]
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
