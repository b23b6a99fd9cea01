"""Evaluations as steps: what the policies respond to, who judges, and what is refused before any work."""

import json
from pathlib import Path

import pytest

from apm_exp.core.digest import FileDigests
from apm_exp.jobs.checks.judges import check_judges
from apm_exp.jobs.foresee import foresee
from apm_exp.pipeline.choices import Choices
from apm_exp.pipeline.step import Step, lineage
from apm_exp.pipeline.unroll import unroll
from tests.test_configs import compose

CHOICES = Choices("model", "dataset", "metric", "loss", "trainer")
JUDGED = ("evals=reward_win_rate", "reward=micro_world")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Own pairs with recorded rewards, and a small model."""
    file = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    row = {"chosen": "yes", "rejected": "no", "chosen_reward": 1.0, "rejected_reward": 0.5}
    file.write_text("".join(json.dumps({"prompt": f"is it {number} ?", **row}) + "\n" for number in range(40)))
    return ("dataset=jsonl", f"dataset.path={file}", "model=tiny_from_data")


def steps_of(*overrides: str) -> dict[str, Step]:
    steps = unroll(compose(*overrides), CHOICES, FileDigests(Path("none")))
    foresee(steps, {})
    return steps


def refusal(*overrides: str) -> str:
    with pytest.raises(ValueError, match="=") as caught:
        steps_of(*overrides)
    return str(caught.value)


def test_both_policies_respond_to_held_out_prompts_and_the_runs_reward_source_judges(
    own: tuple[str, ...],
) -> None:
    steps = steps_of(*own, *JUDGED)
    prompts = steps["prompts.reward_win_rate"]
    assert prompts.inputs["given"] == {"pairs": steps["pairs"], "holdout": 0.05}
    judges = [steps[f"rewards.reward_win_rate{place}"].inputs["reward"] for place in ("", "-starting")]
    assert judges == [steps["rewards"].inputs["reward"]] * 2
    policy, start = (steps[f"generations.reward_win_rate{place}"] for place in ("", "-starting"))
    assert policy.inputs["prompts"] is start.inputs["prompts"] is prompts
    assert steps["policy"] in lineage(policy)
    assert steps["policy"] not in lineage(start)


def test_an_evaluation_may_have_a_judge_of_its_own(own: tuple[str, ...]) -> None:
    steps = steps_of(*own, "evals=reward_win_rate", "reward@evals.reward_win_rate.judge=micro_world")
    assert steps["rewards"].inputs["reward"]["_target_"].endswith(".recorded")
    judges = [steps[f"rewards.reward_win_rate{place}"].inputs["reward"] for place in ("", "-starting")]
    assert [judge["_target_"].rpartition(".")[2] for judge in judges] == ["noisy_true_reward"] * 2


def test_recorded_rewards_judge_no_new_responses(own: tuple[str, ...]) -> None:
    assert refusal(*own, "evals=reward_win_rate") == (
        "evals.reward_win_rate.judge=recorded: new responses have no recorded rewards; "
        "give reward@evals.reward_win_rate.judge=classifier evals.reward_win_rate.judge.path=FOLDER"
    )


def test_without_held_out_pairs_there_is_nothing_to_respond_to(own: tuple[str, ...]) -> None:
    assert refusal(*own, *JUDGED, "dataset.holdout=0") == (
        "dataset.holdout=0: held_out_prompts asks for prompts of held-out pairs, of which there are 0; "
        "give dataset.holdout=0.05 or more, or another evals="
    )


def test_the_tasks_of_the_micro_world_say_nothing_of_other_data(own: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="=") as caught:
        check_judges(compose(*own, "evals=win_rate"))
    assert str(caught.value) == (
        "evals=win_rate: micro_world judges it, which cannot reward responses to the data set's prompts "
        "('is it 0 ?'); take evals=held_out_pairs, or evals=reward_win_rate with reward=classifier reward.path=FOLDER"
    )
    hub = compose("dataset=hub", "dataset.path=owner/name", "model=tiny_from_data", "evals=win_rate")
    with pytest.raises(ValueError, match=r"^evals=win_rate: .* responses to prompts of dataset=hub; take evals="):
        check_judges(hub)
    check_judges(compose("evals=[win_rate,reward_win_rate]"))  # of the micro world itself
    check_judges(compose(*own, "evals=held_out_pairs"))


def test_a_source_that_compares_responses_with_each_other_is_no_judge(own: tuple[str, ...]) -> None:
    for own_judge in (["reward=pairrm"], ["reward=judge", "reward.form=pairwise"]):
        with pytest.raises(ValueError, match="=") as caught:
            check_judges(compose(*own, *own_judge, "evals=reward_win_rate"))
        setting = "evals.reward_win_rate.judge"
        assert str(caught.value) == (
            f"{setting}={own_judge[0][7:]}: its rewards of two policies' responses cannot be compared, as they are "
            f"relative to other responses of each; give one source, reward@{setting}=classifier {setting}.path=FOLDER, "
            "or evals=held_out_pairs"
        )
    assert check_judges(compose(*own, "reward=judge", "evals=reward_win_rate")) is None  # by scores
