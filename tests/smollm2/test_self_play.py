"""Self-play of a real policy: it answers and rewrites 40 prompts, and is trained on what a classifier prefers.

The classifier is trained in the test and has no merit (reward.py), so nothing is said of the trained policy's quality.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from apm_exp.core.types import Policy
from tests.command import command, environment
from tests.smollm2.reward import reward_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SECONDS = 1700  # some 4 minutes on a quiet machine
PROMPTS = Path(__file__).parent / "prompts.jsonl"
SETTINGS = (
    *("pipeline=evolve_then_select", "iterations=1", "evolve=rewrite", "evolve.strategies=[deepening]"),
    *("generate.samples=2", "generate.max_new_tokens=48", "keep.fraction=0.5", "tracking=none"),
    *("trainer.global_batch=4", "trainer.learning_rate=1e-5", "evals={}"),
)


@pytest.fixture(scope="module")
def steps(smollm2: Policy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of a run's steps, by their names."""
    root = tmp_path_factory.mktemp("self_play")
    reward = ("reward=classifier", f"reward.path={reward_folder(root / 'reward', smollm2.folder)}")
    model = ("model=local", f"model.path={smollm2.folder}", "model.dtype=float32", "reward.dtype=float32")
    line = command("dataset=jsonl", f"dataset.path={PROMPTS}", *model, *reward, *SETTINGS)
    result = subprocess.run(line, cwd=root, env=environment(), capture_output=True, text=True, timeout=SECONDS)
    assert result.returncode == 0, result.stderr
    run = root / "outputs" / "runs" / "latest"
    assert (run / "report" / "report.html").is_file()
    return {path.name: path.resolve() for path in run.iterdir() if (path / "done").is_file()}


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return pq.read_table(folder / f"{name}.parquet").to_pylist()


def refused(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "refused.jsonl").read_text().splitlines()]


def test_every_rewrite_is_an_evolved_prompt_or_a_refusal_with_a_reason(steps: dict[str, Path]) -> None:
    evolved, others = rows(steps["prompts.1-evolved"], "prompts"), refused(steps["prompts.1-evolved"])
    parents = {row["prompt_id"] for row in rows(steps["prompts"], "prompts")}
    assert len(parents) == 40
    assert len(evolved) + len(others) == 40
    assert len(evolved) >= 8
    assert {row["parent_id"] for row in evolved} <= parents
    assert {row["strategy"] for row in evolved} == {"deepening"}
    assert all(row["reason"] for row in others)


def test_the_policy_is_trained_on_all_its_pairs_and_on_half_of_those_of_evolved_prompts(steps: dict[str, Path]) -> None:
    counts = {name: json.loads((folder / "done").read_text())["counts"] for name, folder in steps.items()}
    base, best = counts["selection.1"], counts["selection.1-evolved"]
    assert base["kept"] == base["pairs"] > 30
    assert best["kept"] == best["pairs"] // 2
    assert counts["policy.1"]["pairs"] == base["kept"] + best["kept"]
    assert (steps["policy.1"] / "final" / "model.safetensors").stat().st_size > 2 * 134_515_008
