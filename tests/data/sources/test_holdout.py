from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.data.sources.holdout import held_out, prompt_order, with_holdout
from tests.data.sources.sources import turn

prompt_orders = st.lists(st.text("0123456789abcdef", min_size=4, max_size=4), max_size=60)
fractions = st.integers(0, 99).map(lambda percent: percent / 100)


@pytest.mark.parametrize(
    ("prompts", "fraction", "expected"),
    [
        (100, 0.29, 29),  # 0.29 * 100 is 28.999999999999996 in binary
        (100, 0.05, 5),
        (762, 0.05, 38),  # 38.1
        (10, 0.25, 3),  # 2.5, half up
        (30, 0.05, 2),  # 1.5, half up
        (3, 0.05, 1),  # at least one
        (10, 0.0, 0),
        (10, 0, 0),
        (10, 0.99, 9),  # never all
        (1, 0.5, 0),
        (0, 0.5, 0),
        (100_000, 1e-05, 1),
    ],
)
def test_the_number_of_prompts_is_exact(prompts, fraction, expected):
    assert len(held_out([f"{number:06d}" for number in range(prompts)], fraction)) == expected


@pytest.mark.parametrize(
    ("node", "until", "expected"),
    [
        ({"holdout": "auto"}, None, 0.05),
        ({"holdout": "auto"}, "logps", 0.05),  # a selection and a training that follow take the same log-probs
        ({"holdout": "auto"}, "selection", 0.0),
        ({"holdout": "auto", "holdout_split": "test"}, None, 0.0),
        ({"holdout": 0.1, "holdout_split": None}, "selection", 0.1),
    ],
)
def test_auto_holds_out_what_will_be_evaluated(node, until, expected):
    assert with_holdout(node, until) == node | {"holdout": expected}


@given(prompt_orders, fractions)
def test_rows_may_come_in_any_order_and_any_number_of_times(orders, fraction):
    assert held_out(orders, fraction) == held_out([*reversed(orders), *orders], fraction)


@given(prompt_orders, fractions)
def test_the_count_is_the_fraction_within_its_bounds(orders, fraction):
    n, aside = len(set(orders)), held_out(orders, fraction)
    exact = Fraction(round(fraction * 100), 100) * n
    assert aside <= set(orders)
    assert n == 0 or len(aside) < n
    assert abs(len(aside) - exact) <= Fraction(1, 2) or len(aside) in (1, n - 1)
    assert bool(aside) == (fraction > 0 and n > 1)


@given(prompt_orders, fractions, fractions)
def test_a_larger_fraction_keeps_what_a_smaller_one_held_out(orders, one, other):
    small, large = sorted((one, other))
    assert held_out(orders, small) <= held_out(orders, large)


def test_the_order_depends_on_prompt_and_seed_alone():
    prompt = [turn("user", "question")]
    assert prompt_order(prompt, 0) == prompt_order([turn("user", "question")], 0)
    assert prompt_order(prompt, 0) != prompt_order(prompt, 1)
    assert prompt_order(prompt, 0) != prompt_order([turn("system", "question")], 0)
