"""Training in two processes: the same steps as in one, also where one of them has no pair, and resumed bit by bit.

9 pairs in batches of 8 for 5 epochs are 10 steps; in every second one the only pair is the first process's.
"""

import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file

from apm_exp.core import component
from apm_exp.training.metrics_file import read_rows
from tests.pipeline.stages.training_stage import run_stage, write_inputs
from tests.training.adapters.nodes import adapter
from tests.training.cases import deepspeed, runtime, trainer
from tests.training.losses.nodes import node

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ranks and DeepSpeed are for Linux")
CHECKPOINTS = {"save_every": 5, "keep_checkpoints": 2}


@pytest.fixture(scope="module")
def train(tmp_path_factory, tiny_policy, scored):
    """Trains on 9 pairs in a folder of this name; returns the folder, with what `log` was given in `logged`."""
    folder = tmp_path_factory.mktemp("ranks")
    write_inputs(folder, scored, ["train"] * 12, [True] * 9 + [False] * 3)

    def train(name, *, processes, pairs_per_device, logged=None, checkpointing=False, **changes):
        rows = [] if logged is None else logged
        settings = trainer(epochs=5, global_batch=8, gradient_checkpointing=checkpointing)
        given = runtime(processes=processes, pairs_per_device=pairs_per_device)
        counts = run_stage(folder / name, folder, tiny_policy, rows.append, trainer=settings, runtime=given, **changes)
        assert counts.pop("moved") > 0.9
        assert counts == {"pairs": 9, "optimizer_steps": 10}
        return folder / name

    return train


@pytest.fixture(scope="module")
def one_by_eight(train):
    return train("1x8", processes=1, pairs_per_device=8)


def assert_equal(out, other):
    rows, others = read_rows(out / "metrics.jsonl"), read_rows(other / "metrics.jsonl")
    assert [row["pairs_seen"] for row in rows] == [row["pairs_seen"] for row in others]
    assert [row["pairs_seen"] for row in rows][:4] == [8, 9, 17, 18]
    for name in ("loss", "grad_norm", "learning_rate", "rewards/margins", "chosen_logp"):
        torch.testing.assert_close([r[name] for r in rows], [r[name] for r in others], atol=1e-5, rtol=1e-5)
    weights = (load_file(folder / "final" / "model.safetensors") for folder in (out, other))
    torch.testing.assert_close(*weights, atol=1e-4, rtol=0)


def without_the_end(out, name):
    """A copy in which the newest checkpoint is half-written, so that another attempt goes on from step 5."""
    copy = out.with_name(name)
    shutil.copytree(out, copy)
    shutil.rmtree(copy / "final")
    (copy / "checkpoints" / "checkpoint-10" / "COMPLETE").unlink()
    return copy


def test_8_x_1_equals_1_x_8(train, one_by_eight):
    assert_equal(train("8x1", processes=1, pairs_per_device=1), one_by_eight)


def test_two_ranks_with_four_pairs_each_equal_one_with_eight(train, one_by_eight):
    logged = []
    two = train("2x4", processes=2, pairs_per_device=4, logged=logged, checkpoints=CHECKPOINTS)
    assert_equal(two, one_by_eight)
    assert logged == read_rows(two / "metrics.jsonl")
    alone = without_the_end(two, "alone")
    train("alone", processes=1, pairs_per_device=8, checkpoints=CHECKPOINTS)
    assert_equal(alone, one_by_eight)


def test_zero3_in_two_ranks_with_checkpointed_activations_and_with_a_rank_that_is_killed(
    train, one_by_eight, tmp_path, monkeypatch
):
    """Killed (`kill -9`) in step 7, and so trained again from step 5."""
    zero3 = {"processes": 2, "pairs_per_device": 2, "checkpointing": True, "deepspeed": deepspeed("zero3")}
    whole = train("zero3", **zero3, checkpoints=CHECKPOINTS)
    assert_equal(whole, one_by_eight)
    assert "padded" not in (whole / "ranks" / "0.log").read_text()
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", "tests"})
    (fuse := tmp_path / "fuse").touch()
    loss = {"_target_": "tests.training.bad_losses.dpo_with_a_death", "beta": 0.5, "fuse": str(fuse)}
    with pytest.raises(ValueError, match=r"^rank 1 was killed \(SIGKILL; .* re-run the same command to resume"):
        train("killed", **zero3, checkpoints=CHECKPOINTS, loss=loss)
    logged = []
    killed = train("killed", **zero3, checkpoints=CHECKPOINTS, loss=loss, logged=logged)
    assert [row["step"] for row in logged] == [6, 7, 8, 9, 10]
    weights = [(out / "final" / "model.safetensors").read_bytes() for out in (whole, killed)]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_a_loss_with_a_history_is_the_same_in_two_ranks_and_goes_on_with_it(train, one_by_eight):
    """The running mean and spread, and the draw of pairs, are of all processes' pairs and part of a checkpoint."""
    loss = node("beta_dpo", beta_slope=2.0, drop_fraction=0.25)
    one = train("history", processes=1, pairs_per_device=8, loss=loss)
    two = train("history 2x4", processes=2, pairs_per_device=4, loss=loss, checkpoints=CHECKPOINTS)
    assert_equal(two, one)
    losses = [[row["loss"] for row in read_rows(out / "metrics.jsonl")] for out in (one, one_by_eight)]
    assert losses[0][:2] == pytest.approx(losses[1][:2])
    assert losses[0][2:] != pytest.approx(losses[1][2:])
    again = without_the_end(two, "history again")
    train("history again", processes=1, pairs_per_device=8, loss=loss, checkpoints=CHECKPOINTS)
    assert_equal(again, one)


@pytest.mark.slow
def test_lora_under_zero3_in_two_ranks_equals_one_process(train):
    """peft's folder is gathered from both; the merged policy is made of it and of the starting policy's folder."""
    lora = adapter("lora", rank=4, alpha=8.0)
    one = train("lora", processes=1, pairs_per_device=8, adapter=lora)
    two = train("lora_zero3", processes=2, pairs_per_device=4, deepspeed=deepspeed("zero3"), adapter=lora)
    assert_equal(two, one)
    assert read_rows(one / "metrics.jsonl")[-1]["loss"] < 0.69
    weights = [load_file(out / "adapter" / "adapter_model.safetensors") for out in (one, two)]
    torch.testing.assert_close(*weights, atol=1e-4, rtol=0)
