"""The part of each term in the cut, against means made by hand and covariances from numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.selection.alpha_rules.balanced import balanced
from apm_exp.selection.keep.threshold import threshold
from apm_exp.selection.keep.top_k import top_k


def highest(count):
    return lambda value_P: top_k(value_P, np.arange(value_P.size), k=count)


def test_where_what_is_kept_does_not_depend_on_alpha():
    # The first pair is better in both terms: it has 2 more of the explicit one, 1 less of the implicit one.
    assert balanced(np.array([5.0, -3.0]), np.array([1.0, 2.0]), highest(1)) == pytest.approx(2)


def test_where_the_parts_change_places_at_once():
    # Below alpha 2 the first pair is kept (2 more of the explicit term, 1 more of the implicit), above it the second.
    assert balanced(np.array([3.0, 1.0]), np.array([2.0, 1.0]), highest(1)) == pytest.approx(2)


def test_exchanging_the_terms_inverts_alpha():
    # The first two are better in both terms. Value e - alpha i; e -> 10 - i and i -> 10 - e exchange the terms.
    explicit_P, implicit_P = np.array([9.0, 7.0, 2.0, 1.0]), np.array([3.0, 4.0, 5.0, 7.0])
    alpha = balanced(explicit_P, implicit_P, highest(2))
    assert alpha == pytest.approx((9 + 7 - 2 - 1) / (5 + 7 - 3 - 4))
    assert balanced(10 - implicit_P, 10 - explicit_P, highest(2)) == pytest.approx(1 / alpha)


@given(seed=st.integers(0, 10**6), pairs=st.integers(3, 40), share=st.floats(0.01, 0.99), alpha=st.floats(0.01, 100))
def test_below_the_answer_the_explicit_term_has_the_larger_part_and_above_it_the_implicit_one(
    seed, pairs, share, alpha
):
    generator = np.random.default_rng(seed)
    explicit_P = generator.standard_t(3, pairs)
    implicit_P = generator.normal(size=pairs) + generator.integers(-1, 2) * explicit_P
    keep = highest(max(1, int(share * pairs)))
    answer = balanced(explicit_P, implicit_P, keep)
    kept_P = keep(np.abs(explicit_P) - alpha * np.abs(implicit_P))
    explicit_part = np.cov(np.abs(explicit_P), kept_P)[0, 1]
    implicit_part = np.cov(-alpha * np.abs(implicit_P), kept_P)[0, 1]
    if abs(alpha - answer) > 1e-3 * answer:
        assert (implicit_part > explicit_part) == (alpha > answer)


def test_two_equal_normal_terms_and_one_half_kept_give_about_one():
    explicit_P, implicit_P = np.random.default_rng(0).normal(loc=10, size=(2, 20_000))
    assert balanced(explicit_P, implicit_P, highest(10_000)) == pytest.approx(1, rel=0.02)


def test_a_rule_that_does_not_look_at_values_is_refused():
    with pytest.raises(
        ValueError, match=r"^alpha=auto: .*needs a keep rule that uses the values; set keep=top_fraction or top_k"
    ):
        balanced(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]), lambda value_P: np.arange(value_P.size) < 1)


@pytest.mark.parametrize("keep", [highest(3), lambda value_P: threshold(value_P, np.arange(value_P.size), minimum=0.0)])
def test_a_rule_without_a_cut_at_a_fixed_number_is_refused(keep):
    with pytest.raises(
        ValueError,
        match=r"^alpha=auto: .*balanced needs .* that keeps a fixed number .*; set keep=top_fraction .* number$",
    ):
        balanced(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]), keep)
