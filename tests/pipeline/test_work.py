"""What goes through a model in the steps of a job, and what they can have at most, against numbers counted by hand."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.core.digest import FileDigests
from apm_exp.pipeline.build import build
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.step import Step
from apm_exp.pipeline.work import Counts, Work

VERSION = 1
GENERATE = {"samples": 5, "max_new_tokens": 9}
TASKS = {"_target_": "apm_exp.data.worlds.micro_world.prompts.prompts", "prompts": 10, "seed": 0}
TOKENS = {"max_length": 30, "max_prompt_length": 20}
HELD_OUT = {"_target_": "apm_exp.evals.held_out_pairs.held_out_pairs", "confidence": 0.95}


def logps(out: Path, **_: Any) -> dict[str, int]:
    """Stage of the tests: three training pairs of 6, 9 and 12 tokens, and a held-out pair of 5."""
    lengths = {"a": (2, 2, 2), "b": (3, 4, 2), "c": (4, 4, 4), "d": (1, 2, 2)}
    rows = [
        {"pair_id": name, "holdout_rank": 0 if name == "d" else 1}
        | {part: [7] * n for part, n in zip(("prompt_ids", "chosen_ids", "rejected_ids"), each, strict=True)}
        for name, each in lengths.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows), out / "logps.parquet")
    return {"pairs": 4, "tokens": 32}


def pairs(out: Path, **_: Any) -> dict[str, int]:
    """Stage of the tests: pairs of two prompts, of which a hold-out of a half holds out one."""
    return {"pairs": 4, "prompts": 2}


def selection(out: Path, **_: Any) -> dict[str, int]:
    """Stage of the tests: a and c are kept."""
    kept = {"pair_id": ["a", "b", "c"], "kept": [True, False, True]}
    pq.write_table(pa.table(kept), out / "selection.parquet")
    return {"kept": 2}


def anything(out: Path, **_: Any) -> dict[str, int]:
    return {}


@pytest.fixture
def steps(tmp_path: Path) -> dict[str, Step]:
    digests = FileDigests(tmp_path / ".digests.json")

    def step(kind: str, stage: Any, **inputs: Any) -> Step:
        return Step(kind, "", "s", stage, inputs, tmp_path, digests)

    prompts = step("prompts", anything, dataset=TASKS, limit=None, skip=0)
    generations = step("generations", anything, prompts=prompts, policy="key", generate=GENERATE)
    rewards = step("rewards", anything, responses=generations)
    paired = step("pairs", pairs, sampled={"generations": generations, "rewards": rewards, "pairing": MAX_MIN})
    scored = step("logps", logps, pairs=paired, tokens=TOKENS)
    chosen = step("selection", selection, pairs=paired, logps=scored, keep={"_target_": TOP_K, "k": 3})
    part = {"logps": scored, "rewards": rewards, "selection": chosen}
    policy = step("policy", anything, parts=[part], trainer={"epochs": 2, "global_batch": 2})
    evaluation = step(
        "evaluation", anything, evaluation=HELD_OUT, given={"pairs": paired, "logps": scored, "holdout": 0.5}
    )
    made = (prompts, generations, rewards, paired, scored, chosen, policy, evaluation)
    return {one.kind: one for one in made}


TOP_K = "apm_exp.selection.keep.top_k.top_k"
MAX_MIN = {"_target_": "apm_exp.selection.pairing.max_min.max_min"}


def bounds(steps: dict[str, Step]) -> dict[str, Counts]:
    """The upper bounds of all steps, each from those of its inputs."""
    known: dict[str, Counts] = {}
    for step in steps.values():
        known[step.key] = STAGES[step.kind].bounds(step.inputs, known)
    return {name: known[step.key] for name, step in steps.items()}


def work(steps: dict[str, Step], kind: str, counts: Counts) -> Work | None:
    return STAGES[kind].work(steps[kind].inputs, counts)


def test_bounds_follow_from_the_prompts_and_the_settings(steps: dict[str, Step]) -> None:
    assert bounds(steps) == {
        "prompts": {"rows": 10, "prompts": 10},
        "generations": {"prompts": 10, "responses": 50},
        "rewards": {"prompts": 10, "responses": 50},
        "pairs": {"pairs": 10},
        "logps": {"pairs": 10},
        "selection": {"pairs": 10, "kept": 3},
        "policy": {"pairs": 3, "optimizer_steps": 4},
        "evaluation": {},
    }


def test_before_anything_is_built_there_are_bounds(steps: dict[str, Step]) -> None:
    # A prompt of 20 tokens and two responses of 10: sampled responses have 9 and an end.
    assert work(steps, "generations", {"responses": 50}) == Work(50, 450, exact=False)
    assert work(steps, "logps", {"pairs": 10}) == Work(10, 400, exact=False)
    assert work(steps, "policy", {"pairs": 3}) == Work(6, 240, exact=False)
    assert work(steps, "evaluation", {}) is None
    assert work(steps, "pairs", {"pairs": 10}) is None


def test_tokenized_pairs_are_counted(steps: dict[str, Step]) -> None:
    build(steps["logps"])
    assert work(steps, "logps", {"pairs": 4, "tokens": 32}) == Work(4, 32, exact=True)
    assert work(steps, "evaluation", {}) == Work(1, 5, exact=True)


def test_the_tokens_of_selected_pairs_are_counted(steps: dict[str, Step]) -> None:
    build(steps["selection"])
    build(steps["rewards"])
    assert work(steps, "policy", {"pairs": 2}) == Work(4, 2 * (6 + 12), exact=True)
