from dataclasses import replace
from pathlib import Path

import pytest

from apm_exp.report.export.finished_run import FinishedRun, StepRecord
from apm_exp.report.export.parts import made_from, parts_of
from apm_exp.report.export.sources import base_source, policy_source, reward_source

NODE = {"_target_": "apm_exp.data.rewards.classifier.classifier", "path": "owner/model", "revision": None}
RECORDED = {"_target_": "apm_exp.data.rewards.recorded.recorded"}
START = {"_target_": "apm_exp.models.tiny.tiny", "path": None}


def step(key: str, counts: dict[str, int] | None = None, **inputs: object) -> StepRecord:
    return StepRecord(Path(), key, counts or {}, inputs, {})


def run_of(*, sampled: bool, scored_by: str = "start") -> FinishedRun:
    """A run that has selected pairs: of its own data set, or of responses that it has sampled and rewarded."""
    read = NODE | {"revision": "abc123", "_source_": "0"}
    steps = {
        "prompts": step("P"),
        "generations": step("G", prompts={"artifact": "P"}, policy={"policy": "start"}),
        "rewards.responses": step("RG", responses={"artifact": "G"}, reward=read),
        "pairs": step(
            "pairs", sampled={"generations": {"artifact": "G"}, "rewards": {"artifact": "RG"}} if sampled else None
        ),
        "rewards": step("R", {"pairs": 4}, responses={"artifact": "pairs"}, reward=RECORDED if sampled else read),
        "logps": step("L", pairs={"artifact": "pairs"}, policy={"policy": scored_by}),
        "selection": step(
            "S", **{name: {"artifact": key} for name, key in (("pairs", "pairs"), ("rewards", "R"), ("logps", "L"))}
        ),
    }
    return FinishedRun("run", {"reward": NODE, "model": START}, "", steps)


@pytest.mark.parametrize("sampled", [False, True])
def test_a_reward_model_of_the_hub_is_named_with_the_commit_that_was_read(sampled: bool) -> None:
    assert reward_source(run_of(sampled=sampled)) == "classifier owner/model (revision abc123)"


def test_pairs_without_any_rewards_have_no_source_of_them() -> None:
    run = run_of(sampled=False)
    steps = run.steps | {"rewards": replace(run.steps["rewards"], counts={"pairs": 4, "unrewarded": 4})}
    assert reward_source(replace(run, steps=steps)) == "none: these pairs have no rewards"
    steps["rewards"] = replace(run.steps["rewards"], counts={"pairs": 4, "unrewarded": 3})
    assert reward_source(replace(run, steps=steps)) == "classifier owner/model (revision abc123)"


def test_pairs_that_a_trained_policy_has_scored_name_it_and_its_base() -> None:
    run = run_of(sampled=True, scored_by="P2")
    trained = {"policy.1": step("P1", policy={"policy": "start"}), "policy.2": step("P2", policy={"policy": "P1"})}
    run = replace(run, steps=trained | run.steps)
    parts = [{"selection": {"artifact": "S"}}]
    later = trained | run.steps | {"policy.3": step("P3", policy={"policy": "P2"}, parts=parts)}
    base = "made by tiny (key start)"
    assert policy_source(replace(run, steps=later)) == f"policy.2 of the same run (key P2); its base: {base}"
    assert base_source(replace(run, steps=later)).text == policy_source(run_of(sampled=True)) == base


def test_what_a_selection_was_made_from_has_no_policy_and_nothing_of_another_part() -> None:
    run = run_of(sampled=True)
    steps = {"models": step("start"), "prompts.win_rate": step("other")} | run.steps
    (part,) = parts_of(replace(run, steps=steps))
    assert list(made_from(replace(run, steps=steps), part.selection)) == [*run.steps]
