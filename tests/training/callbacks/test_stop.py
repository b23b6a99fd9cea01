"""SIGTERM in a training: a checkpoint at the end of the step, no policy, and the same bits when it goes on."""

import os
import signal
from unittest.mock import ANY

import pytest

from apm_exp.core.errors import Stopped
from apm_exp.training.metrics_file import read_rows
from tests.pipeline.stages.training_stage import run_stage, write_inputs


def test_a_training_that_is_told_to_stop_saves_and_goes_on_bit_by_bit(tmp_path, scored, tiny_policy):
    """Told after step 1 of 4, and so in step 2. No checkpoint would be due."""
    write_inputs(tmp_path, scored, ["train"] * 12, [True] * 8 + [False] * 4)
    never = {"checkpoints": {"save_every": None, "keep_checkpoints": 0}}
    run_stage(tmp_path / "whole", tmp_path, tiny_policy, lambda row: None, **never)
    out = tmp_path / "stopped"
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(
        Stopped, match=r"^the training stopped at optimizer step 2 of 4 after SIGTERM .*the same command"
    ):
        run_stage(out, tmp_path, tiny_policy, lambda row: os.kill(os.getpid(), signal.SIGTERM), **never)
    assert signal.getsignal(signal.SIGTERM) == before
    assert not (out / "final").exists()
    assert (out / "checkpoints" / "checkpoint-2" / "COMPLETE").exists()
    logged = []
    counts = {"pairs": 8, "optimizer_steps": 4, "moved": ANY}
    assert run_stage(out, tmp_path, tiny_policy, logged.append, **never) == counts
    assert [row["step"] for row in logged] == [3, 4]
    assert len(read_rows(out / "metrics.jsonl")) == 4
    weights = [(folder / "final" / "model.safetensors").read_bytes() for folder in (out, tmp_path / "whole")]
    assert weights[0] == weights[1]
