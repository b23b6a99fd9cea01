"""What stands for alpha=auto: the number of each rule, its unit, and what it may not depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apm_exp.core.conf import options_of
from apm_exp.core.types import MissingRewards, PairScores
from apm_exp.selection.alpha_rules.choose import (
    AUTO,
    FEWEST,
    check_rule,
    with_any_number,
    with_chosen_number,
    with_rule,
)

MAP = {"_target_": "apm_exp.selection.metrics.map.alignment_potential", "alpha": AUTO, "rescale": True}
KEEP = {"_target_": "apm_exp.selection.keep.top_fraction.top_fraction", "fraction": 0.4}
NAMES = options_of("alpha_rule")
every_rule = pytest.mark.parametrize("name", NAMES)
seeds = st.integers(0, 10**6)


def rule(name):
    return {"_target_": f"apm_exp.selection.alpha_rules.{name}.{name}"}


def some_scores(seed, pairs=40):
    """Rewards with heavy tails; the policy likes the better answer a little."""
    generator = np.random.default_rng(seed)
    explicit_P = generator.standard_t(4, pairs)
    return scored(explicit_P, 0.3 * explicit_P + generator.normal(size=pairs))


def scored(explicit_P, implicit_P):
    ids = np.array([f"p{row:03}" for row in range(len(implicit_P))], object)
    return PairScores(ids, explicit_P, np.asarray(implicit_P, float))


def chosen(name, scores, rescale=True, keep=KEEP):
    node = with_chosen_number(with_rule(MAP | {"rescale": rescale}, rule(name)), scores, keep)
    assert node == MAP | {"rescale": rescale, "alpha": node["alpha"]}
    return node["alpha"]


def test_there_are_the_rules_that_these_tests_look_at():
    assert {"balanced", "calibrated", "agreement"} <= set(NAMES)


@every_rule
@settings(max_examples=25)
@given(seed=seeds, exponent=st.integers(-30, 30), swapped=st.booleans())
def test_units_and_which_answer_is_called_chosen_do_not_matter(name, seed, exponent, swapped):
    scores = some_scores(seed)
    explicit_P, implicit_P = scores.explicit_margin_P * 2.0**exponent, scores.implicit_margin_P * 2.0**-exponent
    sign = -1 if swapped else 1
    assert chosen(name, scored(sign * explicit_P, sign * implicit_P)) == chosen(name, scores)


@every_rule
@settings(max_examples=25)
@given(seed=seeds)
def test_the_order_of_the_pairs_does_not_matter(name, seed):
    scores = some_scores(seed)
    order = np.random.default_rng(seed).permutation(40)
    shuffled = scored(scores.explicit_margin_P[order], scores.implicit_margin_P[order])
    assert chosen(name, shuffled) == pytest.approx(chosen(name, scores), rel=0.011)  # a last digit of three may turn


@every_rule
@settings(max_examples=25)
@given(seed=seeds)
def test_without_rescaling_alpha_is_in_reward_units_per_nat_per_token(name, seed):
    scores = some_scores(seed)
    unit = np.abs(scores.explicit_margin_P).std() / np.abs(scores.implicit_margin_P).std()
    assert chosen(name, scores, rescale=False) == pytest.approx(chosen(name, scores) * unit, rel=0.011)


@every_rule
def test_the_number_has_three_digits_and_stays_where_it_was_typed(name):
    alpha = chosen(name, some_scores(1))
    assert float(f"{alpha:.3g}") == alpha
    typed = MAP | {"alpha": 0.123456}
    assert with_chosen_number(with_rule(typed, rule(name)), some_scores(1), KEEP) == typed


def test_a_number_has_no_rule_in_its_identity_and_auto_has_it():
    typed = MAP | {"alpha": 2.5}
    assert with_rule(typed, rule("balanced")) == with_rule(typed, rule("agreement")) == typed
    assert with_rule(MAP, rule("balanced"))["alpha"] == rule("balanced")
    assert with_any_number(MAP)["alpha"] == 1


def test_by_hand_in_standard_deviations():
    # |e| is 1 or 3 and |i| is 2 or 6: deviations 1 and 2. Signed: e = i / 2 in three of four pairs, else e = -i / 2.
    explicit_P, implicit_P = np.tile([1.0, 3.0, -1.0, 3.0], 5), np.tile([2.0, 6.0, -2.0, -6.0], 5)
    slope = (2 + 18 + 2 - 18) / (4 + 36 + 4 + 36)
    assert chosen("calibrated", scored(explicit_P, implicit_P), rescale=False) == slope
    assert chosen("calibrated", scored(explicit_P, implicit_P)) == slope * 2 / 1


@every_rule
@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (some_scores(0, pairs=FEWEST - 1), "alpha=auto: 19 pairs are too few .*; give a number, or at least 20"),
        (scored(np.full(30, -2.0), np.arange(30.0)), "all 30 explicit margins have the same size, .* metric=implicit$"),
        (scored(np.arange(30.0), np.full(30, 0.0)), "all 30 implicit margins have the same size, .* metric=explicit$"),
        (scored(np.arange(30.0) * np.nan, np.arange(30.0)), "explicit margin is NaN or infinite in 30 of 30"),
    ],
)
def test_what_no_rule_can_choose_from_is_one_line(name, scores, message):
    with pytest.raises(ValueError, match=message) as error:
        chosen(name, scores)
    assert "\n" not in str(error.value)


@every_rule
def test_pairs_without_rewards(name):
    with pytest.raises(MissingRewards):
        chosen(name, scored(None, np.arange(30.0)))


def not_a_number(explicit_P):
    return -explicit_P.size


def test_a_rule_that_returns_no_usable_number_is_named(monkeypatch):
    monkeypatch.setattr("apm_exp.selection.alpha_rules.calibrated.calibrated", not_a_number)
    with pytest.raises(ValueError, match=r"^alpha_rule\._target_=.*: chose -40\.0; return a number of at least 0$"):
        chosen("calibrated", some_scores(0))


@pytest.mark.parametrize(
    ("keep", "pairs", "message"),
    [
        (
            {"_target_": "apm_exp.selection.keep.threshold.threshold", "minimum": 0.0},
            None,
            "needs a keep rule that keeps a fixed number of pairs",
        ),
        (
            {"_target_": "apm_exp.selection.keep.top_k.top_k", "k": 50},
            50,
            "needs a keep rule that keeps a fixed number of pairs",
        ),
        (
            {"_target_": "apm_exp.selection.keep.ids.ids", "path": "x", "missing": "error"},
            60,
            "needs a keep rule that uses the values",
        ),
        (KEEP, FEWEST - 1, f"{FEWEST - 1} pairs are too few"),
    ],
)
def test_a_rule_that_cannot_choose_is_known_before_there_are_margins(keep, pairs, message):
    with pytest.raises(ValueError, match=f"^alpha=auto: .*{message}"):
        check_rule(MAP, rule("balanced"), keep, pairs)


@every_rule
@pytest.mark.parametrize("pairs", [None, 100, 10**9])
def test_a_rule_that_can_choose_passes(name, pairs):
    check_rule(MAP, rule(name), KEEP, pairs)
    check_rule(MAP, rule(name), {"_target_": "apm_exp.selection.keep.top_k.top_k", "k": 40}, pairs)
    check_rule(
        MAP | {"alpha": 1.0},
        rule(name),
        {"_target_": "apm_exp.selection.keep.threshold.threshold", "minimum": 0.0},
        pairs,
    )
