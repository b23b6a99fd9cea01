"""Self-play on the micro world as a user runs it: what is trained on, what is held out, and what is said."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from apm_exp.core.artifact import Artifact
from apm_exp.core.split import held_out_split, train_split
from apm_exp.report.scores import in_words
from tests.command import apm_exp
from tests.pipeline.stages.test_report import text_of

SMALL = ["dataset.prompts=40", "model.steps=20", "tracking=none", "dataset.holdout=0.2"]
SMALL += ["evals.win_rate.prompts.prompts=8", "evals.win_rate.generate.samples=1", "trainer.global_batch=8"]
COLUMNS = ["pair_id", "prompt"]


def run(root: Path, pipeline: str, *overrides: str) -> Path:
    result = apm_exp(root, f"pipeline={pipeline}", *SMALL, *overrides)
    assert result.returncode == 0, result.stderr
    return root / "outputs/runs/latest"


def step(latest: Path, name: str) -> Artifact:
    folder = (latest / name).resolve()
    return Artifact(name, folder, "", json.loads((folder / "done").read_text())["counts"], 0.0)


def texts(table: Any) -> set[str]:
    return {row["prompt"][0]["content"] for row in table.to_pylist()}


def prompts(latest: Path, name: str) -> list[dict[str, Any]]:
    return pq.read_table(latest / name / "prompts.parquet").to_pylist()


def sides(latest: Path, name: str) -> tuple[set[str], set[str]]:
    """The prompts of a step's pairs that may be trained on, and those that are held out."""
    pairs = step(latest, name)
    both = (train_split(pairs, 0.2), held_out_split(pairs, 0.2))
    train, held_out = (texts(side.read(pairs.path / "pairs.parquet", COLUMNS)) for side in both)
    return train, held_out


def record_of(latest: Path) -> dict[str, Any]:
    return json.loads((latest / "result.json").read_text())


def kept(latest: Path, name: str) -> int:
    return int(pq.read_table(latest / name / "selection.parquet")["kept"].to_numpy().sum())


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("self_play"), "evolve_then_select", "iterations=2")


def test_an_iteration_trains_on_all_of_d_and_the_best_of_the_evolved(first: Path) -> None:
    for iteration in ("1", "2"):
        base, best = step(first, f"selection.{iteration}"), step(first, f"selection.{iteration}-evolved")
        assert kept(first, base.kind) == base.counts["pairs"]
        assert kept(first, best.kind) == int(0.4 * best.counts["pairs"])
        trained = step(first, f"policy.{iteration}").counts["pairs"]
        assert trained == kept(first, base.kind) + kept(first, best.kind)


def test_a_prompt_and_all_that_is_evolved_from_it_are_on_one_side_in_all_iterations(first: Path) -> None:
    aside = set.union(*(sides(first, f"pairs.{iteration}")[1] for iteration in ("1", "2")))
    assert 0 < len(aside) <= 8  # 20% of 40 prompts; those with identical responses make no pair
    parents = {row["prompt_id"]: row["prompt"][0]["content"] for row in prompts(first, "prompts")}
    evolved = {row["prompt"][0]["content"]: parents[row["parent_id"]] for row in prompts(first, "prompts.1-evolved")}
    assert not set(evolved) & set(parents.values())
    for iteration in ("1", "2"):
        assert not sides(first, f"pairs.{iteration}")[0] & aside
        train, held_out = sides(first, f"pairs.{iteration}-evolved")
        assert not {evolved[text] for text in train} & aside
        assert held_out


def test_the_second_iteration_samples_and_scores_with_the_first_policy(first: Path) -> None:
    trained = step(first, "policy.1").path.name
    for name in ("generations.2", "generations.2-evolved", "logps.2-evolved", "policy.2"):
        done = json.loads((first / name / "done").read_text())
        assert f"policy/{trained}" in done["inputs"]


def test_the_page_shows_each_iteration(first: Path) -> None:
    text = text_of((first / "report" / "report.html").read_text())
    assert "A rule ( micro_world ) wrote these prompts, and no policy:" in text
    scores = text.partition("Scores by iteration")[2].partition("Cost by iteration")[0]
    for iteration, evaluation in (("1", "evaluation.1-win_rate"), ("2", "evaluation.win_rate")):
        rate = json.loads((first / evaluation / "scores.json").read_text())["win_rate"]
        assert f"{iteration} {in_words('win_rate', rate).value} ±" in scores
        sampled = step(first, f"generations.{iteration}-evolved").counts
        assert f"{iteration} evolved prompts {sampled['prompts']} {sampled['responses']}" in text


def test_select_then_evolve_shares_d_and_evolves_the_prompts_of_the_best(first: Path) -> None:
    root = first.parents[2]
    latest = run(root, "select_then_evolve", "keep=weighted_sample", "keep.k=6", "metric=explicit")
    record = json.loads((latest / "result.json").read_text())["steps"]
    assert {record[name]["state"] for name in ("models", "prompts", "generations.1", "pairs.1")} == {"reused"}
    assert kept(latest, "selection.1-to_evolve") == 6
    assert len(prompts(latest, "prompts.1-to_evolve")) == 6
    parents = {row["parent_id"] for row in prompts(latest, "prompts.1-evolved")}
    assert parents <= {row["prompt_id"] for row in prompts(latest, "prompts.1-to_evolve")}
    trained = step(latest, "policy.1").counts["pairs"]
    assert trained == kept(latest, "selection.1") + step(latest, "selection.1-evolved").counts["pairs"]
    page = (latest / "report/report.html").read_text()
    assert "<code>selection.1-to_evolve</code>" in page  # the one that left pairs out
    assert f"The policy was trained on {trained} pairs, those that all its parts keep, with" in page
    assert "whether explicit beat random selection is not known from one run" in record_of(latest)["verdict"]


def test_prompts_that_the_worlds_reward_does_not_know_are_refused_before_any_work(first: Path) -> None:
    result = apm_exp(first.parents[2], "pipeline=evolve_then_select", *SMALL, "evolve=rewrite")
    assert result.returncode == 2
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert line.startswith("error: evolve=rewrites: reward=micro_world rewards only tasks of its world")
    assert line.endswith("use evolve=procedural, or another reward=")
