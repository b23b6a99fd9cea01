"""The overlap of what the metrics would keep, against counts made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.report.run.overlap import choices, overlap_figure, overlap_rows
from apm_exp.report.run.scored_pairs import ScoredPairs
from apm_exp.selection.stability import jaccard, jaccard_by_chance
from tests.report.finished_run import CONFIG, EXPLICIT, EXPLICIT_MARGINS, IMPLICIT, IMPLICIT_MARGINS, MAP, names

KEEP = CONFIG["keep"]


@pytest.fixture
def scored() -> ScoredPairs:
    explicit, implicit = np.array(EXPLICIT_MARGINS), np.array(IMPLICIT_MARGINS)
    value = np.abs(explicit) - 0.5 * np.abs(implicit)
    kept = value >= np.sort(value)[-4]
    lengths = np.arange(10.0)
    return ScoredPairs(np.array(names(10)), explicit, implicit, value, kept, lengths, lengths)


def test_jaccard_of_sets_counted_by_hand() -> None:
    first, second = np.array([1, 1, 1, 0, 0], bool), np.array([0, 1, 1, 1, 0], bool)
    assert jaccard(first, second) == 2 / 4
    assert jaccard(first, ~first) == 0
    assert jaccard(first & second & ~first, first & ~first) == 1


def test_two_independent_forty_percents_overlap_in_a_quarter() -> None:
    assert jaccard_by_chance(40, 40, 100) == pytest.approx(16 / 64)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_jaccard_is_symmetric_and_a_share(pairs: list[tuple[bool, bool]]) -> None:
    first, second = np.array(pairs, bool).T
    assert jaccard(first, second) == jaccard(second, first)
    assert 0 <= jaccard(first, second) <= 1
    assert jaccard(first, first) == 1


def test_each_metric_against_this_run(scored: ScoredPairs) -> None:
    compare = {"map": MAP, "explicit": EXPLICIT, "implicit": IMPLICIT}
    rows = {row["name"]: row for row in overlap_rows(scored, choices(scored, compare, MAP, KEEP))}
    # map keeps pairs 1 to 4 (7.9, 6.8, 5.9, 4.95), explicit 0 to 3, implicit 4, 7, 8 and the first of 1, 3, 9 (0.2).
    assert np.flatnonzero(scored.kept_P).tolist() == [1, 2, 3, 4]
    assert (rows["map"]["own"], rows["map"]["jaccard"], rows["map"]["shared"]) == (True, 1, 4)
    assert (rows["explicit"]["shared"], rows["explicit"]["jaccard"]) == (3, 3 / 5)
    assert rows["explicit"]["explicit"] == pytest.approx((9 + 8 + 7 + 6) / 4)
    assert (rows["implicit"]["shared"], rows["implicit"]["share"]) == (2, 0.5)
    assert rows["implicit"]["implicit"] == pytest.approx((0.1 + 0.1 + 0.1 + 0.2) / 4)


def test_a_run_that_compare_does_not_hold_comes_first(scored: ScoredPairs) -> None:
    own = {**MAP, "alpha": 0.25}
    found = choices(scored, {"map": MAP, "explicit": EXPLICIT}, own, KEEP)
    assert [choice.name for choice in found] == ["this run", "map", "explicit"]


def test_a_metric_that_needs_rewards_says_so_without_them(scored: ScoredPairs) -> None:
    bare = ScoredPairs(scored.pair_id_P, None, *(getattr(scored, name) for name in list(scored.__dict__)[2:]))
    found = choices(bare, {"explicit": EXPLICIT, "implicit": IMPLICIT}, IMPLICIT, KEEP)
    explicit, implicit = overlap_rows(bare, found)
    assert "rewards" in explicit["problem"]
    assert "kept" not in explicit
    assert implicit["explicit"] is None
    assert overlap_figure(found).count("1.00") == 1


def test_a_rule_that_would_keep_nothing_is_shown_as_such(scored: ScoredPairs) -> None:
    keep = {"_target_": "apm_exp.selection.keep.threshold.threshold", "minimum": 5.0}
    _, implicit = choices(scored, {"map": MAP, "implicit": IMPLICIT}, MAP, keep)
    assert implicit.kept_P is None
    assert "keep.minimum=5.0" in str(implicit.problem)
