import os
import subprocess
import sys
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from apm_exp.models.load import load_model, load_tokenizer
from apm_exp.models.score_pairs import score_pairs
from apm_exp.training.deepspeed_setup import check_deepspeed, stage_of
from apm_exp.training.metrics_file import read_rows
from tests.training.cases import deepspeed, logps_table, moved


def write_tied(policy, folder):
    """The policy with its embedding as output head."""
    model = load_model(policy, "cpu")
    model.config.tie_word_embeddings = True
    model.tie_weights()
    model.save_pretrained(folder)
    load_tokenizer(policy).save_pretrained(folder)
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    return replace(policy, folder=folder)


def final_weights(out):
    """The trained weights; DeepSpeed writes a tied output head a second time, which must be the embedding's equal."""
    weights = load_file(out / "final" / "model.safetensors")
    head = weights.pop("lm_head.weight", weights["model.embed_tokens.weight"])
    assert torch.equal(head, weights["model.embed_tokens.weight"])
    return weights


def scored_by(policy, pairs):
    """Rows of logps.parquet of the pairs under this policy."""
    names = [f"p{index:02d}" for index in range(len(pairs))]
    values = {index: logps for index, *logps in score_pairs(load_model(policy, "cpu"), pairs, names, 1000)}
    return logps_table(pairs, [values[index] for index in range(len(pairs))], ["train"] * len(pairs))


@pytest.mark.skipif(sys.platform != "linux", reason="DeepSpeed is installed on Linux only")
def test_zero2_in_one_process_on_the_cpu_trains_as_without(tmp_path, tiny_policy, tiny_pairs):
    """11 pairs in batches of 8 = 4 x 2: the last batch of an epoch is 2 + 1. No compiler, and no trace afterwards.

    The policy's output head is its embedding, which ZeRO-3 divides as one weight.
    """
    policy = write_tied(tiny_policy, tmp_path / "policy")
    pq.write_table(scored_by(policy, tiny_pairs[:11]), tmp_path / "pairs.parquet")
    no_compiler = {"CC": "/bin/false", "CXX": "/bin/false", "TORCH_EXTENSIONS_DIR": str(tmp_path / "built")}
    command = [sys.executable, "-m", "tests.training.zero2_then_none", str(tmp_path)]
    done = subprocess.run(
        command, env=os.environ | no_compiler, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    zero2, none, again = (read_rows(tmp_path / name / "metrics.jsonl") for name in ("zero2", "none", "again"))
    assert [row["pairs_seen"] for row in zero2] == [8, 11, 19, 22]
    for name in ("loss", "grad_norm", "learning_rate", "rewards/margins"):
        torch.testing.assert_close([r[name] for r in zero2], [r[name] for r in none], atol=1e-5, rtol=1e-5)
    assert [row["loss"] for row in again] == [row["loss"] for row in zero2]
    offload = read_rows(
        tmp_path / "offload" / "metrics.jsonl"
    )  # one epoch, so another learning rate in its second step
    assert [row["loss"] for row in offload] == pytest.approx([row["loss"] for row in none[:2]], abs=1e-5)
    assert not (tmp_path / "built").exists()
    first = read_rows(tmp_path / "rough" / "metrics.jsonl")[0]  # the sum of ten log-probs has a spacing of 0.25 there
    assert max(abs(first[name]) for name in ("rewards/chosen", "rewards/rejected")) < 2e-3
    (free,) = read_rows(tmp_path / "free" / "metrics.jsonl")
    assert moved(policy, tmp_path / "free") == pytest.approx(free["grad_norm"], rel=1e-3)
    assert free["grad_norm"] > 1
    weights = (final_weights(tmp_path / name) for name in ("zero2", "none"))
    torch.testing.assert_close(*weights, atol=1e-4, rtol=0)
    assert [path.name for path in (tmp_path / "zero2" / "checkpoints").iterdir()] == ["checkpoint-4"]


@pytest.mark.parametrize(("name", "stage"), [("zero1", 1), ("zero2", 2), ("zero3", 3), ("zero3_offload", 3)])
def test_the_shipped_stages(name, stage):
    check_deepspeed(deepspeed(name))
    assert stage_of(deepspeed(name)) == stage


def test_no_node_is_no_deepspeed():
    check_deepspeed(None)
    assert stage_of(None) is None


def test_deepspeeds_own_class_checks_the_zero_section():
    with pytest.raises(ValueError, match=r"^deepspeed.zero_optimization.stage=7: "):
        check_deepspeed({"zero_optimization": {"stage": 7}})
