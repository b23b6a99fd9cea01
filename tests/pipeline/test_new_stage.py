"""A new stage is two places: its file, which is this one, and a row in the table of stages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.digest import FileDigests
from apm_exp.core.types import Policy
from apm_exp.jobs.plan.plan import plan_of
from apm_exp.pipeline.build import build
from apm_exp.pipeline.graph import Graph
from apm_exp.pipeline.recipes.scored import generated_dataset, kept
from apm_exp.pipeline.stage_table import STAGES, Stage
from apm_exp.pipeline.unroll import unroll
from tests.pipeline.test_graph import CHOICES
from tests.test_configs import compose

VERSION = 1
SAMPLES = True


def words(out: Path, *, prompts: Artifact, least: int) -> dict[str, int]:
    """The stage: the prompts that have so many words."""
    table = pq.read_table(prompts.path / "prompts.parquet", columns=["prompt_id", "prompt"]).to_pylist()
    long = [row["prompt_id"] for row in table if len(row["prompt"][0]["content"].split()) >= least]
    (out / "long.txt").write_text("\n".join(long))
    return {"prompts": len(long)}


def bounds(inputs: Mapping[str, Any], known: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {"prompts": known[inputs["prompts"].key]["prompts"]}


def recipe(graph: Graph) -> list[Policy]:
    """A recipe that adds a step of the new stage."""
    start, prompts = graph.starting_policy(), graph.prompts(graph.config["dataset"], "tasks")
    graph.add("words", "long", {"prompts": prompts, "least": 8})
    return [start, graph.train(start, [kept(graph, generated_dataset(graph, prompts, start))])]


def test_a_stage_is_its_file_and_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STAGES, "words", Stage("Counting words", words, bounds))
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", "tests"})
    own = (f"pipeline._target_={__name__}.recipe", f"output_root={tmp_path}", "dataset.prompts=40", "evals=[]")
    config = compose(*own, "until=words", "rebuild=words")
    steps = unroll(config, CHOICES, FileDigests(tmp_path / "digests.json"))
    assert list(steps) == ["prompts", "words"]
    assert plan_of("plan", steps, config).known["words"] == {"prompts": 40}
    made = build(steps["words"])
    assert len((made.path / "long.txt").read_text().splitlines()) == made.counts["prompts"]
    assert 0 < made.counts["prompts"] < 40
    assert build(steps["words"]).build == made.build
    others = unroll(compose(*own), CHOICES, FileDigests(tmp_path / "digests.json"))
    assert others["words"].key == steps["words"].key
    with pytest.raises(ValueError, match=r"^until=word: no step of this run; did you mean words\?$"):
        unroll(compose(*own, "until=word"), CHOICES, FileDigests(tmp_path / "digests.json"))
