"""Mixtures of reward sources by hand, as a part of a run's steps, and settings that do not fit together."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from apm_exp.core.digest import FileDigests
from apm_exp.core.nested import check_nodes
from apm_exp.core.told import told
from apm_exp.data.rewards.mixture import check, mixture
from apm_exp.jobs.checks.judges import check_judges
from apm_exp.jobs.checks.settings import check_config
from apm_exp.jobs.inverted import is_mixed
from apm_exp.pipeline.choices import Choices
from apm_exp.pipeline.nodes import own_nodes
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.step import Step
from apm_exp.pipeline.unroll import unroll
from tests.test_configs import compose

TARGET = "apm_exp.data.rewards.mixture.mixture"
RECORDED = {"_target_": "apm_exp.data.rewards.recorded.recorded"}
TWO = {"first": RECORDED, "second": RECORDED}
PAIRRM = {  # it has no rewards of single responses
    **{"_target_": "apm_exp.data.rewards.pairrm.pairrm", "path": "x", "revision": None, "dtype": "float32"},
    **{"batch_size": 1, "source_max_length": 9, "candidate_max_length": 9},
}
NAN = float("nan")


def mixed(rewards: dict[str, list], weights: dict[str, float] | None = None) -> dict[str, Any]:
    table = pa.table({"responses": [["a", "b"]] * len(rewards["first"])})
    return dict(mixture(table, rewards, sources=TWO, weights=weights))


def test_by_hand() -> None:
    """first: mean 2, deviation 1. second: mean 10, deviation 10."""
    first, second = [[1.0, 3.0], [3.0, 1.0]], [[0.0, 20.0], [20.0, 0.0]]
    assert mixed({"first": first, "second": second}) == {
        "all_rewards": [[-1.0, 1.0], [1.0, -1.0]],
        "first": [[-1.0, 1.0], [1.0, -1.0]],
        "second": [[-1.0, 1.0], [1.0, -1.0]],
    }
    swapped = [[20.0, 0.0], [20.0, 0.0]]
    got = mixed({"first": first, "second": swapped}, {"first": 3.0, "second": 1.0})
    assert got["all_rewards"] == [[-0.5, 0.5], [1.0, -1.0]]  # (3 x -1 + 1) / 4


def test_a_row_without_rewards_from_one_source_has_none() -> None:
    got = mixed({"first": [None, [1.0, 3.0]], "second": [[0.0, 10.0], [10.0, NAN]]})
    assert got["all_rewards"][0] is None
    assert got["first"] == [None, [-1.0, 1.0]]
    assert got["all_rewards"][1] == pytest.approx([(-1 + 0.5**0.5) / 2, NAN], nan_ok=True)  # of 0, 10, 10


def test_a_source_whose_rewards_are_all_equal() -> None:
    problem = r"^reward\.sources\.second: all its 2 rewards are equal.*; remove it: ~reward\.sources\.second$"
    with pytest.raises(ValueError, match=problem):
        mixed({"first": [[1.0, 3.0]], "second": [[5.0, 5.0]]})


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"sources": {}}, r"reward\.sources={}: a mixture has at least two; add others, such as \+reward@reward\.so"),
        ({"sources": {"first": RECORDED}}, r"reward\.sources={first}: a mixture has at least two"),
        ({"sources": TWO | {"Third": RECORDED}}, r"reward\.sources\.Third: not a name for a column"),
        ({"sources": TWO | {"all_rewards": RECORDED}}, r"reward\.sources\.all_rewards: not a name"),
        ({"sources": TWO | {"third": {}}}, r"reward\.sources\.third: names no reward source; add one: \+reward@"),
        ({"sources": TWO | {"third": PAIRRM}}, r"reward\.sources\.third: pairrm compares .*; remove it: ~reward\.so"),
        ({"weights": {"first": 1.0}}, r"reward\.weights: no weight for second; give a number for each source"),
        ({"weights": {"first": 1.0, "secnd": 1.0}}, r"reward\.weights\.secnd: no such source; did you mean 'second'"),
        ({"weights": {"first": 0.0, "second": 0.0}}, r"reward\.weights: all are 0"),
        ({"weights": {"first": -1.0, "second": 1.0}}, r"reward\.weights\.first=-1.0: "),
    ],
)
def test_settings_that_do_not_fit(changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=rf"^{problem}") as error:
        check_nodes("reward", {"_target_": TARGET, "sources": TWO, "weights": None} | changed)
    assert "\n" not in str(error.value)


MICRO = ("reward=mixture", "+reward@reward.sources.noisy=micro_world", "+reward@reward.sources.exact=micro_world")
MIXTURE = (*MICRO, "reward.sources.exact.noise=0")
CHOICES = Choices("model", "dataset", "metric", "loss", "trainer")


def steps_of(*overrides: str) -> dict[str, Step]:
    config = compose("dataset=micro_world", "until=selection", *overrides)
    check_config(config)
    return unroll(config, CHOICES, FileDigests(Path("none")))


def test_each_source_is_a_step_that_a_run_with_it_alone_shares() -> None:
    steps, alone = steps_of(*MIXTURE), steps_of("reward=micro_world")
    sources = {"rewards.responses-noisy", "rewards.responses-exact"}
    assert {name for name in steps if name.startswith("rewards.responses")} == sources | {"rewards.responses"}
    assert steps["rewards.responses-noisy"].key == alone["rewards.responses"].key
    assert steps["rewards.responses-noisy"].place == alone["rewards.responses"].place
    assert steps["rewards.responses"].key != alone["rewards.responses"].key
    assert [name for name in steps if is_mixed(steps[name], steps)] == sorted(sources, reverse=True)


def test_a_judge_that_compares_is_no_source() -> None:
    judge = {"_target_": "apm_exp.data.rewards.judge.judge", "form": "pairwise"}
    with pytest.raises(
        ValueError, match=r"^reward\.sources\.second: judge compares the responses of a prompt and has no"
    ):
        check(sources={"first": RECORDED, "second": judge}, weights=None)
    assert check(sources={"first": RECORDED, "second": judge | {"form": "score"}}, weights=None) is None


def test_its_rewards_of_two_policies_cannot_be_compared() -> None:
    config = compose("dataset=micro_world", "evals=reward_win_rate", *MIXTURE)
    problem = r"^evals\.reward_win_rate\.judge=mixture: its rewards of two policies' responses cannot be compared"
    with pytest.raises(ValueError, match=problem):
        check_judges(config)


def test_a_pairing_rule_over_sources_needs_several() -> None:
    steps = steps_of("pairing=delta_ucb", *MIXTURE)
    STAGES["pairs"].foresee(steps["pairs"].inputs, {})
    alone = steps_of("pairing=delta_ucb", "reward=micro_world")
    with pytest.raises(ValueError, match=r"^pairing=delta_ucb: reads the rewards of several .*; use reward=mixture$"):
        STAGES["pairs"].foresee(alone["pairs"].inputs, {})


def test_a_threshold_makes_several_pairs_of_a_prompt() -> None:
    for rule, pairs in (("threshold", 7 * 10), ("max_min", 7)):
        steps = steps_of(f"pairing={rule}", "generate.samples=5")
        known = {steps["generations"].key: {"prompts": 7}}
        assert STAGES["pairs"].bounds(steps["pairs"].inputs, known) == {"pairs": pairs}


def test_a_source_that_asks_an_endpoint_is_billed_in_its_own_step_alone() -> None:
    judge = ("+reward@reward.sources.judged=judge", "reward.sources.judged.endpoint.url=http://127.0.0.1/v1")
    steps = steps_of(*MIXTURE, *judge, "reward.sources.judged.endpoint.model=m")
    billed = {
        name: [place for place, node in own_nodes(step.inputs) if told(place, node, "bill")]
        for name, step in steps.items()
    }
    assert {name: places for name, places in billed.items() if places} == {"rewards.responses-judged": ["reward"]}
