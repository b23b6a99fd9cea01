"""The bounds of each iteration in a plan, by hand."""

import json
from pathlib import Path

from apm_exp.core.console import table_lines
from apm_exp.core.digest import FileDigests
from apm_exp.jobs.plan.iterations import iterations_table
from apm_exp.jobs.plan.plan import Plan, plan_of
from apm_exp.pipeline.unroll import unroll
from tests.pipeline.test_graph import CHOICES
from tests.test_configs import compose


def plan(root: Path, *overrides: str) -> Plan:
    config = compose(*overrides, f"output_root={root}")
    return plan_of("plan", unroll(config, CHOICES, FileDigests(root / "digests")), config)


def rows(made: Plan) -> list[list[str]]:
    table = iterations_table(made)
    assert table is not None
    return [line.split() for line in table_lines(table)]


def test_every_iteration_is_bounded_before_the_first_has_run(tmp_path: Path) -> None:
    made = plan(tmp_path, "pipeline=evolve_then_select", "iterations=2", "dataset.prompts=40", "evals=win_rate")
    # 40 prompts and 80 evolved ones, 5 responses of 24 tokens to each; a pair for each prompt, of which all 40 and 40%
    # of 80 are kept; 400 tasks of the evaluation with 4 responses of 24 tokens, also of the starting policy.
    each = ["120", "600", "600", "120", "72", "1,600", f"{600 * 24 + 1600 * 24:,}"]
    assert rows(made) == [
        ["iteration", "prompts", "responses", "rewarded", "scored", "pairs", "trained", "pairs", "judged", "tokens"],
        ["shared", "1,600", "38,400"],
        ["1", *each],
        ["2", *each],
        ["all", "240", "1,200", "1,200", "240", "144", "4,800", f"{2 * 600 * 24 + 3 * 1600 * 24:,}"],
    ]


def test_rewrites_and_what_an_endpoint_costs_are_bounded_too(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"Name sea {number}."}) + "\n" for number in range(10)))
    line = ["pipeline=evolve_then_select", "dataset=jsonl", f"dataset.path={file}", "model=gemma2_9b_it", "task=plan"]
    line += ["reward=micro_world", "evals=held_out_pairs", "evolve.strategies=[breadth,deepening]"]
    endpoint = {"url": "http://127.0.0.1:9/v1", "model": "m", "input_price": 1, "output_price": 2}
    line += ["generate=openai", "generate.samples=3", "generate.max_new_tokens=100", "runtime.plan_pair=[50,9,9]"]
    made = plan(tmp_path, *line, *(f"generate.endpoint.{name}={value}" for name, value in endpoint.items()))
    # 10 prompts, 20 requests to rewrite them, at most 20 evolved ones; 90 responses and 20 rewrites of 100 tokens.
    requests = 90 + 20
    cost = (requests * 100 * 2 + requests * 50 * 1) / 1e6
    (_, _, first, total) = rows(made)
    assert first == ["1", "20", "30", "90", "90", "30", "18", f"{requests * 100:,}", f"{cost:.2f}"]
    assert total[1:] == first[1:]


def test_amounts_that_nobody_knows_are_not_left_out(tmp_path: Path) -> None:
    line = [
        "dataset=hub",
        "dataset.path=owner/name",
        "dataset.split=train",
        "model=gemma2_9b_it",
        "evals=held_out_pairs",
    ]
    made = plan(tmp_path, "pipeline=evolve_then_select", *line, "task=plan")
    assert rows(made)[2][:5] == ["1", *["unknown"] * 4]


def test_a_run_without_iterations_has_no_such_table(tmp_path: Path) -> None:
    assert iterations_table(plan(tmp_path, "dataset.prompts=40")) is None
