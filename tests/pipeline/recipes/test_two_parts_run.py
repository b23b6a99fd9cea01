"""Two iterations with two united parts, as a user runs them: trained, resumed, and built again where that was asked."""

import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from apm_exp.report.export.task import export
from tests.command import apm_exp, command, environment, folders
from tests.pipeline.recipes.test_two_parts import RECIPE

LINE = [*RECIPE, "iterations=2", "trusted_packages=[tests]", "dataset.prompts=24", "model.steps=20"]
LINE += ["evals.win_rate.prompts.prompts=8", "evals.win_rate.generate.samples=1", "tracking=none"]
REPOSITORY = str(Path(__file__).parents[3])


def run(root: Path, *overrides: str) -> tuple[str, dict[str, Any]]:
    """What the command says, and the record of its run."""
    typed = {override.partition("=")[0] for override in overrides}
    line = [override for override in LINE if override.partition("=")[0] not in typed]
    result = apm_exp(root, *line, *overrides)
    assert result.returncode == 0, result.stderr
    record = json.loads((root / "outputs/runs/latest/result.json").read_text())
    return result.stderr, record


def made(record: dict[str, Any]) -> list[str]:
    """The steps that a run has not reused."""
    return [name for name, step in record["steps"].items() if step["state"] != "reused"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("two_parts")
    run(root)
    return root


def test_a_training_has_the_pairs_of_both_parts(root: Path) -> None:
    latest = root / "outputs/runs/latest"
    for iteration in ("1", "2"):
        kept = [
            int(pq.read_table(latest / name / "selection.parquet")["kept"].to_numpy().sum())
            for name in (f"selection.{iteration}", f"selection.{iteration}-further")
        ]
        trained = json.loads((latest / f"policy.{iteration}" / "done").read_text())["counts"]
        assert trained["pairs"] == sum(kept)
        assert kept[0] > kept[1] > 0  # all of the first part, the best of the second


def test_the_second_iteration_starts_from_the_policy_of_the_first(root: Path) -> None:
    done = json.loads((root / "outputs/runs/latest/policy.2/done").read_text())
    first = (root / "outputs/runs/latest/policy.1").resolve().name
    assert f"policy/{first}" in done["inputs"]


def test_what_exists_is_reused_and_what_is_named_is_built_again_with_what_follows(root: Path) -> None:
    assert made(run(root)[1]) == []
    following = ["generations.win_rate", "rewards.win_rate", "evaluation.win_rate", "evaluation.held_out_pairs"]
    assert made(run(root, "rebuild=policy.2")[1]) == ["policy.2", *following, "report"]


def test_an_export_has_the_kept_pairs_of_both_parts_of_the_last_training(root: Path, tmp_path: Path) -> None:
    first = min((root / "outputs/runs").glob("2*"))
    settings = {"path": str(tmp_path / "pairs"), "overwrite": False, "policy": True, "push": None, "private": True}
    settings["sort"] = "pair_id"
    export(root / "outputs", first.name, settings)
    (file,) = (tmp_path / "pairs/data").glob("train-*")
    exported = [(row["part"], row["pair_id"]) for row in pq.read_table(file).to_pylist()]
    kept = []
    for part in ("2", "2-further"):
        table = pq.read_table(first / f"selection.{part}" / "selection.parquet")
        kept += [(part, name) for name in table.filter(table["kept"])["pair_id"].to_pylist()]
    assert exported == kept
    card = (tmp_path / "pairs/README.md").read_text()
    counted = [f"| kept, part {part} | {sum(part == own for own, _ in kept)} of " for part in ("2", "2-further")]
    for expected in ("| policy that was scored | policy.1 of the same run (key ", "| rule, part 2-further |", *counted):
        assert expected in card, expected
    assert "## Select the same pairs again" not in card
    assert "| trainings | 2, each from" in (tmp_path / "pairs/policy/README.md").read_text()


def test_another_reward_builds_no_responses_of_the_first_iteration(root: Path) -> None:
    before = {path.name for path in folders(root, "generations")}
    _, record = run(root, "reward.noise=0", "until=pairs")
    assert made(record) == ["rewards.1-responses", "pairs.1", "rewards.1-further-responses", "pairs.1-further"]
    assert {path.name for path in folders(root, "generations")} == before


def test_more_samples_draw_only_the_new_ones(root: Path) -> None:
    """5 responses to each of these prompts are there, to some in the other part."""
    before = responses(root / "outputs/runs/latest/generations.1")
    said, record = run(root, "generate.samples=8", "dataset.prompts=30", "until=generations")
    assert "150 of 240 responses were sampled before" in said  # 24 prompts of the first part, 6 of the further one
    assert made(record) == ["prompts", "prompts.further", "generations.1", "generations.1-further"]
    more = responses(root / "outputs/runs/latest/generations.1")
    assert {prompt: texts[:5] for prompt, texts in more.items() if prompt in before} == before
    assert {len(texts) for texts in more.values()} == {8}


def responses(folder: Path) -> dict[str, list[str]]:
    table = pq.read_table(folder / "generations.parquet").to_pylist()
    return {row["prompt"][0]["content"]: row["responses"] for row in table}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_in_every_step_it_ends_with_the_same_selections_and_weights(root: Path, tmp_path: Path) -> None:
    kinds = ("models", "prompts", "generations", "rewards", "pairs", "logps", "selection", "policy", "evaluation")
    for kind in kinds:
        for number in range(1, len(folders(root, kind)) + 1):
            start_and_kill(tmp_path, kind, number)
    run(tmp_path)
    assert digests(tmp_path) == digests(root)


def digests(root: Path) -> dict[str, str]:
    latest = root / "outputs/runs/latest"
    files = [*latest.glob("selection.*/selection.parquet"), *latest.glob("policy.*/final/model.safetensors")]
    assert len(files) == 6
    return {str(file.relative_to(latest)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def start_and_kill(root: Path, kind: str, number: int) -> None:
    """Start the command and kill its whole process group when there are so many folders of a kind."""
    environ = environment() | {"PYTHONPATH": REPOSITORY}
    process = subprocess.Popen(command(*LINE), cwd=root, env=environ, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list((root / "outputs" / kind).glob("*"))) < number and process.poll() is None:
        assert time.monotonic() < deadline, f"{kind} never began"
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
