"""Iterations and united parts: what a recipe unrolls to, and what another setting builds again."""

import time
from pathlib import Path

import pytest

from apm_exp.core import component
from apm_exp.core.digest import FileDigests
from apm_exp.core.step_names import evaluation_of, evaluations_of
from apm_exp.jobs.plan.plan import plan_of
from apm_exp.pipeline.step import Step
from apm_exp.pipeline.unroll import unroll
from tests.pipeline.test_graph import CHOICES
from tests.test_configs import compose

HERE = "tests.pipeline.recipes.two_parts"
RECIPE = (f"pipeline._target_={HERE}.two_parts", "+pipeline.iterations=${iterations}")


@pytest.fixture(autouse=True)
def _trust_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", "tests"})


def steps_of(*overrides: str, recipe: tuple[str, ...] = RECIPE) -> dict[str, Step]:
    return unroll(compose(*recipe, *overrides), CHOICES, FileDigests(Path("none")))


def keys(steps: dict[str, Step]) -> set[str]:
    return {step.key for step in steps.values()}


def again(steps: dict[str, Step], before: dict[str, Step]) -> list[str]:
    """The kinds and places of the steps that are not among those before."""
    return [name for name, step in steps.items() if step.key not in keys(before)]


def test_two_iterations_of_two_parts_unroll_before_any_work() -> None:
    each = ["generations", "rewards", "pairs", "rewards", "logps", "selection"]
    places = ["", "-responses", "", "", "", ""]
    of_part = [[f"{kind}.{{0}}{place}" for kind, place in zip(each, places, strict=True)]]
    base = [name.format("1") for name in of_part[0]]
    assert base[:2] == ["generations.1", "rewards.1-responses"]
    expected = ["models", "prompts", "prompts.further"]
    for iteration in ("1", "2"):
        for part in (iteration, f"{iteration}-further"):
            expected += [name.format(part) for name in of_part[0]]
        expected.append(f"policy.{iteration}")
    steps = steps_of("iterations=2", "evals=[]")
    assert list(steps) == expected
    second = steps["policy.2"].inputs
    assert second["policy"].made_by is steps["policy.1"]
    assert [part["selection"] for part in second["parts"]] == [steps["selection.2"], steps["selection.2-further"]]
    assert steps["generations.2"].inputs["policy"].key == steps["policy.1"].key


def test_a_sweep_over_iterations_computes_each_once() -> None:
    jobs = [steps_of(f"iterations={count}", "evals=[]") for count in (1, 2, 3)]
    assert keys(jobs[0]) < keys(jobs[1]) < keys(jobs[2])


def test_the_policy_of_each_iteration_is_evaluated_and_the_starting_policy_responds_once() -> None:
    jobs = [steps_of(f"iterations={count}") for count in (1, 2, 3)]
    assert keys(jobs[0]) < keys(jobs[1]) < keys(jobs[2])  # so a sweep evaluates each policy once, too
    steps = jobs[2]
    places = {"": "policy.3", "1-": "policy.1", "2-": "policy.2"}
    responses = [steps[f"generations.{place}win_rate"].inputs["policy"].made_by.name for place in places]
    assert responses == [*places.values()]
    evaluations = [f"evaluation.{place}{name}" for place in places for name in ("win_rate", "held_out_pairs")]
    assert [name for name in steps if name.startswith("evaluation.")] == evaluations
    assert [name for name in steps if "starting" in name] == [
        "generations.win_rate-starting",
        "rewards.win_rate-starting",
    ]
    assert [*evaluations_of(steps)] == ["win_rate", "held_out_pairs"]  # the results of the run: of its last policy
    parts = {name for name in steps if evaluation_of(name, steps)}
    assert parts == {name for name in steps if "win_rate" in name or "held_out" in name}


def test_another_reward_source_or_pairing_rule_samples_nothing() -> None:
    before = steps_of()
    samplings = {step.key for name, step in before.items() if step.kind in ("prompts", "generations")}
    for other in ("reward.noise=0", f"pairing._target_={HERE}.other"):
        made = again(steps_of(other), before)
        first_iteration = [name for name in made if name.startswith(("generations.1", "prompts"))]
        assert first_iteration == []
        assert "pairs.1" in made
    assert samplings


def test_the_starting_policy_responds_once_in_a_sweep_of_metrics() -> None:
    jobs = [steps_of(f"metric={metric}") for metric in ("map", "explicit", "uniform")]
    shared = set.intersection(*(keys(job) for job in jobs))
    names = {name for name, step in jobs[0].items() if step.key in shared}
    assert {"generations.win_rate-starting", "rewards.win_rate-starting", "prompts.win_rate"} <= names
    assert "generations.win_rate" not in names


@pytest.mark.parametrize(
    ("setting", "last"),
    [
        ("logps", "logps.1-further"),
        ("selection", "selection.1-further"),
        ("policy.1", "policy.1"),
        ("logps.2", "logps.2"),
    ],
)
def test_until_names_a_kind_or_a_step(setting: str, last: str) -> None:
    steps = steps_of("iterations=2", f"until={setting}")
    assert list(steps)[-1] == last
    assert not [name for name in steps if "win_rate" in name]
    if setting in ("logps", "selection"):
        assert not [name for name in steps if name.startswith("policy")]


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        (["until=selectoin"], r"^until=selectoin: no step of this run; did you mean selection\?$"),
        (
            ["rebuild=policy.3", "iterations=2"],
            r"^rebuild=policy\.3: no step of this run; choose from: policy, policy\.1, policy\.2$",
        ),
        (
            ["until=evaluation.none"],
            r"^until=evaluation\.none: no step of this run; choose from: evaluation, evaluation\.",
        ),
        (["rebuild=report.1"], r"^rebuild=report\.1: no step of this run; choose from: evaluation, .*, rewards, "),
        (["rebuild=everything"], r"^rebuild=everything: no step of this run; (did you mean|choose from: .*policy)"),
    ],
)
def test_a_step_that_the_run_does_not_have_is_named(overrides: list[str], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        steps_of(*overrides)


@pytest.mark.parametrize(
    ("recipe", "error"),
    [
        ("nothing", r"^pipeline\._target_=.*nothing: trains nothing; return a list of the starting policy and of"),
        (
            "no_list",
            r"^pipeline\._target_=.*no_list: returns no list of policies; return a list of the starting policy",
        ),
        (
            "no_pairs",
            r"^pipeline\._target_=.*no_pairs: its step policy has no pairs to train on; give graph\.train at ",
        ),
        (
            "alike",
            r"^pipeline\._target_=.*alike: two different steps .* named selection; .* graph\.part\(NAME\)$",
        ),
    ],
)
def test_a_recipe_that_is_wrong_is_told_how_to_be_right(recipe: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        steps_of(recipe=(f"pipeline._target_={HERE}.{recipe}",))


def test_iterations_of_a_recipe_that_has_none_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^iterations=3: pipeline=on_policy has no iterations; leave it out, or use one that has"
    ):
        steps_of("iterations=3", recipe=())


def test_a_plan_that_rebuilds_five_iterations_takes_no_time() -> None:
    """What follows from what was exponential in the iterations."""
    config = compose(*RECIPE, "iterations=5", "rebuild=policy.1")
    started = time.monotonic()
    steps = unroll(config, CHOICES, FileDigests(Path("none")))
    plan = plan_of("plan", steps, config)
    assert time.monotonic() - started < 2
    assert len(plan.missing) == len(steps) > 60
