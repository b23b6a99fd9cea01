import shutil
import signal
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from apm_exp.core.types import Policy
from apm_exp.models.load import load_model, load_tokenizer
from apm_exp.models.pair_forward import pair_forward
from apm_exp.pipeline.stages.train import selected_pairs
from apm_exp.training import run as run_module
from apm_exp.training.metrics_file import read_rows
from tests.pipeline.stages.training_stage import part, run_stage, write_inputs

COUNTS = {"pairs": 8, "optimizer_steps": 4, "moved": pytest.approx(1.0, abs=0.05)}

SPLITS = ["train"] * 10 + ["held_out"] * 2
KEPT = [True, False, True, True, True, True, False, True, True, True, False, False]
SELECTED = ["p00", "p02", "p03", "p04", "p05", "p07", "p08", "p09"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, scored, tiny_policy):
    """Inputs of the stage, and `whole`: a training of 8 pairs for 2 epochs that nothing interrupted."""
    folder = tmp_path_factory.mktemp("train")
    write_inputs(folder, scored, SPLITS, KEPT)
    shutil.copytree(tiny_policy.folder, folder / "policy")
    return folder


@pytest.fixture(scope="module")
def whole(folder, tiny_policy):
    logged = []
    counts = run_stage(folder / "whole", folder, tiny_policy, log=logged.append)
    return counts, logged


def test_trains_exactly_the_selected_pairs(folder, whole):
    counts, logged = whole
    pairs = selected_pairs([part(folder)])
    assert pairs["pair_id"].to_pylist() == SELECTED
    assert pairs["explicit_margin"].to_pylist() == [0, 2, 3, 4, 5, 7, 8, 9]
    assert counts == COUNTS
    assert [row["pairs_seen"] for row in logged] == [4, 8, 12, 16]
    assert read_rows(folder / "whole" / "metrics.jsonl") == logged
    names = {"step", "epoch", "loss", "learning_rate", "grad_norm", "chosen_logp", "rejected_logp", "seconds"}
    assert names | {"implicit_margin", "rewards/accuracies", "rewards/margins"} <= set(logged[0])
    assert logged[-1]["rewards/margins"] > 0.05


def test_final_is_an_ordinary_folder_that_has_changed(folder, whole, tiny_policy, tiny_pairs):
    final = folder / "whole" / "final"
    assert not list(final.glob("*.bin"))
    assert not (folder / "whole" / "checkpoints").exists()
    policy = Policy(final, "trained", "float32", "auto", False)
    assert load_tokenizer(policy).get_vocab() == load_tokenizer(tiny_policy).get_vocab()
    assert load_tokenizer(policy).chat_template == load_tokenizer(tiny_policy).chat_template
    with torch.inference_mode():
        before, after = (pair_forward(load_model(p, "cpu"), tiny_pairs) for p in (tiny_policy, policy))
    rows = [int(name[1:]) for name in SELECTED]
    gained = (after.chosen_logp_B - before.chosen_logp_B) - (after.rejected_logp_B - before.rejected_logp_B)
    assert (gained[rows] > 0).all()


@pytest.mark.usefixtures("whole")
def test_killed_and_started_again_ends_with_the_same_bits(folder, tiny_policy, caplog):
    """Killed after step 3; the checkpoint of step 2 is whole; later ones, and the log, are damaged."""
    command = [sys.executable, "-m", "tests.pipeline.stages.killed_training", str(folder), "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    killed = folder / "killed"
    assert [row["step"] for row in read_rows(killed / "metrics.jsonl")] == [1, 2, 3]
    damaged, half = (killed / "checkpoints" / f"checkpoint-{step}" for step in (3, 4))
    for later in (damaged, half):
        shutil.copytree(killed / "checkpoints" / "checkpoint-2", later)
    (half / "COMPLETE").unlink()
    state = damaged / "trainer_state.json"
    state.write_text(state.read_text().replace('"global_step": 2', '"global_step": 3'))
    (killed / "metrics.jsonl").write_bytes(b"\xff\n")
    logged = []
    assert run_stage(killed, folder, tiny_policy, log=logged.append) == COUNTS
    assert "checkpoint-4 is incomplete" in caplog.text
    assert "checkpoint-3: trainer_state.json has changed since it was written; renamed to" in caplog.text
    assert "metrics.jsonl: damaged; restored" in caplog.text
    assert not (killed / "checkpoints").exists()
    assert [row["step"] for row in logged] == [3, 4]
    weights = [(folder / name / "final" / "model.safetensors").read_bytes() for name in ("killed", "whole")]
    assert weights[0] == weights[1]
    rows = [read_rows(folder / name / "metrics.jsonl") for name in ("killed", "whole")]
    for row in (*rows[0], *rows[1]):
        del row["seconds"]
    assert rows[0] == rows[1]


@pytest.mark.usefixtures("whole")
def test_a_policy_that_could_not_be_saved_is_saved_by_the_next_attempt_without_a_step(folder, tiny_policy, monkeypatch):
    def full_disk(*given):
        raise OSError(28, "No space left on device")

    out = folder / "full"
    with monkeypatch.context() as patched:
        patched.setattr(run_module, "save_final", full_disk)
        with pytest.raises(OSError, match="No space left"):
            run_stage(out, folder, tiny_policy, log=lambda row: None)
    assert not (out / "final").exists()
    logged = []
    assert run_stage(out, folder, tiny_policy, log=logged.append) == COUNTS
    assert logged == []
    weights = [(folder / name / "final" / "model.safetensors").read_bytes() for name in ("full", "whole")]
    assert weights[0] == weights[1]


def test_a_selected_pair_without_log_probs_is_an_error(tmp_path, scored):
    write_inputs(tmp_path, scored, SPLITS, KEPT)
    rows = pq.read_table(tmp_path / "logps" / "logps.parquet").slice(3)
    pq.write_table(rows, tmp_path / "logps" / "logps.parquet")
    with pytest.raises(AssertionError, match="a selected pair has no log-probs"):
        selected_pairs([part(tmp_path)])


def test_a_selection_that_keeps_nothing_is_an_error(tmp_path, scored):
    write_inputs(tmp_path, scored, SPLITS, [False] * 12)
    with pytest.raises(ValueError, match=r"^keep: no pair was kept"):
        selected_pairs([part(tmp_path)])


def test_a_training_of_two_parts_has_the_pairs_of_both_by_pair_id(folder, tmp_path, scored):
    """The second part has the pairs that the first one leaves out, and other rewards."""
    write_inputs(tmp_path, scored, SPLITS, [not kept for kept in KEPT])
    pairs = selected_pairs([part(tmp_path), part(folder)])
    assert pairs["pair_id"].to_pylist() == [f"p{row:02d}" for row in range(10)]
    assert pairs["explicit_margin"].to_pylist() == [*range(10)]


def test_a_pair_of_two_parts_is_an_error_that_names_both(folder, tmp_path, scored):
    write_inputs(tmp_path, scored, SPLITS, [row == 3 for row in range(12)])
    both = f"{folder / 'selection'} and {tmp_path / 'selection'}"
    with pytest.raises(
        ValueError, match=rf"^pipeline: two parts .* keep the same 1 pairs, the first is p03 \({both}\)"
    ):
        selected_pairs([part(folder), part(tmp_path)])


def test_rewards_that_a_kept_pair_lacks_leave_the_margins_out(tmp_path, scored):
    write_inputs(tmp_path, scored, SPLITS, KEPT)
    file = tmp_path / "rewards" / "rewards.parquet"
    rows = pq.read_table(file).to_pylist()
    rows[1]["chosen_reward"] = None  # p01, which is not kept
    pq.write_table(pa.Table.from_pylist(rows), file)
    assert selected_pairs([part(tmp_path)])["explicit_margin"].null_count == 0
    rows[3]["chosen_reward"] = None
    pq.write_table(pa.Table.from_pylist(rows), file)
    assert selected_pairs([part(tmp_path)])["explicit_margin"].null_count == len(SELECTED)
