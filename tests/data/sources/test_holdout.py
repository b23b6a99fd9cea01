import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.data.sources.holdout import holdout_of, prompt_order, ranks
from tests.data.sources.sources import turn

prompt_orders = st.lists(st.text("0123456789abcdef", min_size=4, max_size=4), max_size=60)


@pytest.mark.parametrize(
    ("node", "until", "expected"),
    [
        ({"holdout": "auto"}, None, 0.05),
        ({"holdout": "auto"}, "logps", 0.05),
        ({"holdout": "auto"}, "selection", 0.0),
        ({"holdout": "auto", "holdout_split": "test"}, None, 0.0),
        ({"holdout": 0.1, "holdout_split": None}, "selection", 0.1),
    ],
)
def test_auto_holds_out_what_will_be_evaluated(node, until, expected):
    assert holdout_of(node, until) == expected


@given(prompt_orders)
def test_rows_may_come_in_any_order_and_any_number_of_times(orders):
    assert ranks(orders) == ranks([*reversed(orders), *orders])
    assert sorted(ranks(orders).values()) == list(range(len(set(orders))))


def test_the_order_depends_on_prompt_and_seed_alone():
    prompt = [turn("user", "question")]
    assert prompt_order(prompt, 0) == prompt_order([turn("user", "question")], 0)
    assert prompt_order(prompt, 0) != prompt_order(prompt, 1)
    assert prompt_order(prompt, 0) != prompt_order([turn("system", "question")], 0)
