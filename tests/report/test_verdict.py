"""The verdict on a run: what is known of it, and the line to type for what is not."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from apm_exp.core.artifact import Artifact
from apm_exp.report.verdict import verdict
from tests.report.finished_run import CONFIG

WON = {"value": 0.681, "standard_error": 0.0115, "n": 400, "interval": [0.659, 0.704], "unit": "share"}
SCORES = {"win_rate": {"win_rate": WON}}
KNOWN = "win rate 68.1% (65.9 to 70.4) against the starting policy"
OPEN = "whether M_AP beat random selection is not known from one run"


def made(*, kept: int = 40, trained: bool = True, **rewards: int) -> dict[str, Artifact]:
    counts: dict[str, dict[str, int | float]] = {"rewards": rewards, "selection": {"pairs": 100, "kept": kept}}
    counts |= {"policy": {}} if trained else {}
    return {kind: Artifact(kind, Path("there"), kind, count, 0.0) for kind, count in counts.items()}


def said(*typed: str, option: str = "map", scores: Any = SCORES, found: Any = None, **config: Any) -> str:
    command = shlex.join(["python", "-m", "apm_exp", *typed])
    return str(verdict(CONFIG | config, option, command, found or made(), scores))


def test_a_run_says_what_it_was_worth_and_the_line_that_compares_its_metric() -> None:
    assert said() == f"{KNOWN}; {OPEN}: python -m apm_exp -m metric=map,uniform seed=0,1,2"


def test_the_line_has_what_was_typed_as_a_shell_takes_it() -> None:
    words = ["--config-dir", "my conf", "metric=map", "seed=7", "task=run", "rebuild=all", "baseline=map", "alpha=2"]
    words += ["dataset.path='my pairs.jsonl'", "evals=[a,b]"]
    line = said(*words, seed=7).partition(f"{OPEN}: ")[2]
    kept = ["--config-dir", "my conf", "alpha=2", "dataset.path='my pairs.jsonl'", "evals=[a,b]"]
    assert shlex.split(line) == ["python", "-m", "apm_exp", "-m", "metric=map,uniform", "seed=7,8,9", *kept]


@pytest.mark.parametrize(("unrewarded", "other"), [(0, "map"), (100, "implicit")])
def test_random_selection_is_compared_with_a_metric_that_the_data_have(unrewarded: int, other: str) -> None:
    line = said("metric=uniform", option="uniform", found=made(unrewarded=unrewarded))
    words = "these pairs were chosen at random; whether a metric does better is not known from one run"
    assert line == f"{KNOWN}; {words}: python -m apm_exp -m metric={other},uniform seed=0,1,2"


def test_a_run_that_only_selected_is_told_to_train() -> None:
    line = said("until=selection", "metric=explicit", option="explicit", scores={}, found=made(trained=False))
    words = "nothing was trained; whether explicit beat random selection is not known from one run"
    assert line == f"{words}: python -m apm_exp -m metric=explicit,uniform seed=0,1,2"


def test_without_a_score_it_says_why() -> None:
    assert said(scores={"win_rate": {}}).startswith("trained, but too few items were held out for a score; whether ")
    line = said(scores={}, evals={})
    assert line.startswith(f"trained, but not evaluated; {OPEN}: ")
    assert line.endswith(" seed=0,1,2 evals=held_out_pairs")


def test_what_would_show_nothing_is_not_proposed() -> None:
    assert said(found=made(kept=100)) == f"{KNOWN}; all pairs were kept, so the metric chose none"
    ids = {"_target_": "apm_exp.selection.keep.ids.ids", "path": "ids.txt", "missing": "error"}
    assert said("keep=ids", keep=ids) == f"{KNOWN}; keep=ids names the pairs, so the metric chose none"


def test_a_minimum_in_the_metrics_unit_becomes_as_many_pairs() -> None:
    node = {"_target_": "apm_exp.selection.keep.threshold.threshold", "minimum": 2.0}
    line = said("keep=threshold", "keep.minimum=2", "alpha=1", keep=node)
    assert line.endswith("-m metric=map,uniform seed=0,1,2 alpha=1 keep=top_k keep.k=40")


def test_a_setting_that_random_selection_lacks_is_named() -> None:
    own = "metric.rescale=false is a setting of metric=map alone: to compare it, save it as an option of your own"
    assert said("metric=map", "metric.rescale=false") == f"{KNOWN}; {OPEN}; {own} (docs/extending.md)"
