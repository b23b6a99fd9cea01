"""The section of a run's page on its iterations: numbers made by hand, evolved prompts as text, scores and cost."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from apm_exp.core.artifact import Artifact
from apm_exp.pipeline.stages.report import report
from apm_exp.report.run.iterations.evolved import evolved_prompts
from tests.data.evolve.steps import asked, data_set, evolved
from tests.pipeline.stages.test_report import ATTACK, outline, text_of
from tests.report.iterated_run import REWRITE, RULE, iterated_run


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("iterations")
    report(root, **iterated_run(root / "artifacts", text=ATTACK))
    return (root / "report.html").read_text()


@pytest.fixture(scope="module")
def text(page: str) -> str:
    return text_of(page).replace("\N{MINUS SIGN}", "-")


def test_each_part_of_each_iteration_has_its_counts(text: str) -> None:
    # 2 prompts with responses and 3 refused ones; the best 2 of 4 evolved pairs are kept.
    assert "1 data set's prompts 5 4 1 1,000 2 2 100.0%" in text
    assert "2 evolved prompts 5 4 1 2,000 4 2 50.0%" in text


def test_means_are_those_counted_by_hand(text: str) -> None:
    # rewards t, 0 and 0.5 of three responses, one unknown; lengths 2 4 6 8; explicit margins 1 -0.5, and 2 0 1 5.
    assert "1 data set's prompts 0.500 5.0 0.250 0.250 0.250 0.250 -0.500" in text
    assert "2 data set's prompts 0.833 5.0 0.250 0.250 0.500 0.500 -0.500" in text
    assert "2 evolved prompts 0.833 5.0 2.000 3.500 0.500 0.500 2.000" in text


def test_the_scores_of_each_iterations_policy_are_one_table(text: str) -> None:
    assert "starting policy none 11.50 ± 0.29 1 60.0% ± 2.0 12.00 ± 0.30 2 67.5% ± 2.3 12.50 ± 0.31" in text
    assert "Bars are the intervals of win_rate. Iteration 0 is the starting policy." in text
    cards = text.partition("± is one standard error.")[0]
    assert "67.5%" in cards
    assert "60.0%" not in cards  # the result is that of the last policy


def test_evolved_prompts_stand_beside_their_own_and_refused_ones_have_a_reason(text: str) -> None:
    assert "The policy itself rewrote the prompts. Accepted: 2 of 4 (50.0%) in iteration 1." in text
    assert "The other iterations use the same prompts." in text
    assert "outcome breadth deepening all accepted 2 0 2 refused: empty 0 1 1 refused: truncated 0 1 1" in text
    assert "breadth iteration 1 prompt Name a sea. </pre><script>alert(1)</script>" in text
    assert "evolved Name a lake. </pre><script>alert(1)</script>" in text
    assert "truncated, deepening iteration 1 prompt Explain how tides work." in text
    assert "empty, deepening" in text
    assert "the policy wrote nothing (deepening of" in text


def test_a_script_in_a_prompt_is_text(page: str) -> None:
    scripts = [name for name, _ in outline(page).elements if name in ("script", "img")]
    assert scripts == ["script"]  # the page's own


def test_the_cost_of_an_iteration_is_the_time_of_its_steps(text: str) -> None:
    # An iteration has, twice, 1.5 s each of responses, rewards and selection and 0.5 s of pairs; and 4 s of evaluation.
    table = text.partition("Cost by iteration")[2]
    assert "iteration pairs rewards logps selection policy evaluation prompts generations total reused" in table
    assert "1 1.0 s 3.0 s none 3.0 s none 4.0 s 0.0 s 3.0 s 14.0 s 1.5 s" in table
    assert "2 1.0 s 3.0 s none 3.0 s none 4.0 s none 3.0 s 14.0 s none" in table


def test_what_endpoints_were_paid_is_in_its_iteration(tmp_path: Path) -> None:
    run = iterated_run(tmp_path / "artifacts")
    steps = run["steps"]
    for name, cost in (("generations.1", 0.25), ("generations.1-evolved", 1.5), ("generations.2", 2.0)):
        steps[name] = replace(steps[name], counts={**steps[name].counts, "cost": cost})
    report(tmp_path, **run)
    table = text_of((tmp_path / "report.html").read_text()).partition("Cost by iteration")[2]
    assert "generations total reused paid" in table
    assert "14.0 s 1.5 s 1.75 2" in table
    assert "14.0 s none 2.00" in table


def test_prompts_of_a_rule_are_called_so(tmp_path: Path) -> None:
    report(tmp_path, **iterated_run(tmp_path / "artifacts", RULE, iterations=1))
    page = (tmp_path / "report.html").read_text()
    assert "A rule ( micro_world ) wrote these prompts, and no policy:" in text_of(page)
    assert 'id="figure-iterations' not in page  # a line needs two iterations


def test_strategies_take_turns_and_the_seed_decides(tmp_path: Path) -> None:
    seeds = data_set(tmp_path / "seeds", [f"Name sea {number}." for number in range(12)])
    replies = [text for number in range(12) for text in (f"Name lake {number}.", f"Explain sea {number}.")]
    steps: dict[str, Artifact] = {"prompts": seeds}
    steps["prompts.1-evolved"] = evolved(tmp_path / "evolved", seeds, asked(tmp_path / "asked", seeds), replies)
    drawn = [evolved_prompts(steps, REWRITE, seed) for seed in (0, 0, 1)]
    shown = [[row["text"] for row in each["accepted"]] for each in drawn if each]
    assert shown[0] == shown[1] != shown[2]
    assert Counter(row["strategy"] for row in drawn[0]["accepted"]) == {"breadth": 5, "deepening": 5}  # type: ignore[index]
    for row in drawn[0]["accepted"]:  # type: ignore[index]
        number = row["text"].rstrip(".").split()[-1]
        assert row["parent"]["text"] == f"Name sea {number}."
