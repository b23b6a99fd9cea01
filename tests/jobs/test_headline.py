"""What a run says of its selection on the screen."""

from pathlib import Path

from apm_exp.core.artifact import Artifact
from apm_exp.jobs.record import nothing_held_out, untrained, what_next


def test_a_selection_says_how_many_by_what_and_where() -> None:
    folder, counts = Path("outputs/selection/mine-1"), {"kept": 1200, "pairs": 3000}
    where = "outputs/selection/mine-1/selection.parquet"
    given, found = (Artifact("selection", folder, "", one, 0.0) for one in (counts, counts | {"alpha": 0.7312345678}))
    uniform, potential = ({"_target_": f"apm_exp.selection.metrics.{name}.it"} for name in ("uniform", "map"))
    assert untrained(given, uniform, 0) == f"1,200 of 3,000 pairs kept by uniform; none held out: {where}"
    one = untrained(given, potential | {"alpha": 1.0}, 150)
    assert one == f"1,200 of 3,000 pairs kept by map, alpha 1; 150 held out: {where}"
    chosen = untrained(found, potential | {"alpha": "auto"}, 0)
    assert chosen == f"1,200 of 3,000 pairs kept by map, alpha 0.731235; none held out: {where}"


def test_what_a_selection_ranks_is_said_where_a_training_would_rank_less() -> None:
    assert nothing_held_out({"holdout": 0.05}, 762) is None
    assert nothing_held_out({"holdout": "auto", "holdout_split": "test"}, 762) is None
    assert nothing_held_out({"holdout": "auto"}, 762) == (
        "until=selection: all 762 pairs are ranked, as nothing is evaluated; a later training holds out 5% of the "
        "prompts, and reuses the log-probs and rewards"
    )


def test_what_comes_next_is_the_page_and_the_command_for_the_texts_or_nothing() -> None:
    selected = {"report": "a.html", "kept": 3, "policy_key": None}
    texts = " | report: a.html | their texts: python -m apm_exp task=export run=one"
    assert what_next(selected, "one", "outputs") == texts
    assert what_next(selected, "one", "/my runs") == f"{texts} 'output_root=/my runs'"
    assert what_next(selected | {"policy_key": "abc"}, "one", "outputs") == " | report: a.html"
    assert what_next({"report": None, "kept": None, "policy_key": None}, "one", "outputs") == ""


def test_a_metric_of_a_users_own_module_has_its_functions_name() -> None:
    made = Artifact("selection", Path("there"), "", {"kept": 1, "pairs": 2}, 0.0)
    one = untrained(made, {"_target_": "mine.pick"}, 0)
    assert one == "1 of 2 pairs kept by pick; none held out: there/selection.parquet"
