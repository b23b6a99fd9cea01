"""Every objective that ships trains on the micro world's scored pairs."""

import math
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

from apm_exp.core.artifact import Artifact
from apm_exp.core.types import Policy
from apm_exp.pipeline.stages.train import selected_pairs
from tests.command import small_run
from tests.training.cases import runtime, task, trained
from tests.training.losses.nodes import NAMES, node


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Policy, pa.Table]:
    """The small micro world's starting policy and its selected pairs."""
    root = tmp_path_factory.mktemp("world")
    result = small_run(root)
    assert result.returncode == 0, result.stderr
    run = root / "outputs" / "runs" / "latest"
    part = {name: Artifact(name, run / name, "k", {}, 0.0) for name in ("logps", "rewards", "selection")}
    return Policy(run / "models" / "final", "small", "float32", "auto", False), selected_pairs([part])


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_finite_and_moves_the_weights(tmp_path, world, name):
    policy, pairs = world
    given = task(tmp_path, policy, pairs.slice(0, 8), loss=node(name), runtime=runtime(pairs_per_device=4))
    (row,) = trained(given, global_batch=8, epochs=1, learning_rate=1e-4)
    assert math.isfinite(row["loss"])
    assert row["grad_norm"] > 0
    before, after = (load_file(Path(folder) / "model.safetensors") for folder in (policy.folder, tmp_path / "final"))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)
