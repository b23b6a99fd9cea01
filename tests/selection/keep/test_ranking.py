import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.selection.keep.ranking import highest

pairs = st.dictionaries(st.text("abü\U0001f600", min_size=1, max_size=4), st.integers(-3, 3).map(float), min_size=1)


def kept_ids(values, count):
    value_P, pair_id_P = np.array(list(values.values())), np.array(list(values), object)
    return set(pair_id_P[highest(value_P, pair_id_P, count)])


@pytest.mark.parametrize(
    ("count", "expected"), [(1, {"b"}), (2, {"b", "a"}), (3, {"b", "a", "c"}), (5, {"a", "b", "c", "d", "e"})]
)
def test_ties_go_to_the_smaller_pair_id(count, expected):
    assert kept_ids({"d": 1.0, "c": 1.0, "b": 2.0, "a": 1.0, "e": -1.0}, count) == expected


def test_positive_and_negative_zero_tie():
    assert kept_ids({"b": 0.0, "a": -0.0}, 1) == {"a"}


def test_infinite_values_have_a_rank():
    assert kept_ids({"a": -np.inf, "b": np.inf, "c": 0.0}, 2) == {"b", "c"}


@given(values=pairs, random=st.randoms(use_true_random=False), part=st.floats(0, 1))
def test_equals_sorting_and_does_not_depend_on_the_order_of_the_rows(values, random, part):
    count = 1 + int(part * (len(values) - 1))
    expected = {name for _, name in sorted((-value, name) for name, value in values.items())[:count]}
    shuffled = list(values.items())
    random.shuffle(shuffled)
    assert kept_ids(values, count) == expected
    assert kept_ids(dict(shuffled), count) == expected


def test_the_kind_of_string_array_does_not_matter():
    value_P, ids = np.zeros(3), ["c", "a", "b"]
    for pair_id_P in (np.array(ids), np.array(ids, object), np.array(ids, np.dtypes.StringDType())):
        assert highest(value_P, pair_id_P, 2).tolist() == [False, True, True]


def test_nan_is_refused_and_named():
    with pytest.raises(ValueError, match=r"NaN for 1 of 2 pairs \(pair_id b\)"):
        highest(np.array([1.0, np.nan]), np.array(["a", "b"]), 1)
