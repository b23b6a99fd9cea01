"""The recipes of self-play: what an iteration trains on, and what other settings build again."""

from pathlib import Path

import pytest

from apm_exp.core.digest import FileDigests
from apm_exp.pipeline.step import Step, lineage
from apm_exp.pipeline.unroll import unroll
from tests.pipeline.recipes.test_two_parts import again, keys
from tests.pipeline.test_graph import CHOICES
from tests.test_configs import compose


def steps_of(pipeline: str, *overrides: str) -> dict[str, Step]:
    return unroll(compose(f"pipeline={pipeline}", "evals=[]", *overrides), CHOICES, FileDigests(Path("none")))


def parts(steps: dict[str, Step], iteration: int) -> list[Step]:
    """The selections that a training trains on."""
    return [part["selection"] for part in steps[f"policy.{iteration}"].inputs["parts"]]


def fraction(selection: Step) -> float:
    return float(selection.inputs["keep"]["fraction"])


def test_algorithm_1_trains_on_all_of_d_and_on_the_best_of_the_evolved() -> None:
    """D'_k is selected from D', although the paper's line says D."""
    steps = steps_of("evolve_then_select", "iterations=2")
    for iteration in (1, 2):
        base, best = parts(steps, iteration)
        assert (base, best) == (steps[f"selection.{iteration}"], steps[f"selection.{iteration}-evolved"])
        assert (fraction(base), fraction(best)) == (1.0, 0.4)
        assert steps[f"prompts.{iteration}-evolved"] in lineage(best) if iteration == 1 else True
        assert steps["prompts"] in lineage(base)
    policies = {name: step.inputs["policy"].made_by for name, step in steps.items() if step.kind == "generations"}
    first = steps["policy.1"]
    assert [policies[f"generations.2{part}"] for part in ("", "-evolved")] == [first, first]
    assert steps["logps.2-evolved"].inputs["policy"].made_by is first  # the reference of the second training


def test_algorithm_2_evolves_the_prompts_of_the_best_pairs_and_trains_on_all() -> None:
    steps = steps_of("select_then_evolve", "keep=top_k", "keep.k=100")
    base, new = parts(steps, 1)
    assert (fraction(base), fraction(new)) == (1.0, 1.0)
    chosen = steps["selection.1-to_evolve"]
    assert chosen.inputs["keep"]["k"] == 100
    assert chosen.inputs["pairs"] is base.inputs["pairs"]
    assert chosen in lineage(new)
    assert chosen not in lineage(base)


def test_the_best_of_all_together_is_one_selection() -> None:
    steps = steps_of("evolve_then_select", "pipeline.select_from=all")
    (both,) = parts(steps, 1)
    assert both is steps["selection.1-all"]
    assert {steps["prompts"], steps["prompts.1-evolved"]} <= set(lineage(steps["prompts.1-all"]))


def test_further_prompts_are_fixed_or_fresh() -> None:
    line = ("dataset.prompts=400", "dataset.limit=100", "dataset.skip=50", "iterations=2")
    fixed, fresh = (steps_of("more_prompts", *line, f"pipeline.fresh={fresh}") for fresh in ("false", "true"))
    assert [step.inputs["skip"] for step in fixed.values() if step.kind == "prompts"] == [50, 150]
    assert [step.inputs["skip"] for step in fresh.values() if step.kind == "prompts"] == [50, 150, 250]
    assert {step.inputs["limit"] for step in fresh.values() if step.kind == "prompts"} == {100}
    assert fresh["prompts.2-further"].inputs["seeds"] is fresh["prompts"]
    with pytest.raises(ValueError, match=r"^dataset\.limit=null: pipeline=more_prompts takes the prompts that come"):
        steps_of("more_prompts")
    few = (
        r"^dataset\.limit=150: 350 rows are too few for 3 times as many prompts; give dataset\.limit=116, or more rows$"
    )
    with pytest.raises(ValueError, match=few):
        steps_of("more_prompts", *line, "dataset.limit=150", "pipeline.fresh=true")


def test_the_policy_itself_rewrites_with_the_settings_of_generate() -> None:
    steps = steps_of("evolve_then_select", "evolve=rewrite", "evolve.strategies=[breadth,deepening]")
    replies = steps["generations.1-evolved-instructions"]
    assert replies.inputs["policy"] == steps["generations.1"].inputs["policy"]
    assert replies.inputs["generate"] == {**steps["generations.1"].inputs["generate"], "samples": 1}
    assert steps["prompts.1-evolved-instructions"].inputs["dataset"]["strategies"] == ["breadth", "deepening"]


def test_the_third_iteration_has_its_own_learning_rate() -> None:
    changes = "pipeline.changes={3: {trainer.learning_rate: 3e-7}}"
    usual, steps = (steps_of("evolve_then_select", "iterations=3", *more) for more in ((), (changes,)))
    rates = [steps[f"policy.{iteration}"].inputs["trainer"]["learning_rate"] for iteration in (1, 2, 3)]
    assert rates == [rates[0], rates[0], 3e-7]
    assert again(steps, usual) == ["policy.3"]


def test_a_sweep_over_iterations_computes_each_once() -> None:
    jobs = [steps_of("evolve_then_select", f"iterations={count}") for count in (1, 2, 3)]
    assert keys(jobs[0]) < keys(jobs[1]) < keys(jobs[2])


def test_another_reward_source_evolves_and_samples_nothing() -> None:
    before = steps_of("evolve_then_select", "evolve=rewrite")
    made = again(steps_of("evolve_then_select", "evolve=rewrite", "reward.noise=0"), before)
    assert not [name for name in made if name.startswith(("prompts", "generations", "models"))]
    assert "rewards.1-evolved-responses" in made
